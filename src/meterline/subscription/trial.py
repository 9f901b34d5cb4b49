"""A trial that ends early, is prolonged, or begins in the middle of things."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from meterline.catalog import Price
from meterline.subscription.billable import Billable
from meterline.subscription.change import Change, left_behind
from meterline.subscription.model import ProrationBehavior, Subscription, SubscriptionItem
from meterline.subscription.renewal import Renewal, renew

Prices = Mapping[str, Price]


def end_trial(subscription: Subscription, prices: Prices, *, payable: bool, now: datetime) -> Renewal:
    """The trial is over at `now`: paid periods begin, or what was agreed for having nothing to pay with."""
    assert subscription.status == "trialing"
    keeps_anchor = subscription.trial_settings.billing_cycle_anchor == "unchanged"
    ended = replace(
        subscription,
        trial_end=now,
        anchor=subscription.anchor if keeps_anchor else now,
        anchor_config=subscription.anchor_config if keeps_anchor else None,
        items=tuple(replace(item, period_end=now) for item in subscription.items),
    )
    return renew(ended, prices, at=now, payable=payable)


def begin_trial(
    subscription: Subscription,
    prices: Prices,
    *,
    until: datetime,
    behavior: ProrationBehavior,
    now: datetime,
) -> Change:
    """A trial up to `until`, in place of the rest of the periods, which is given back; usage so far is closed."""
    on_trial = subscription.status == "trialing"
    prorations: list[Billable] = []
    items: list[SubscriptionItem] = []
    for item in subscription.items:
        price = prices[item.price]
        if not on_trial:
            prorations.extend(left_behind(subscription, item, prices, behavior=behavior, now=now))
        start = item.period_start if on_trial else now
        usage_from = until if price.metered else None
        items.append(replace(item, period_start=start, period_end=until, usage_from=usage_from, billed=None))
    changed = replace(
        subscription,
        status="trialing",
        trial_start=subscription.trial_start if on_trial else now,
        trial_end=until,
        anchor=until,
        anchor_config=None,
        items=tuple(items),
    )
    return Change(subscription=changed, prorations=tuple(prorations), charges=())
