"""Budgets beside holds: reserved on every level when money is set aside, spent when it is captured."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from meterline.limit import budget as rules
from meterline.limit.budget import Ask, Budget, Owner, Reservation, Standing, Tally
from meterline.refusal import Missing, Refusal
from meterline.store import budget as store
from meterline.usecase.count_on_budgets import path_of, spend_unasked
from meterline.usecase.work_wallet import OpenWallet
from meterline.wallet.hold import Hold


async def reserve(work: OpenWallet, ask: Ask) -> tuple[Reservation, ...]:
    """Decide what to set aside; nothing is written. Raises BudgetExceeded naming the level that refuses."""
    budgets = await store.all_of(work.connection, work.customer_id) if work.budgeted else []
    if not budgets:
        return ()
    path = rules.path_of(ask.subject, await store.parents(work.connection, work.customer_id))
    keys = [(each.id, rules.window_start(each.window, work.now)) for each in budgets]
    tallies = await store.tallies(work.connection, work.customer_id, keys)
    return rules.reserve(budgets, tallies, ask, path=path, at=work.now)


async def save(work: OpenWallet, hold: str, reserved: tuple[Reservation, ...]) -> None:
    """Write what was decided to be set aside for a hold."""
    await store.reserve(
        work.connection,
        environment=work.environment,
        customer_id=work.customer_id,
        hold=hold,
        reserved=reserved,
    )


async def spent(
    work: OpenWallet,
    hold: Hold,
    *,
    captured: Decimal,
    ended: bool,
    quantities: Mapping[str, Decimal] | None = None,
) -> None:
    """Count what was captured as spent now, on every level, and free what was set aside for it, or all where it ended.

    A capture of an amount does not say what was used (`quantities`): budgets of usage then count, with the end of the
    hold, what was reserved. Where nothing is reserved in the window of now (the hold had ended, or is from an earlier
    window, or older than the budget) it was spent without asking.
    """
    if not work.budgeted:
        return
    connection, customer_id = work.connection, work.customer_id
    budgets = await store.all_of(connection, customer_id)
    held: Sequence[Reservation] = ()
    if hold.status == "open":
        held = await store.reserved(connection, customer_id=customer_id, hold=hold.id)
    if not (budgets or held):
        return
    ask = Ask(asset=hold.asset, amount=captured, quantities=quantities or {}, subject=hold.subject, marks=hold.marks)
    path = path_of(hold.subject, await store.parents(connection, customer_id))
    settled = rules.settle(budgets, held, ask, path=path, at=work.now, ended=ended)
    await store.spend(connection, environment=work.environment, spent=_by_window(work, settled.asked))
    await spend_unasked(
        connection,
        environment=work.environment,
        budgets={customer_id: budgets},
        spent=_by_window(work, settled.unasked),
        now=work.now,
    )
    await store.free(
        connection,
        environment=work.environment,
        customer_id=customer_id,
        hold=hold.id,
        freed=settled.freed,
    )
    if ended and held:
        await store.forget(connection, customer_id=customer_id, hold=hold.id)


def _by_window(work: OpenWallet, parts: Sequence[Reservation]) -> dict[tuple[UUID, str, datetime], Decimal]:
    return {(work.customer_id, part.budget, part.window_start): part.amount for part in parts}


async def room(work: OpenWallet, ask: Ask) -> tuple[Decimal | None, Decimal | None]:
    """The most that hard budgets leave now for such spending: of its asset, and of the usage it names."""
    path = rules.path_of(ask.subject, await store.parents(work.connection, work.customer_id))
    return rules.room(await standings(work), ask, path=path)


async def put(work: OpenWallet, new: Budget) -> Standing:
    """Set a budget, for the seller or the customer as its `owner` says; it applies from now on.

    What was spent in its window counts. A customer cannot change what the seller set.
    """
    await _check_owner(work, new.id, new.owner)
    await store.put(work.connection, environment=work.environment, customer_id=work.customer_id, new=new)
    return next(each for each in await standings(work) if each.budget.id == new.id)


async def lift(work: OpenWallet, id: str, *, by: Owner) -> None:
    """Lift a budget. Raises Missing; refuses the customer what the seller set."""
    await _check_owner(work, id, by)
    if not await store.remove(work.connection, customer_id=work.customer_id, id=id):
        raise Missing("budget", id, subject=True)


async def _check_owner(work: OpenWallet, id: str, by: Owner) -> None:
    known = next((each for each in await store.all_of(work.connection, work.customer_id) if each.id == id), None)
    if known is not None and known.owner == "seller" and by == "customer":
        raise Refusal(f"The budget '{id}' was set by the seller.", code="budget_of_seller")


async def standings(work: OpenWallet, subject: str | None = None) -> list[Standing]:
    """How the customer's budgets stand now; with a subject, those on its path."""
    budgets = await store.all_of(work.connection, work.customer_id)
    path = rules.path_of(subject, await store.parents(work.connection, work.customer_id))
    keys = [(each.id, rules.window_start(each.window, work.now)) for each in budgets]
    tallies = await store.tallies(work.connection, work.customer_id, keys)
    return [
        rules.standing(each, tallies.get(key, Tally()), work.now)
        for each, key in zip(budgets, keys, strict=True)
        if subject is None or each.spender is None or each.spender in path
    ]
