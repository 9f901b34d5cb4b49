"""A change of items in the middle of a period: what is given back, what is bought, whose usage is billed.

Only licensed items prorate. A metered item that leaves or changes its price closes its usage: flexible
billing bills it, classic billing drops it. Classic credits what the item costs now; flexible credits what was
really debited for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from fractions import Fraction
from uuid import UUID

from meterline.catalog import PerUnit, Price, TaxRate
from meterline.period import Period
from meterline.refusal import Refusal
from meterline.subscription import cycle
from meterline.subscription.billable import Billable, advance, arrears, proration
from meterline.subscription.item import check_together
from meterline.subscription.model import Billed, ProrationBehavior, Subscription, SubscriptionItem

Prices = Mapping[str, Price]
Pair = tuple[SubscriptionItem | None, SubscriptionItem | None]
"""An item before and after: None before when it is added, None after when it is removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """An item to add; `id` and `sequence` are fresh."""

    id: str
    sequence: UUID
    price: str
    quantity: int | None
    tax_rates: tuple[TaxRate, ...] = ()
    discounts: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Altered:
    """An item to alter: its price, quantity, tax rates, discounts and metadata as they shall be."""

    id: str
    price: str
    quantity: int | None
    tax_rates: tuple[TaxRate, ...]
    discounts: tuple[str, ...] = ()
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """An item to remove."""

    id: str


ItemChange = Added | Altered | Removed


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The changed subscription, the prorations (usage closed by the change included), and new periods that
    began with it, which are billed at once whatever becomes of the prorations.
    """

    subscription: Subscription
    prorations: tuple[Billable, ...]
    charges: tuple[Billable, ...]


def change_items(
    subscription: Subscription,
    prices: Prices,
    changes: Sequence[ItemChange],
    *,
    behavior: ProrationBehavior,
    since: datetime,
    anchor_now: bool,
    now: datetime,
) -> Change:
    """Carry out changes of items at `now`, prorating from `since`; `anchor_now` begins new periods for all.

    `prices` has the prices of the items before and after, and of their last debits.
    """
    pairs = _pairs(subscription, changes, now=now)
    after = [new for _, new in pairs if new is not None]
    check_together([prices[item.price] for item in after], mode=subscription.billing_mode.type)
    _check_since(subscription, since)
    if subscription.status in ("trialing", "paused", "incomplete"):
        return _place_only(subscription, prices, pairs, now=now)
    if anchor_now or _restarts(subscription, prices, pairs):
        return _restart(subscription, prices, pairs, behavior=behavior, since=since, now=now)
    return _adjust(subscription, prices, pairs, behavior=behavior, since=since, now=now)


def unused(subscription: Subscription, item: SubscriptionItem, prices: Prices, *, since: datetime) -> list[Billable]:
    """The credit for the rest of a licensed item's period, nothing where there is nothing to give back."""
    if item.quantity is None:
        return []
    if subscription.billing_mode.type == "classic":
        paid = Billed(price=item.price, quantity=item.quantity, period=item.period)
    elif item.billed is not None:
        paid = item.billed
    else:
        return []
    rest = Period(start=max(since, paid.period.start), end=max(since, paid.period.end))
    if rest.start == rest.end:
        return []
    price = prices[paid.price]
    whole = cycle.whole(subscription, price, item.period)
    return [
        proration(
            subscription.id,
            item,
            price,
            direction="credit",
            quantity=paid.quantity,
            period=rest,
            share=cycle.ratio(rest, whole),
            credited=None if subscription.billing_mode.type == "classic" else paid.period,
        )
    ]


def left_behind(
    subscription: Subscription,
    item: SubscriptionItem,
    prices: Prices,
    *,
    behavior: ProrationBehavior,
    now: datetime,
) -> list[Billable]:
    """What an item that stays leaves when its period is broken off: its usage always, unused time unless `none`."""
    price = prices[item.price]
    if price.metered:
        return [_usage(subscription, item, price, now=now)]
    return [] if behavior == "none" else unused(subscription, item, prices, since=now)


def _pairs(subscription: Subscription, changes: Sequence[ItemChange], *, now: datetime) -> list[Pair]:
    by_id = {change.id: change for change in changes if not isinstance(change, Added)}
    for id in by_id:
        if subscription.item(id) is None:
            raise Refusal(f"Invalid subscription_item id: {id}")
    pairs: list[Pair] = []
    for item in subscription.items:
        match by_id.get(item.id):
            case None:
                pairs.append((item, item))
            case Removed():
                pairs.append((item, None))
            case Altered() as asked:
                altered = replace(
                    item,
                    price=asked.price,
                    quantity=asked.quantity,
                    tax_rates=asked.tax_rates,
                    discounts=asked.discounts,
                    metadata=asked.metadata,
                )
                pairs.append((item, altered))
    for added in changes:
        if isinstance(added, Added):
            fresh = SubscriptionItem(
                id=added.id,
                sequence=added.sequence,
                price=added.price,
                quantity=added.quantity,
                tax_rates=added.tax_rates,
                discounts=added.discounts,
                metadata=added.metadata,
                created=now,
                period_start=now,
                period_end=now,
            )
            pairs.append((None, fresh))
    return pairs


def _check_since(subscription: Subscription, since: datetime) -> None:
    for item in subscription.items:
        if not item.period_start <= since <= item.period_end:
            raise Refusal(
                "Cannot specify `proration_date` outside of the current billing period.",
                param="proration_date",
            )


