"""Budgets that customers set for themselves, beside the seller's, which they see and cannot change."""

from decimal import Decimal
from typing import get_args

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.limit.budget import Budget, Standing, Window
from meterline.refusal import Missing, Refusal
from meterline.store import budget as store
from meterline.store.identifier import public
from meterline.usecase import keep_budget
from meterline.usecase.enter_portal import Visit
from meterline.usecase.work_wallet import Work, work_on

MOST = 20
"""Budgets that a customer may have of their own."""


async def own_wallet(tx: AsyncConnection, visit: Visit) -> Work:
    """The visitor's wallet, locked. Raises Missing without one."""
    customer_id = visit.customer.customer_id
    return await work_on(tx, environment=visit.environment, customer_id=customer_id, now=visit.now, active=False)


async def set_own_budget(
    tx: AsyncConnection, visit: Visit, *, id: str | None, asset: str, amount: Decimal, window: str, hard: bool
) -> Standing:
    """Set a new budget, or (with `id`) change one of the customer's own; it applies from now on.

    Refuses negative amounts, windows that there are not, and more than MOST; raises Missing for the seller's.
    """
    if window not in get_args(Window):
        raise Refusal("Choose an hour, a day, a week, a month or in total.", param="window")
    if amount < 0:
        raise Refusal("A budget is not negative.", param="amount")
    work = await own_wallet(tx, visit)
    own = await _own(work)
    if id is not None and id not in own:
        raise Missing("budget", id, subject=True)
    if id is None and len(own) >= MOST:
        raise Refusal(f"You can set up to {MOST} budgets.")
    new = Budget(
        id=id or public("own"),
        asset=asset,
        amount=amount,
        window=window,  # type: ignore[arg-type]
        hard=hard,
        owner="customer",
    )
    await store.put(work.connection, environment=work.environment, customer_id=work.customer_id, new=new)
    standings = await keep_budget.standings(work)
    return next(each for each in standings if each.budget.id == new.id)


async def lift_own_budget(tx: AsyncConnection, visit: Visit, *, id: str) -> None:
    """Lift one of the customer's own budgets. Raises Missing for any other."""
    work = await own_wallet(tx, visit)
    if id not in await _own(work):
        raise Missing("budget", id, subject=True)
    await store.remove(work.connection, customer_id=work.customer_id, id=id)


async def _own(work: Work) -> dict[str, Budget]:
    found = await store.all_of(work.connection, work.customer_id)
    return {each.id: each for each in found if each.owner == "customer"}
