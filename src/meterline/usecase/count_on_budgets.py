"""Count on budgets what was spent without asking: usage as it is recorded, captures that nothing is set aside for.

It happened, so nothing is refused; budgets move, and the next call that asks is refused where they are used up. What
usage costs counts in the window in which it happened, whoever collects it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from meterline.limit import budget as rules
from meterline.limit.budget import Ask, Budget, BudgetPassed
from meterline.meter import Meter
from meterline.money import add, subtract
from meterline.refusal import Refusal
from meterline.store import alert, meter, notice
from meterline.store import budget as store
from meterline.store.event import NewEvent
from meterline.store.ledger import Connection
from meterline.store.notice import Fact
from meterline.store.offer import Fee

PASSED = "budget.passed"

SPENDER = ("spender", "subject")
"""The dimensions whose value names who spends, the first that an event has."""

NOTHING = Decimal(0)

_decode = msgspec.json.Decoder(dict[str, str]).decode


async def count_usage(
    connection: Connection,
    *,
    environment: str,
    customer_ids: Collection[UUID],
    used: Iterable[tuple[NewEvent, Sequence[Fee]]],
    now: datetime,
    back: bool = False,
    fees_alone: bool = False,
) -> None:
    """Count events of these customers, whose wallets are locked, with their fees on the budgets.

    `now` is the wall clock. With `back` they are taken out again; with `fees_alone` their quantities are counted
    already.
    """
    budgets = await store.of_all(connection, customer_ids)
    if not budgets:
        return
    mine = [(event, fees) for event, fees in used if event.customer_id in budgets]
    trees = await store.trees(connection, budgets)
    of_usage = any(each.usage is not None for of in budgets.values() for each in of)
    meters = await meter.by_id(connection, environment) if of_usage else {}
    spent: dict[tuple[UUID, str, datetime], Decimal] = {}
    for event, fees in mine:
        for ask in _asks(event, fees, {} if fees_alone else meters):
            path = path_of(ask.subject, trees.get(event.customer_id, {}))
            for part in rules.count(budgets[event.customer_id], ask, path=path, at=event.occurred_at):
                key = (event.customer_id, part.budget, part.window_start)
                spent[key] = (subtract if back else add)(spent.get(key, NOTHING), part.amount)
    await spend_unasked(connection, environment=environment, budgets=budgets, spent=spent, now=now)


def path_of(subject: str | None, parents: Mapping[str, str | None]) -> tuple[str, ...]:
    """The spender and those above; alone where the tree has no proper place for it: what happened is not refused."""
    try:
        return rules.path_of(subject, parents)
    except Refusal:
        return () if subject is None else (subject,)


def _asks(event: NewEvent, fees: Sequence[Fee], meters: Mapping[str, Meter]) -> Iterable[Ask]:
    """What an event spent, of each asset; its quantity is told once."""
    dimensions = _decode(event.dimensions) if event.dimensions else {}
    subject = next((dimensions[name] for name in SPENDER if name in dimensions), None)
    counted = meters.get(event.meter)
    quantities = {} if counted is None else _quantities(counted, event)
    names = () if counted is None else (counted.event_name,)
    for fee in fees or (None,):
        priced = () if fee is None else (fee.price, fee.product)
        yield Ask(
            asset="" if fee is None else fee.asset,
            amount=NOTHING if fee is None else fee.amount,
            quantities=quantities,
            subject=subject,
            marks=(event.meter, *names, *priced, *dimensions.values()),
        )
        quantities = {}


def _quantities(counted: Meter, event: NewEvent) -> dict[str, Decimal]:
    if counted.formula == "sum":
        return {counted.event_name: event.value}
    return {counted.event_name: Decimal(1)} if counted.formula == "count" else {}


async def spend_unasked(
    connection: Connection,
    *,
    environment: str,
    budgets: Mapping[UUID, Sequence[Budget]],
    spent: Mapping[tuple[UUID, str, datetime], Decimal],
    now: datetime,
) -> None:
    """Move the windows of budgets, and tell of those that were used up by it: once per window."""
    reached = await store.spend(connection, environment=environment, spent=spent)
    known = {(customer_id, each.id): each for customer_id, of in budgets.items() for each in of}
    passed = [
        (key, known[key[0], key[1]], total)
        for key, total in reached.items()
        if subtract(total, spent[key]) < known[key[0], key[1]].amount <= total
    ]
    if not passed:
        return
    who = await alert.who(connection, {key[0] for key, _, _ in passed})
    facts = []
    for (customer_id, id, start), budget, total in passed:
        named = f"{id}/{start:%Y-%m-%dT%H:%M}"
        told = BudgetPassed(
            id=named,
            environment=environment,
            customer=who[customer_id][0],
            budget=id,
            level=budget.spender or "customer",
            asset=budget.of,
            spent=total,
            amount=budget.amount,
            hard=budget.hard,
            resets_at=rules.window_end(budget.window, start),
            created=now,
        )
        facts.append(
            Fact(
                environment=environment,
                customer_id=customer_id,
                type=PASSED,
                subject=told,
                object_id=f"{PASSED}/{told.customer}/{named}",
                now=now,
            )
        )
    await notice.add_once(connection, facts)
