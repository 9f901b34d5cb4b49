"""Offers: a product with its prices inside, in versions, as wallets are sold.

An offer version bundles what one subscription to the product means. Its prices are ordinary prices of the catalog;
the offer adds what only a wallet needs to know about them: which meter they debit by, how long their tiers
count, and the bounds per event.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal, TypeAlias, assert_never

from meterline.period import Interval

Cadence: TypeAlias = Literal["lifetime", "day", "week", "month", "quarter", "year"]
"""How long tiers count before they begin again: calendar spans, UTC."""

VersionStatus: TypeAlias = Literal["draft", "published", "archived"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MONTHS_IN_QUARTER = 3
_LONGEST = {"month": 31, "quarter": 92, "year": 366}


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferPrice:
    """One price of an offer: `price` of the catalog, in `asset` (upper case).

    A price as it is sold (`id`) may have several of them: one for each asset that can pay for it, tried in the order of
    `rank`, and one for each thing that it counts. `counter` is shared by those that differ in their asset alone: a
    quantity is counted once, whatever pays for it.

    Usage on `meter` is debited as it happens. A fixed price has no meter: it is debited when the subscription
    begins and, with `interval`, at every boundary. `minimum` and `maximum` bound the fee of a single event,
    in major units. `event_type` and `volume_field` say where the quantity comes from; `told` is the price as
    the seller wrote it.
    """

    id: str
    name: str
    price: str
    asset: str
    counter: str
    rank: int = 0
    meter: str | None = None
    event_type: str | None = None
    volume_field: str | None = None
    cadence: Cadence = "lifetime"
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    interval: Interval | None = None
    told: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounting:
    """What a unit of an entitlement counts for when it is used: `revenue` in dollars; its cost is what events say."""

    revenue: Decimal
    cost: Literal["auto"] = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entitlement:
    """Value that comes with the offer: `amount` of `asset` at the start and, with `refreshed`, every so often again.

    It lasts for the span `every` (null: without end). What remains of it then lapses, or with `rollover` goes on for
    another span. Lower priorities are used first.
    """

    name: str
    asset: str
    amount: Decimal
    purpose: Literal["bundled", "promotion"] = "bundled"
    every: Interval | None = None
    refreshed: bool = False
    rollover: bool = False
    accounting: Accounting | None = None
    priority: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferVersion:
    """One version of an offer. A draft can be changed and not subscribed; a published one the other way round."""

    environment: str
    product: str
    version: int
    status: VersionStatus
    prices: tuple[OfferPrice, ...]
    entitlements: tuple[Entitlement, ...] = ()
    created: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A product as wallets are sold it: under the seller's `code`, with the version that new subscribers get."""

    environment: str
    product: str
    code: str
    default_version: int | None
    latest_version: int
    created: datetime


def span_start(cadence: Cadence, at: datetime) -> datetime:
    """Where the span of tiers that the instant lies in began, UTC."""
    if cadence == "lifetime":
        return _EPOCH
    day = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    match cadence:
        case "day":
            return day
        case "week":
            return day.fromordinal(day.toordinal() - day.weekday()).replace(tzinfo=UTC)
        case "month":
            return day.replace(day=1)
        case "quarter":
            return day.replace(month=(day.month - 1) // _MONTHS_IN_QUARTER * _MONTHS_IN_QUARTER + 1, day=1)
        case "year":
            return day.replace(month=1, day=1)
        case _:
            assert_never(cadence)


def span_end(cadence: Cadence, at: datetime) -> datetime | None:
    """Where the next span of tiers begins, UTC; null where there is none."""
    start = span_start(cadence, at)
    match cadence:
        case "lifetime":
            return None
        case "day":
            return start + timedelta(days=1)
        case "week":
            return start + timedelta(weeks=1)
        case "month" | "quarter" | "year":
            # A little beyond the longest one lies in the next one's first month.
            return (start + timedelta(days=_LONGEST[cadence] + 1)).replace(day=1)
        case _:
            assert_never(cadence)
