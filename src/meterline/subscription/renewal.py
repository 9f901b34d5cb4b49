"""What happens when a period ends: usage is billed in arrears, the next period in advance."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from meterline.catalog import Price
from meterline.subscription import cycle
from meterline.subscription.billable import Billable, advance, arrears
from meterline.subscription.model import Billed, Status, Subscription, SubscriptionItem
from meterline.subscription.status import end_trial_without_payment

Prices = Mapping[str, Price]


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """The subscription in its next period, and what the cycle invoice bills (nothing: no invoice)."""

    subscription: Subscription
    billables: tuple[Billable, ...]


def renew(subscription: Subscription, prices: Prices, *, at: datetime, payable: bool) -> Renewal:
    """Move every item whose period ends at `at` into its next one.

    `payable` says whether there is anything to pay with, which a trial may insist on at its end.
    """
    assert not subscription.ended, "an ended subscription has no next period"
    trial_over = subscription.status == "trialing" and subscription.trial_end == at
    if trial_over:
        ended = end_trial_without_payment(subscription, payable=payable, now=at)
        if ended is not None:
            return Renewal(subscription=ended, billables=())
    items: list[SubscriptionItem] = []
    billables: list[Billable] = []
    for item in subscription.items:
        if item.period_end != at:
            items.append(item)
            continue
        moved, billable = _next(subscription, item, prices[item.price], at=at, trial_over=trial_over)
        items.append(moved)
        billables.extend(billable)
    status: Status = "active" if trial_over else subscription.status
    return Renewal(subscription=replace(subscription, items=tuple(items), status=status), billables=tuple(billables))


def _next(
    subscription: Subscription, item: SubscriptionItem, price: Price, *, at: datetime, trial_over: bool
) -> tuple[SubscriptionItem, list[Billable]]:
    span = cycle.span(subscription, price, start=at)
    moved = replace(item, period_start=span.start, period_end=span.end)
    if price.metered:
        used = [] if trial_over else [arrears(subscription.id, item, price, until=at, period=item.period)]
        return replace(moved, usage_from=at, billed_until=at), used
    assert item.quantity is not None
    billed = Billed(price=item.price, quantity=item.quantity, period=span)
    share = cycle.share(subscription, price, span)
    bought = advance(subscription.id, item, price, period=span, share=share)
    return replace(moved, billed=billed, billed_until=span.end), [bought]
