"""End a subscription at once."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.period import Period
from meterline.refusal import Missing
from meterline.store import invoice_item
from meterline.store import subscription as store
from meterline.subscription.ending import Ending, cancel
from meterline.subscription.model import Cancellation, Subscription
from meterline.usecase.bill_subscription import bill_at_once, payable
from meterline.usecase.draft_invoice import pend_billables
from meterline.usecase.find_prices import find_prices
from meterline.usecase.moment import moment
from meterline.usecase.record_subscription import record_change
from meterline.usecase.stop_collection import stop_collection


async def cancel_subscription(
    tx: AsyncConnection,
    *,
    environment: str,
    id: str,
    invoice_now: bool,
    prorate: bool,
    details: Cancellation,
    now: datetime,
) -> Subscription:
    """The ended subscription. `now` is the wall clock. Raises Missing, for one that has ended already too.

    `invoice_now` bills the usage so far and what waited for an invoice; without it that usage is lost, and so
    are waiting prorations unless `prorate`. `prorate` gives the unused rest of paid periods back.
    """
    before = await store.lock(tx, environment=environment, id=id)
    if before.ended:
        raise Missing("subscription", id, param="id", subject=True)
    now = await moment(tx, environment=environment, test_clock=before.test_clock, now=now)
    noted = replace(before, cancellation=details, canceled_at=None)
    ending = cancel(noted, await find_prices(tx, before), usage=invoice_now, prorate=prorate, now=now)
    await stop_collection(tx, before, now=now)
    if not invoice_now and not prorate:
        await _forget_prorations(tx, before)
    await record_change(tx, before, ending.subscription, now=now)
    if not invoice_now:
        await pend_billables(tx, subscription=ending.subscription, billables=ending.credits, now=now)
        return ending.subscription
    return await _bill(tx, before, ending, now=now)


async def _bill(tx: AsyncConnection, before: Subscription, ending: Ending, *, now: datetime) -> Subscription:
    start = min(item.period_start for item in before.items)
    return await bill_at_once(
        tx,
        ending.subscription,
        (*ending.usage, *ending.credits),
        reason="subscription_cycle",
        payment_behavior="allow_incomplete" if await payable(tx, before) else "default_incomplete",
        off_session=True,
        now=now,
        period=Period(start=min(start, now), end=now),
    )


async def _forget_prorations(tx: AsyncConnection, subscription: Subscription) -> None:
    waiting = await invoice_item.pending_prorations(
        tx, customer_id=subscription.customer_id, subscription=subscription.id
    )
    await invoice_item.remove(tx, waiting)
