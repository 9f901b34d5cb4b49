"""The end of a subscription: planned, or at once."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from meterline.catalog import Price
from meterline.period import Period
from meterline.refusal import Refusal
from meterline.subscription.billable import Billable, arrears
from meterline.subscription.change import unused
from meterline.subscription.model import Subscription

Prices = Mapping[str, Price]
EndOfPeriod = Literal["min_period_end", "max_period_end"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """The ended subscription, the usage to bill and the unused time to give back."""

    subscription: Subscription
    usage: tuple[Billable, ...]
    credits: tuple[Billable, ...]


def cancel(subscription: Subscription, prices: Prices, *, usage: bool, prorate: bool, now: datetime) -> Ending:
    """End the subscription at `now`.

    `usage` bills the usage not billed yet, which is lost otherwise; `prorate` gives the unused rest of paid
    periods back. Neither exists on a trial, while paused, or before the first payment. `prices` includes
    those of earlier debits.
    """
    assert not subscription.ended
    reason = subscription.cancellation.reason or "cancellation_requested"
    ended = replace(
        subscription,
        status="canceled",
        canceled_at=subscription.canceled_at or now,
        ended_at=now,
        cancellation=replace(subscription.cancellation, reason=reason),
    )
    if subscription.status in ("trialing", "paused", "incomplete"):
        return Ending(subscription=ended, usage=(), credits=())
    used: list[Billable] = []
    credits: list[Billable] = []
    for item in subscription.items:
        price = prices[item.price]
        if not price.metered:
            credits.extend(unused(subscription, item, prices, since=now) if prorate else ())
        elif usage:
            elapsed = Period(start=min(item.period_start, now), end=now)
            used.append(arrears(subscription.id, item, price, until=now, period=elapsed))
    return Ending(subscription=ended, usage=tuple(used), credits=tuple(credits))


def plan_end(subscription: Subscription, *, at: datetime | EndOfPeriod, prorates: bool, now: datetime) -> Subscription:
    """The subscription that will end at an instant, or at the earliest or latest end of its items' periods."""
    if at == "min_period_end":
        instant = subscription.next_boundary
    elif at == "max_period_end":
        instant = max(item.period_end for item in subscription.items)
    else:
        assert isinstance(at, datetime)
        instant = at
    if instant <= now:
        raise Refusal("`cancel_at` must be in the future.", param="cancel_at")
    return replace(
        subscription,
        cancel_at=instant,
        cancel_at_period_end=at == "min_period_end",
        cancel_prorates=prorates,
        canceled_at=now,
        cancellation=replace(subscription.cancellation, reason="cancellation_requested"),
    )


def forget_end(subscription: Subscription) -> Subscription:
    """The planned end is called off."""
    return replace(
        subscription,
        cancel_at=None,
        cancel_at_period_end=False,
        cancel_prorates=False,
        canceled_at=None,
        cancellation=replace(subscription.cancellation, reason=None),
    )
