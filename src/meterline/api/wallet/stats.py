"""What usage brings in against what it costs: of everybody, a customer, or a task, which is all events of a subject."""

from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from meterline.api.wallet import event_view, whose
from meterline.api.wallet.listing import paged
from meterline.api.wallet.params import Id, ListQuery, Params, Since, Text, Until
from meterline.api.wallet.route import Call, Json, Routes
from meterline.money import add, multiply, round_debit
from meterline.refusal import Missing
from meterline.store import asset as assets
from meterline.store import customer as customers
from meterline.store import external_id, margin
from meterline.store.database import driver
from meterline.store.margin import Cost, Margin, Scope, Task

routes = Routes("vendors")

CURRENCY = "USD"
"""The money that figures are in. What is in another is listed apart; units of the seller's own count at their rate."""

_NOTHING = Decimal(0)


class Period(Params):
    period_from: Since | None = None
    period_to: Until | None = None


class PeriodList(ListQuery):
    period_from: Since | None = None
    period_to: Until | None = None


class TaskList(PeriodList):
    customer_id: Id | None = None
    customer_external_id: Id | None = None
    subject: Text | None = None


class _Figures:
    """Sums over events, and what units of the seller's own cost now."""

    def __init__(self, margins: list[Margin], costs: list[Cost], rates: dict[str, Decimal]) -> None:
        self.margins, self.costs, self.rates = margins, costs, rates

    def profit(self, of: UUID | None = None) -> Json:
        """Revenue, cost and margin, of a customer or of all, in dollars."""
        revenue = [
            self._in_dollars(each.asset, each.revenue)
            for each in self.margins
            if of in (None, each.customer_id) and each.asset is not None
        ]
        costs = [each.amount for each in self.costs if of in (None, each.customer_id) and each.currency == CURRENCY]
        return event_view.stats(CURRENCY, add(*revenue), add(*costs))

    def _in_dollars(self, asset: str, amount: Decimal) -> Decimal:
        if asset == CURRENCY:
            return amount
        return round_debit(multiply(amount, self.rates.get(asset, _NOTHING)))

    def whole(self) -> Json:
        """The profit, and what it is made of: by asset, and by vendor and category."""
        return {
            **self.profit(),
            "margins": [_margin(asset, each) for asset, each in _by_asset(self.margins).items()],
            "costs": [
                {"vendor": vendor, "category": category, "currency": currency, "amount": amount}
                for (vendor, category, currency), amount in _by_vendor(self.costs).items()
            ],
        }


def _by_asset(margins: Iterable[Margin]) -> dict[str | None, list[Margin]]:
    found: dict[str | None, list[Margin]] = {}
    for each in margins:
        found.setdefault(each.asset, []).append(each)
    return found


def _margin(asset: str | None, of: Collection[Margin]) -> Json:
    revenue, cost = add(*(each.revenue for each in of)), add(*(each.cost for each in of))
    return {
        "asset": asset,
        "events": sum(each.events for each in of),
        "gross_revenue": revenue,
        "total_costs": cost,
        "net_revenue": revenue - cost,
    }


def _by_vendor(costs: Iterable[Cost]) -> dict[tuple[str | None, str | None, str], Decimal]:
    found: dict[tuple[str | None, str | None, str], Decimal] = {}
    for each in costs:
        key = (each.vendor, each.category, each.currency)
        found[key] = add(found.get(key, _NOTHING), each.amount)
    return found


async def _figures(call: Call[Any], scope: Scope) -> _Figures:
    connection = await driver(call.tx)
    margins = await margin.margins(connection, call.environment, scope)
    units = {each.asset for each in margins if each.asset not in (None, CURRENCY)}
    rates = {}
    for unit in units:
        try:
            rates[str(unit)] = (await assets.rate_at(call.tx, call.environment, str(unit), CURRENCY, call.now)).rate
        except Missing:
            continue
    return _Figures(margins, await margin.costs(connection, call.environment, scope), rates)


@routes.get("/stats", Period)
async def everybody(call: Call[Period]) -> Json:
    """What all usage brought in and cost."""
    asked = call.params
    return (await _figures(call, Scope(since=asked.period_from, until=asked.period_to))).whole()


