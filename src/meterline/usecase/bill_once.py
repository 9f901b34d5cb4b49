"""Bill something once, along with a subscription."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.period import Period
from meterline.refusal import Refusal
from meterline.subscription.model import Subscription
from meterline.usecase.create_invoice_item import AskedItem, create_invoice_item

Start = datetime | Literal["now", "max_item_period_start"]
End = datetime | Literal["now", "min_item_period_end"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OneTime:
    """An amount to bill once; what its line says it is for may be told by the subscription's periods."""

    item: AskedItem
    starts: Start = "now"
    ends: End = "now"


async def bill_once(
    tx: AsyncConnection, subscription: Subscription, asked: Sequence[OneTime], *, now: datetime
) -> None:
    """Put the amounts with what waits for the subscription's next invoice. `now` is the customer's time, UTC."""
    for one in asked:
        item = replace(one.item, period=_period(subscription, one, now=now))
        await create_invoice_item(
            tx,
            environment=subscription.environment,
            customer=subscription.customer,
            asked=item,
            now=now,
            subscription=subscription.id,
        )


def _period(subscription: Subscription, one: OneTime, *, now: datetime) -> Period:
    start, end = one.starts, one.ends
    if start == "max_item_period_start":
        start = max(item.period_start for item in subscription.items)
    if end == "min_item_period_end":
        end = subscription.next_boundary
    begins = start if isinstance(start, datetime) else now
    finishes = end if isinstance(end, datetime) else max(now, begins)
    if finishes < begins:
        raise Refusal("The end of a period cannot lie before its start.", param=one.item.amount.at("period"))
    return Period(start=begins, end=finishes)
