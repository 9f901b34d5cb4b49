"""Keep the wallet's tariffs those of a customer's subscriptions: what they are for is said for each price.

A setting is the customer's for the price. What it means for the items of a subscription, as they come and go and begin
new windows, are the wallet's tariffs: usage is debited by those that cover the instant when it happened.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.catalog import Price
from meterline.catalog.collection import Setting, Stretch, Windows, stretches
from meterline.meter import Meter
from meterline.store import collection as store
from meterline.store import meter, offer
from meterline.store import price as prices
from meterline.store.database import driver
from meterline.store.offer import Tariff
from meterline.subscription import cycle
from meterline.subscription.model import Status, Subscription, SubscriptionItem

_BILLED: frozenset[Status] = frozenset({"trialing", "active", "past_due", "unpaid"})
"""Subscriptions whose usage is billed, once their trial is over."""


async def follow_subscription(
    tx: AsyncConnection, before: Subscription | None, after: Subscription, *, now: datetime
) -> None:
    """Make the wallet's tariffs those of a subscription as it has become. `now` is the customer's time, UTC."""
    chosen = store.settings(await store.chosen(tx, after.customer_id))
    if not chosen:
        return
    items = {item.id: item for item in after.items}
    gone = {item.id for item in before.items} - items.keys() if before is not None else set()
    standing = [
        each
        for each in await offer.tariffs(await driver(tx), [after.customer_id])
        if each.subscription in items.keys() | gone
    ]
    catalog = await prices.find(tx, after.environment, {item.price for item in after.items})
    for item in after.items:
        priced = catalog[item.price].in_currency(after.currency)
        known = [each for each in standing if each.subscription == item.id]
        bills = after.status in _BILLED and priced.metered
        wanted = _wanted(after, item, priced, chosen.get(item.price, ())) if bills else None
        await _settle(tx, _Item(after, item, priced), known, wanted, now=after.ended_at or now)
    for each in standing:
        if each.subscription in gone:
            await _end(tx, each, at=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """When the wallet is to pay for an item's usage, and the windows it is billed by."""

    stretches: tuple[Stretch, ...]
    windows: Windows


def _wanted(
    subscription: Subscription, item: SubscriptionItem, price: Price, settings: Sequence[Setting]
) -> _Wanted | None:
    if item.usage_from is None:
        return None
    return _Wanted(
        stretches=stretches(settings, since=item.usage_from),
        windows=Windows(since=item.usage_from, cycle=cycle.tiles(subscription, price)),
    )


@dataclass(frozen=True, slots=True)
class _Item:
    subscription: Subscription
    item: SubscriptionItem
    price: Price


async def _settle(
    tx: AsyncConnection, of: _Item, known: Sequence[Tariff], wanted: _Wanted | None, *, now: datetime
) -> None:
    """End the tariffs that do not hold any more, and begin those that are missing."""
    if wanted is None:
        for each in known:
            await _end(tx, each, at=now)
        return
    since = wanted.windows.since
    missing = list(wanted.stretches)
    cut: datetime | None = None
    for each in known:
        if each.ends_at is not None and each.ends_at <= min(since, now):
            continue
        kept = next((stretch for stretch in missing if _holds(each, of, stretch, wanted.windows, now=now)), None)
        if kept is not None:
            missing.remove(kept)
            continue
        end = now if _same_windows(each, of, wanted.windows) else min(since, now)
        cut = end if each.starts_at < end else cut
        await _end(tx, each, at=end)
    for stretch in missing:
        start = max(stretch.starts_at, now if cut is None else cut)
        if stretch.ends_at is None or start < stretch.ends_at:
            await offer.add_tariffs(tx, [await _tariff(tx, of, stretch, wanted.windows, starts_at=start)])


def _holds(tariff: Tariff, of: _Item, stretch: Stretch, windows: Windows, *, now: datetime) -> bool:
    """Whether the tariff is for this stretch. Where it began is past for both, that is as it was."""
    began = tariff.starts_at == stretch.starts_at or max(tariff.starts_at, stretch.starts_at) <= now
    same = (tariff.collection, tariff.ends_at) == (stretch.collection, stretch.ends_at)
    return began and same and _same_windows(tariff, of, windows)


def _same_windows(tariff: Tariff, of: _Item, windows: Windows) -> bool:
    """Whether the tariff counts by these windows: the ones it began with, or later ones of the same cycle."""
    had = tariff.windows
    if had is None or tariff.price != of.price.id or had.cycle != windows.cycle:
        return False
    return had.since == windows.since or (had.since < windows.since and had.start(windows.since) == windows.since)


async def _end(tx: AsyncConnection, tariff: Tariff, *, at: datetime) -> None:
    if tariff.ends_at is None or tariff.ends_at > at:
        await store.end_tariff(tx, tariff, at=at)


async def _tariff(tx: AsyncConnection, of: _Item, stretch: Stretch, windows: Windows, *, starts_at: datetime) -> Tariff:
    counted = await _meter(tx, of.price)
    return Tariff(
        environment=of.subscription.environment,
        customer_id=of.subscription.customer_id,
        subscription=of.item.id,
        price=of.price.id,
        sold=of.price.id,
        counter=of.price.id,
        product=of.price.product,
        version=0,
        meter=counted.id,
        formula=counted.formula,
        asset=of.subscription.currency.upper(),
        cadence="lifetime",
        minimum=None,
        maximum=None,
        starts_at=starts_at,
        ends_at=stretch.ends_at,
        collection=stretch.collection,
        windows=windows,
    )


async def _meter(tx: AsyncConnection, price: Price) -> Meter:
    assert price.recurring is not None and price.recurring.meter is not None, "usage is counted by a meter"
    return (await meter.find(tx, price.environment, [price.recurring.meter]))[price.recurring.meter]