@routes.get("/customers/stats", PeriodList)
async def of_customers(call: Call[PeriodList]) -> Json:
    """What each customer's usage brought in and cost, and all of it together."""
    asked = call.params
    rows, count = await external_id.listed(
        call.tx,
        call.environment,
        email=None,
        id=None,
        name=None,
        subscribed=None,
        offset=asked.offset,
        limit=asked.limit,
    )
    whole = await _figures(call, Scope(since=asked.period_from, until=asked.period_to))
    names = await external_id.known_as(call.tx, call.environment, [each.customer_id for each in rows])
    items = [
        {
            "id": each.id,
            "external_id": names.get(each.customer_id),
            "name": each.name,
            "stats": whole.profit(each.customer_id),
        }
        for each in rows
    ]
    since = asked.period_from or datetime(1970, 1, 1, tzinfo=UTC)
    until = call.now if asked.period_to is None else asked.period_to - timedelta(microseconds=1)
    return {
        "summary": whole.profit(),
        "period_from": since.date().isoformat(),
        "period_to": until.date().isoformat(),
        **paged(asked, items, count),
    }


@routes.get("/customers/{customer}/stats", Period)
async def of_customer(call: Call[Period]) -> Json:
    """What a customer's usage brought in and cost."""
    found, asked = await whose.in_path(call), call.params
    scope = Scope(customer_ids=[found.customer.customer_id], since=asked.period_from, until=asked.period_to)
    return {"customer_id": found.customer.id, **(await _figures(call, scope)).whole()}


@routes.get("/customers/{customer}/tasks", PeriodList)
async def tasks_of(call: Call[PeriodList]) -> Json:
    """A customer's tasks, the latest first."""
    found, asked = await whose.in_path(call), call.params
    scope = Scope(customer_ids=[found.customer.customer_id], since=asked.period_from, until=asked.period_to)
    return await _tasks(call, scope)


@routes.get("/tasks", TaskList)
async def tasks(call: Call[TaskList]) -> Json:
    """Tasks of everybody, or of a customer, the latest first."""
    asked, ids = call.params, None
    if asked.customer_id is not None or asked.customer_external_id is not None:
        found = await whose.named(
            call.tx,
            environment=call.environment,
            id=asked.customer_id,
            external=asked.customer_external_id,
            now=call.now,
        )
        ids = [found.customer.customer_id]
    scope = Scope(customer_ids=ids, subject=asked.subject, since=asked.period_from, until=asked.period_to)
    return await _tasks(call, scope)


async def _tasks(call: Call[Any], scope: Scope) -> Json:
    asked = call.params
    found, count = await margin.tasks(
        await driver(call.tx), call.environment, scope, offset=asked.offset, limit=asked.limit
    )
    owners = await customers.find_all(call.tx, sorted({each.customer_id for each in found}))
    items = [_task(owners[each.customer_id].id, each) for each in found]
    return paged(asked, items, count)


def _task(customer: str, task: Task) -> Json:
    return {
        "id": f"{customer}:{task.subject}",
        "customer_id": customer,
        "subject": task.subject,
        "events": task.events,
        "first_event_at": task.first_at.isoformat(),
        "last_event_at": task.last_at.isoformat(),
    }


@routes.get("/customers/{customer}/tasks/{subject}", Period)
async def of_task(call: Call[Period]) -> Json:
    """What the events of one subject brought in and cost."""
    found = await whose.in_path(call)
    return await _whole_task(call, found.customer.customer_id, found.customer.id, call.path["subject"])


@routes.get("/tasks/{task}", Period)
async def task(call: Call[Period]) -> Json:
    """A task by its id, which is the customer's id, a colon and the subject."""
    customer, _, subject = call.path["task"].partition(":")
    owner = (await customers.find(call.tx, call.environment, [customer])).get(customer)
    if owner is None or not subject:
        raise Missing("task", call.path["task"], subject=True)
    return await _whole_task(call, owner.customer_id, owner.id, subject)


async def _whole_task(call: Call[Period], customer_id: UUID, customer: str, subject: str) -> Json:
    asked = call.params
    scope = Scope(customer_ids=[customer_id], subject=subject, since=asked.period_from, until=asked.period_to)
    found, _ = await margin.tasks(await driver(call.tx), call.environment, scope, offset=0, limit=1)
    if not found:
        raise Missing("task", f"{customer}:{subject}", subject=True)
    return _task(customer, found[0]) | (await _figures(call, scope)).whole()
