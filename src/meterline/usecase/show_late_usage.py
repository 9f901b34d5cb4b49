"""Show what came after its invoice was finalized: how much of it, where it was billed, and what is still to be."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.catalog import Price
from meterline.customer import Customer
from meterline.invoice.compose import UsageKey, window_key
from meterline.invoice.late import BilledWindow, billed_windows
from meterline.invoice.line import InvoiceLine
from meterline.store import billed_usage, usage_policy
from meterline.store import price as prices
from meterline.store import subscription as subscriptions
from meterline.store.billed_usage import LateCount
from meterline.store.event import Stored
from meterline.store.usage_policy import LateUsage
from meterline.subscription.model import Subscription
from meterline.usecase.bill_late_usage import REACH, corrections

LOOKS_BACK = timedelta(days=100)

LateFate = Literal["billed", "next_invoice", "ignored", "not_billed"]
"""`next_invoice` is still to be billed; `not_billed` never will be, whatever the environment's policy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LateWindow:
    """A billed window with usage that changed since. `pending` is what the next invoice would bill, if any will."""

    item: str
    price: str
    meter: str
    start: datetime
    end: datetime
    billed: BilledWindow
    came: LateCount
    pending: InvoiceLine | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Late:
    """What became of one late event: the invoice it came too late for, and the one that billed it, if one did."""

    after: str
    billed_on: str | None
    fate: LateFate


async def late_windows(tx: AsyncConnection, of: Customer, *, now: datetime) -> list[LateWindow]:
    """The customer's windows with late usage, latest first, as far as `LOOKS_BACK` before the customer's time `now`.

    Reads the events of those windows one by one.
    """
    found = await billed_usage.about(tx, customer_id=of.customer_id, since=now - LOOKS_BACK)
    windows = billed_windows(found)
    priced = await prices.find(tx, of.environment, {price for _, price, _ in windows})
    meters = {key: _meter(priced[key[1]]) for key in windows}
    came = await billed_usage.came_late(
        tx,
        customer_id=of.customer_id,
        windows=[(meters[key], key[2], window.counted_at) for key, window in windows.items()],
    )
    late = {key: count for key, count in zip(windows, came, strict=True) if count.any or windows[key].corrections}
    pending = await _pending(tx, of, {key: windows[key] for key in late})
    shown = [
        LateWindow(
            item=key[0],
            price=key[1],
            meter=meters[key],
            start=key[2].start,
            end=key[2].end,
            billed=windows[key],
            came=count,
            pending=pending.get(key),
        )
        for key, count in late.items()
    ]
    return sorted(shown, key=lambda each: each.end, reverse=True)


async def life_of_late(tx: AsyncConnection, event: Stored) -> list[Late]:
    """What became of an event in each window that was finalized before it came; nothing where it was in time."""
    customer_id = event.customer_id
    found = await billed_usage.about(tx, customer_id=customer_id, since=event.occurred_at)
    windows = billed_windows(found)
    priced = await prices.find(tx, event.environment, {price for _, price, _ in windows})
    late = {
        key: window
        for key, window in windows.items()
        if _meter(priced[key[1]]) == event.meter
        and key[2].start <= event.occurred_at < key[2].end
        and event.received_at > window.counted_at
    }
    if not late:
        return []
    living = await _living(tx, event.environment, late.values())
    policy = (await usage_policy.find(tx, event.environment)).late_usage
    return [_late(event, key, window, living, policy) for key, window in late.items()]


def _late(
    event: Stored,
    key: UsageKey,
    window: BilledWindow,
    living: Mapping[str, Subscription],
    policy: LateUsage,
) -> Late:
    if event.through_stripe or event.voided_at is not None:
        return Late(after=window.invoice, billed_on=None, fate="not_billed")
    for each in window.corrections:
        if each.counted_at is not None and each.counted_at >= event.received_at:
            return Late(after=window.invoice, billed_on=each.invoice, fate="billed")
    if policy == "ignore":
        return Late(after=window.invoice, billed_on=None, fate="ignored")
    reached = _reached(key, window, living)
    return Late(after=window.invoice, billed_on=None, fate="next_invoice" if reached else "not_billed")


async def _pending(
    tx: AsyncConnection, of: Customer, late: Mapping[UsageKey, BilledWindow]
) -> dict[UsageKey | None, InvoiceLine]:
    if (await usage_policy.find(tx, of.environment)).late_usage == "ignore":
        return {}
    living = await _living(tx, of.environment, late.values())
    reached = {key: window for key, window in late.items() if _reached(key, window, living)}
    lines = await corrections(tx, environment=of.environment, customer_id=of.customer_id, billed=reached)
    return {window_key(line): line for line in lines}


async def _living(tx: AsyncConnection, environment: str, windows: Iterable[BilledWindow]) -> Mapping[str, Subscription]:
    ids = {window.lines[0].subscription for window in windows}
    return await subscriptions.find(tx, environment, sorted(id for id in ids if id is not None))


def _reached(key: UsageKey, window: BilledWindow, living: Mapping[str, Subscription]) -> bool:
    """Whether an invoice will still look at the window."""
    subscription = living.get(window.lines[0].subscription or "")
    if subscription is None or subscription.ended:
        return False
    return key[2].end > min(item.period_start for item in subscription.items) - REACH


def _meter(price: Price) -> str:
    assert price.recurring is not None and price.recurring.meter is not None, "usage is counted by a meter"
    return price.recurring.meter
