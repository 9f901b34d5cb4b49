"""Budgets beside holds: reserved on every level when money is set aside, spent when it is captured."""

from decimal import Decimal

from meterline.limit import budget as rules
from meterline.limit.budget import Ask, Reservation, Standing, Tally
from meterline.store import budget as store
from meterline.usecase.work_wallet import Work
from meterline.wallet.hold import Hold


async def reserve(work: Work, ask: Ask) -> tuple[Reservation, ...]:
    """Decide what to set aside; nothing is written. Raises BudgetExceeded naming the level that refuses."""
    budgets = await store.all_of(work.connection, work.customer_id) if work.budgeted else []
    if not budgets:
        return ()
    path = rules.path_of(ask.subject, await store.parents(work.connection, work.customer_id))
    keys = [(each.id, rules.window_start(each.window, work.now)) for each in budgets]
    tallies = await store.tallies(work.connection, work.customer_id, keys)
    return rules.reserve(budgets, tallies, ask, path=path, at=work.now)


async def save(work: Work, hold: str, reserved: tuple[Reservation, ...]) -> None:
    """Write what was decided to be set aside for a hold."""
    await store.reserve(
        work.connection,
        environment=work.environment,
        customer_id=work.customer_id,
        hold=hold,
        reserved=reserved,
    )


async def spent(work: Work, hold: Hold, *, captured: Decimal, ended: bool) -> None:
    """Count what was captured as spent on every level; where the hold ended, free the rest."""
    if not work.budgeted:
        return
    parts = await store.reserved(work.connection, customer_id=work.customer_id, hold=hold.id)
    for part in parts:
        await store.settle(
            work.connection,
            environment=work.environment,
            customer_id=work.customer_id,
            hold=hold.id,
            part=part,
            spent=captured,
            freed=part.amount if ended else min(part.amount, captured),
        )
    if ended and parts:
        await store.forget(work.connection, customer_id=work.customer_id, hold=hold.id)


async def standings(work: Work, subject: str | None = None) -> list[Standing]:
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
