"""The end of a period, of a trial, of a subscription, of a wait: what falls due for a subscription by itself.

Each function does one kind of due work, in the worker's transaction, and does nothing when the subscription
has meanwhile gone another way: doing it twice is doing it once.
"""

from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.period import Period
from meterline.store import invoice as invoices
from meterline.store import subscription as store
from meterline.store.due import Due
from meterline.subscription.ending import cancel
from meterline.subscription.model import Subscription
from meterline.subscription.renewal import renew
from meterline.subscription.status import expire_incomplete
from meterline.usecase.bill_subscription import payable
from meterline.usecase.draft_invoice import draft_invoice
from meterline.usecase.find_prices import find_prices
from meterline.usecase.record_subscription import record_change, tell_trial_ends
from meterline.usecase.stop_collection import stop_collection
from meterline.usecase.void_invoice import void_invoice


async def close_period(tx: AsyncConnection, row: Due, now: datetime) -> None:
    """Begin the next period of every item whose period ends at the boundary, and draft the cycle invoice."""
    before = await _locked(tx, row)
    if before is None or before.status in ("paused", "incomplete") or before.next_boundary != row.boundary:
        return
    prices = await find_prices(tx, before)
    renewal = renew(before, prices, at=row.boundary, payable=await payable(tx, before))
    after = renewal.subscription
    if renewal.billables:
        ended = [item.period_start for item in before.items if item.period_end == row.boundary]
        drafted = await draft_invoice(
            tx,
            subscription=after,
            billables=renewal.billables,
            reason="subscription_cycle",
            now=now,
            period=Period(start=min(ended), end=row.boundary),
        )
        assert drafted is not None, "a cycle invoice has its lines, even of nothing used"
        after = drafted.subscription
    await record_change(tx, before, after, now=now)


async def end_as_planned(tx: AsyncConnection, row: Due, now: datetime) -> None:
    """End the subscription at the instant it was to end: bill the last usage, collect nothing by itself."""
    before = await _locked(tx, row)
    if before is None or before.cancel_at != row.boundary:
        return
    prices = await find_prices(tx, before)
    ending = cancel(before, prices, usage=True, prorate=before.cancel_prorates, now=row.boundary)
    await stop_collection(tx, before, now=now)
    drafted = await draft_invoice(
        tx,
        subscription=ending.subscription,
        billables=(*ending.usage, *ending.credits),
        reason="subscription_cycle",
        now=now,
        period=Period(start=min(item.period_start for item in before.items), end=row.boundary),
        omit_unused=not ending.usage,
        auto_advance=False,
    )
    after = ending.subscription if drafted is None else drafted.subscription
    await record_change(tx, before, after, now=now)


async def announce_trial_end(tx: AsyncConnection, row: Due, now: datetime) -> None:
    """Tell that the trial ends in three days."""
    subscription = await _locked(tx, row)
    if subscription is not None and subscription.status == "trialing":
        await tell_trial_ends(tx, subscription, now=now)


async def expire_first_payment(tx: AsyncConnection, row: Due, now: datetime) -> None:
    """The first payment did not come in time: the subscription ends and its invoice is void."""
    before = await _locked(tx, row)
    if before is None or before.status != "incomplete":
        return
    await record_change(tx, before, expire_incomplete(before, now=now), now=now)
    unpaid = await invoices.of_subscription(tx, customer_id=before.customer_id, subscription=before.id, status=["open"])
    for invoice in unpaid:
        await void_invoice(tx, environment=invoice.environment, id=invoice.id, now=now)


async def resume_collection(tx: AsyncConnection, row: Due, now: datetime) -> None:
    """The pause of collection is over; invoices made meanwhile stay as they are."""
    before = await _locked(tx, row)
    pause = None if before is None else before.pause_collection
    if before is None or pause is None or pause.resumes_at != row.boundary:
        return
    await record_change(tx, before, replace(before, pause_collection=None), now=now)


async def _locked(tx: AsyncConnection, row: Due) -> Subscription | None:
    """The subscription the work is about, unless it has ended."""
    found = await store.lock_of(tx, customer_id=row.customer_id, id=row.subject)
    return None if found is None or found.ended else found