def _restarts(subscription: Subscription, prices: Prices, pairs: Sequence[Pair]) -> bool:
    """Classic billing begins new periods when the interval changes or what was free is not free any more."""
    if subscription.billing_mode.type != "classic":
        return False
    for old, new in pairs:
        if old is None or new is None or old.price == new.price:
            continue
        before, after = prices[old.price], prices[new.price]
        if cycle.interval(before) != cycle.interval(after) or _free(before) != _free(after):
            return True
    return False


def _free(price: Price) -> bool:
    return isinstance(price.model, PerUnit) and price.model.unit == 0


def _place_only(subscription: Subscription, prices: Prices, pairs: Sequence[Pair], *, now: datetime) -> Change:
    """On a trial, or without being billed at all, items come and go at no cost with the period they are in."""
    end = max(now, subscription.items[0].period_end)
    items: list[SubscriptionItem] = []
    for old, new in pairs:
        if new is None:
            continue
        placed = new if old is not None else replace(new, period_start=now, period_end=end)
        metered = prices[new.price].metered
        items.append(replace(placed, usage_from=(subscription.trial_end or now) if metered else None))
    return Change(subscription=replace(subscription, items=tuple(items)), prorations=(), charges=())


def _adjust(
    subscription: Subscription,
    prices: Prices,
    pairs: Sequence[Pair],
    *,
    behavior: ProrationBehavior,
    since: datetime,
    now: datetime,
) -> Change:
    """Items change inside their periods, which stay."""
    items: list[SubscriptionItem] = []
    prorations: list[Billable] = []
    charges: list[Billable] = []
    prorates = behavior != "none"
    for old, new in pairs:
        if old is not None and prorates and not _same(old, new):
            prorations.extend(_closing(subscription, old, prices, since=since, now=now))
        if new is None:
            continue
        if _same(old, new):
            items.append(new)
            continue
        price = prices[new.price]
        begins = old is None or cycle.interval(prices[old.price]) != cycle.interval(price)
        placed = _begun(subscription, new, price, now=now) if begins else new
        if price.metered:
            keeps = old is not None and old.price == new.price
            items.append(placed if keeps else replace(placed, usage_from=now, billed=None))
            continue
        another_interval = begins and old is not None
        start = now if another_interval else max(since, placed.period_start)
        rest = Period(start=start, end=placed.period_end)
        if another_interval:
            share = cycle.share(subscription, price, rest)
            charges.append(advance(subscription.id, placed, price, period=rest, share=share))
        elif prorates:
            prorations.append(_debit(subscription, placed, price, rest))
        items.append(_billed(placed, rest) if another_interval or prorates else replace(placed, usage_from=None))
    return Change(
        subscription=replace(subscription, items=tuple(items)),
        prorations=tuple(prorations),
        charges=tuple(charges),
    )


def _restart(
    subscription: Subscription,
    prices: Prices,
    pairs: Sequence[Pair],
    *,
    behavior: ProrationBehavior,
    since: datetime,
    now: datetime,
) -> Change:
    """Every item begins a new period at `now`: the rest of the old one is given back, the usage closed."""
    moved = replace(subscription, anchor=now, anchor_config=None)
    items: list[SubscriptionItem] = []
    prorations: list[Billable] = []
    charges: list[Billable] = []
    for old, new in pairs:
        if old is not None:
            stays = new is not None and old.price == new.price and prices[old.price].metered
            if stays:
                prorations.append(_usage(subscription, old, prices[old.price], now=now))
            elif behavior != "none":
                prorations.extend(_closing(subscription, old, prices, since=since, now=now))
        if new is None:
            continue
        price = prices[new.price]
        placed = _begun(moved, new, price, now=now)
        if price.metered:
            items.append(replace(placed, usage_from=now))
            continue
        charges.append(advance(subscription.id, placed, price, period=placed.period, share=Fraction(1)))
        items.append(_billed(placed, placed.period))
    return Change(subscription=replace(moved, items=tuple(items)), prorations=tuple(prorations), charges=tuple(charges))


def _begun(subscription: Subscription, item: SubscriptionItem, price: Price, *, now: datetime) -> SubscriptionItem:
    """The item in a period that begins now and of which nothing is billed yet."""
    span = cycle.span(subscription, price, start=now)
    return replace(item, period_start=span.start, period_end=span.end, billed=None)


def _same(old: SubscriptionItem | None, new: SubscriptionItem | None) -> bool:
    """Whether nothing that is billed differs."""
    return old is not None and new is not None and (old.price, old.quantity) == (new.price, new.quantity)


def _closing(
    subscription: Subscription, old: SubscriptionItem, prices: Prices, *, since: datetime, now: datetime
) -> list[Billable]:
    """What an item that leaves or changes leaves behind: unused time, or usage (which classic billing drops)."""
    price = prices[old.price]
    if not price.metered:
        return unused(subscription, old, prices, since=since)
    if subscription.billing_mode.type == "classic":
        return []
    return [_usage(subscription, old, price, now=now)]


def _usage(subscription: Subscription, item: SubscriptionItem, price: Price, *, now: datetime) -> Billable:
    elapsed = Period(start=min(item.period_start, now), end=now)
    return arrears(subscription.id, item, price, until=now, period=elapsed)


def _debit(subscription: Subscription, item: SubscriptionItem, price: Price, rest: Period) -> Billable:
    assert item.quantity is not None
    return proration(
        subscription.id,
        item,
        price,
        direction="debit",
        quantity=item.quantity,
        period=rest,
        share=cycle.ratio(rest, cycle.whole(subscription, price, item.period)),
    )


def _billed(item: SubscriptionItem, rest: Period) -> SubscriptionItem:
    assert item.quantity is not None
    billed = Billed(price=item.price, quantity=item.quantity, period=rest)
    return replace(item, billed=billed, billed_until=rest.end, usage_from=None)
