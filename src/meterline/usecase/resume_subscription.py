"""Resume a paused subscription."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.period import Period
from meterline.store import subscription as store
from meterline.subscription.model import ProrationBehavior, Subscription
from meterline.subscription.resumption import resume
from meterline.usecase.bill_subscription import bill_at_once
from meterline.usecase.find_prices import find_prices
from meterline.usecase.moment import moment
from meterline.usecase.record_subscription import record_change


async def resume_subscription(
    tx: AsyncConnection,
    *,
    environment: str,
    id: str,
    anchor_now: bool,
    behavior: ProrationBehavior,
    only_if_paid: bool,
    now: datetime,
) -> Subscription:
    """The subscription, going on; its first new periods are billed and collected. `now` is the wall clock.

    With `only_if_paid` a declined payment leaves it paused (Declined); otherwise it makes it past due. Raises
    Missing, or Refusal when it is not paused or there is nothing to pay with.
    """
    before = await store.lock(tx, environment=environment, id=id)
    now = await moment(tx, environment=environment, test_clock=before.test_clock, now=now)
    resumed = resume(before, await find_prices(tx, before), anchor_now=anchor_now, behavior=behavior, now=now)
    await record_change(tx, before, resumed.subscription, now=now)
    if not resumed.billables:
        return resumed.subscription
    return await bill_at_once(
        tx,
        resumed.subscription,
        resumed.billables,
        reason="subscription_update",
        payment_behavior="error_if_incomplete" if only_if_paid else "allow_incomplete",
        off_session=False,
        now=now,
        period=Period(start=now, end=now),
    )
