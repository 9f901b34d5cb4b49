"""The beginning of a subscription: its first periods, its trial, and what is billed at once."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from fractions import Fraction

from meterline.catalog import Price
from meterline.period import Period
from meterline.refusal import Refusal
from meterline.subscription import cycle
from meterline.subscription.billable import Billable, advance, arrears, free_trial
from meterline.subscription.model import Billed, ProrationBehavior, Status, Subscription, SubscriptionItem

LONGEST_TRIAL = timedelta(days=731)
MAX_LINES = 250

Prices = Mapping[str, Price]


def open_subscription(
    draft: Subscription, prices: Prices, *, proration_behavior: ProrationBehavior, now: datetime
) -> tuple[Subscription, tuple[Billable, ...]]:
    """The subscription as it begins, and what its first invoice bills.

    `draft` says what was asked: items without periods of their own yet, the anchor, the start date (past when
    backdated) and the trial. `prices` has the price of every item.
    """
    if draft.trial_end is not None and draft.trial_end > now:
        return _open_trial(draft, prices, trial_end=draft.trial_end, now=now)
    items: list[SubscriptionItem] = []
    billables: list[Billable] = []
    for item in draft.items:
        price = prices[item.price]
        current = _current(draft, price, now=now)
        placed = replace(item, period_start=current.start, period_end=current.end)
        if price.metered:
            used, lines = _first_usage(draft, placed, price, current)
            items.append(used)
            billables.extend(lines)
            continue
        lines = _first_lines(draft, placed, price, current, free=proration_behavior == "none")
        billables.extend(lines)
        items.append(_debited(placed, current) if lines else placed)
    if len(billables) > MAX_LINES:
        raise _too_far()
    status: Status = "active" if draft.collection_method == "send_invoice" else "incomplete"
    return replace(draft, items=tuple(items), status=status), tuple(billables)


def _current(draft: Subscription, price: Price, *, now: datetime) -> Period:
    """The period that the subscription is in: a backdated one is in it since it began, not since it was made."""
    since = cycle.tiles(draft, price).containing(now).start
    return cycle.span(draft, price, start=max(draft.start_date, since))


def _first_usage(
    draft: Subscription, item: SubscriptionItem, price: Price, current: Period
) -> tuple[SubscriptionItem, list[Billable]]:
    """A metered item as it begins, and the usage it is billed at the start.

    Flexible billing bills what was used in the periods before the current one, each on a line of its own;
    classic billing begins with a line of nothing and bills all of it with the current period.
    """
    if draft.billing_mode.type == "classic":
        begun = replace(item, usage_from=draft.start_date)
        return begun, [arrears(draft.id, begun, price, until=draft.start_date, period=current)]
    past = _past(draft, price, current)
    lines = [
        arrears(draft.id, replace(item, usage_from=span.start), price, until=span.end, period=span) for span in past
    ]
    return replace(item, usage_from=current.start), lines


def _past(draft: Subscription, price: Price, current: Period) -> list[Period]:
    """The periods of a backdated subscription before the current one."""
    past = cycle.spans(draft, price, start=draft.start_date, end=current.start)
    if len(past) > MAX_LINES:
        raise _too_far()
    return past


def _too_far() -> Refusal:
    return Refusal(
        f"Backdating this far makes more than {MAX_LINES} invoice lines. Choose a later start date.",
        param="backdate_start_date",
    )


def _open_trial(
    draft: Subscription, prices: Prices, *, trial_end: datetime, now: datetime
) -> tuple[Subscription, tuple[Billable, ...]]:
    items = tuple(
        replace(
            item,
            period_start=now,
            period_end=trial_end,
            usage_from=trial_end if prices[item.price].metered else None,
        )
        for item in draft.items
    )
    billables = tuple(
        free_trial(draft.id, item, prices[item.price]) for item in items if not prices[item.price].metered
    )
    return replace(draft, items=items, status="trialing", trial_start=now), billables


def _first_lines(
    draft: Subscription, item: SubscriptionItem, price: Price, current: Period, *, free: bool
) -> list[Billable]:
    """What a licensed item is billed at the start: the time since a past start date, then the current period.

    `free` leaves out whatever is not a whole interval bought now.
    """
    share = cycle.share(draft, price, current)
    bought_whole = share == 1 and current.start >= draft.created
    lines = [] if free and not bought_whole else [advance(draft.id, item, price, period=current, share=share)]
    if draft.start_date >= current.start or free:
        return lines
    past = _past(draft, price, current)
    shares = [cycle.share(draft, price, span) for span in past]
    if draft.billing_mode.type == "classic":
        whole = Period(start=draft.start_date, end=current.start)
        return [advance(draft.id, item, price, period=whole, share=sum(shares, Fraction())), *lines]
    return [
        *(advance(draft.id, item, price, period=span, share=part) for span, part in zip(past, shares, strict=True)),
        *lines,
    ]


def _debited(item: SubscriptionItem, period: Period) -> SubscriptionItem:
    assert item.quantity is not None
    billed = Billed(price=item.price, quantity=item.quantity, period=period)
    return replace(item, billed=billed, billed_until=period.end)
