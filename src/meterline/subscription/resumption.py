"""A paused subscription goes on."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from meterline.catalog import Price
from meterline.refusal import Refusal
from meterline.subscription import cycle
from meterline.subscription.billable import Billable, advance
from meterline.subscription.model import Billed, ProrationBehavior, Subscription, SubscriptionItem
from meterline.subscription.renewal import Renewal

Prices = Mapping[str, Price]


def resume(
    subscription: Subscription,
    prices: Prices,
    *,
    anchor_now: bool,
    behavior: ProrationBehavior,
    now: datetime,
) -> Renewal:
    """The subscription active again, and what is billed for the periods that begin.

    `anchor_now` begins whole periods at `now`; otherwise the periods of the old anchor go on, and what is left
    of the current one is billed unless `behavior` is `none`. Usage counts from now on: none of the pause's.
    """
    if subscription.status != "paused":
        raise Refusal("You can only resume a subscription if it is `paused`.")
    going = replace(subscription, status="active", paused=None)
    if anchor_now:
        going = replace(going, anchor=now, anchor_config=None)
    items: list[SubscriptionItem] = []
    billables: list[Billable] = []
    for item in subscription.items:
        price = prices[item.price]
        span = cycle.span(going, price, start=now)
        moved = replace(item, period_start=span.start, period_end=span.end, billed=None)
        share = cycle.share(going, price, span)
        if price.metered:
            items.append(replace(moved, usage_from=now))
        elif share != 1 and behavior == "none":
            items.append(moved)
        else:
            assert item.quantity is not None
            billed = Billed(price=item.price, quantity=item.quantity, period=span)
            items.append(replace(moved, billed=billed, billed_until=span.end))
            billables.append(advance(going.id, item, price, period=span, share=share))
    return Renewal(subscription=replace(going, items=tuple(items)), billables=tuple(billables))
