"""A subscription's status follows its invoices: paid, failed, overdue, written off, given up."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.store import subscription as store
from meterline.subscription.model import Subscription
from meterline.subscription.status import Standing, after_invoice, give_up_collection
from meterline.usecase.record_subscription import record_change


async def follow_invoice(
    tx: AsyncConnection,
    *,
    customer_id: UUID,
    subscription: str,
    invoice: str,
    standing: Standing,
    now: datetime,
) -> Subscription:
    """Called in the transaction that changes how an invoice of a subscription stands.

    `standing` is how the subscription's newest invoice that is not void stands now (`void` when all are);
    only the change of the newest one moves the status. `now` is the customer's time. Returns the subscription.
    """
    before = await store.lock_of(tx, customer_id=customer_id, id=subscription)
    assert before is not None, "an invoice's subscription exists"
    return await follow_locked(tx, before, invoice=invoice, standing=standing, now=now)


async def follow_locked(
    tx: AsyncConnection, before: Subscription, *, invoice: str, standing: Standing, now: datetime
) -> Subscription:
    """As `follow_invoice`, of a subscription that is locked."""
    if before.latest_invoice not in (None, invoice) and standing != "void":
        return before
    after = after_invoice(before, standing=standing, now=now)
    await record_change(tx, before, after, now=now)
    return after


async def surrender_collection(
    tx: AsyncConnection,
    *,
    customer_id: UUID,
    subscription: str,
    outcome: Literal["canceled", "unpaid", "past_due"],
    now: datetime,
) -> Subscription:
    """The calendar of retries has run out for an invoice: the subscription becomes `outcome`."""
    before = await store.lock_of(tx, customer_id=customer_id, id=subscription)
    assert before is not None, "an invoice's subscription exists"
    after = give_up_collection(before, outcome=outcome, now=now)
    await record_change(tx, before, after, now=now)
    return after
