"""Go over from classic to flexible billing, or to itemized prorations."""

from dataclasses import replace
from datetime import datetime
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.refusal import Refusal
from meterline.store import subscription as store
from meterline.subscription.model import BillingMode, Subscription
from meterline.usecase.moment import moment
from meterline.usecase.record_subscription import record_change


async def migrate_subscription(
    tx: AsyncConnection,
    *,
    environment: str,
    id: str,
    proration_discounts: Literal["included", "itemized"],
    now: datetime,
) -> Subscription:
    """The subscription, billed flexibly from now on, or with its prorations itemized where it was already.

    There is no way back from either. `now` is the wall clock. Raises Missing, Refusal.
    """
    before = await store.lock(tx, environment=environment, id=id)
    if before.ended:
        raise Refusal(
            "A canceled subscription can only update its cancellation_details and metadata.",
            code="invalid_canceled_subscription_fields",
        )
    itemizes = proration_discounts == "itemized" != before.billing_mode.proration_discounts
    if before.billing_mode.type == "flexible" and not itemizes:
        raise Refusal("This subscription is billed flexibly already.", param="billing_mode[type]")
    now = await moment(tx, environment=environment, test_clock=before.test_clock, now=now)
    mode = BillingMode(type="flexible", proration_discounts=proration_discounts, updated_at=now)
    after = replace(before, billing_mode=mode)
    await record_change(tx, before, after, now=now)
    return after
