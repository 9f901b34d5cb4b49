"""Threshold alerts: which levels a customer has crossed, and when the next one is likely to be.

An alert says what is watched and at which levels; a watch is one customer's standing under it. Each level is told
once when it is crossed and, where the alert recurs, once when it is crossed back; a new period arms all levels
again. Levels jumped over at once are told one by one, lowest first.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Literal, TypeAlias
from uuid import UUID

from meterline.money import decimal_text
from meterline.refusal import Refusal

Measure: TypeAlias = Literal["usage", "allowance", "spend", "balance"]
"""`usage`: the quantity itself; `allowance`: the quantity against what the customer's prices include; `spend`: what the
usage of a subscription's period costs so far, in minor units; `balance`: what a wallet has available of an asset,
watched downwards (see `balance`).
"""
COUNTED: frozenset[Measure] = frozenset({"usage", "allowance"})
"""Measures of a meter's quantity, judged as usage is stored."""
Unit: TypeAlias = Literal["amount", "percent"]
Recurrence: TypeAlias = Literal["one_time", "period"]
Status: TypeAlias = Literal["active", "inactive", "archived"]
Direction: TypeAlias = Literal["crossed", "recovered"]

MOST_PER_CUSTOMER = 25
"""Alerts on one meter that apply to one customer."""
INCLUDED_USAGE = "alrt_included_usage"
"""The alert that every environment begins with."""
LIFETIME = datetime(1970, 1, 1, tzinfo=UTC)
LAST = datetime(9999, 12, 31, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """What is watched. `meter` null: every meter; `customer` null: every customer.

    `asset` is what a balance is of, or the currency of what is spent; null for the other measures. `levels` ascend;
    `percent` levels are of the allowance. A `one_time` alert looks at all usage ever and fires once per customer and
    level, a `period` one begins anew with each billing period. `emails` are told as well. `created` and `updated` are
    UTC.
    """

    environment: str
    id: str
    sequence: UUID
    title: str
    measure: Measure
    unit: Unit
    levels: tuple[Decimal, ...]
    recurrence: Recurrence
    meter: str | None = None
    asset: str | None = None
    customer: str | None = None
    customer_id: UUID | None = None
    status: Status = "active"
    emails: tuple[str, ...] = ()
    created: datetime
    updated: datetime

    @property
    def lifelong(self) -> bool:
        """Looks at all usage ever and fires once, as Stripe's alerts do."""
        return self.measure == "usage" and self.recurrence == "one_time"

    def applies(self, *, meter: str, customer_id: UUID) -> bool:
        """Whether usage on the meter by the customer is watched by it."""
        watching = self.status == "active" and self.measure in COUNTED
        return watching and self.meter in (None, meter) and self.customer_id in (None, customer_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """One customer's standing under one alert on one meter, in `[window_start, window_end)` (null: without end).

    For an alert on spending, `meter` names the subscription instead, and quantities are minor units. `value` is the
    quantity so far; null says that it has to be read again, with the window and the allowance. `size` is the
    allowance, null where there is none. `crossed` holds the levels that were told.
    """

    environment: str
    customer_id: UUID
    meter: str
    alert: str
    customer: str
    test_clock: str | None
    window_start: datetime
    window_end: datetime | None
    size: Decimal | None
    value: Decimal | None
    crossed: tuple[Decimal, ...] = ()

    def covers(self, instant: datetime) -> bool:
        """Whether usage at the instant counts in the window."""
        return self.window_start <= instant and (self.window_end is None or instant < self.window_end)


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """A level passed: upwards (`crossed`) or back (`recovered`). `threshold` is the level as a quantity."""

    level: Decimal
    threshold: Decimal
    direction: Direction


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertTriggered:
    """What is told of a crossing. `value` is the quantity that caused it, `created` the customer's time, UTC.

    `meter` is the subscription where money is what was counted.
    """

    id: str
    alert: Alert
    customer: str
    meter: str
    value: Decimal
    size: Decimal | None
    crossing: Crossing
    window_start: datetime
    window_end: datetime | None
    created: datetime


def check_levels(levels: tuple[Decimal, ...], *, param: str) -> None:
    """Refuse levels that are not positive, or not ascending."""
    if not levels or levels[0] <= 0:
        raise Refusal("An alert needs at least one level, and levels are greater than 0.", param=param)
    if any(low >= high for low, high in pairwise(levels)):
        raise Refusal("Levels must ascend.", param=param)


def thresholds(alert: Alert, size: Decimal | None) -> dict[Decimal, Decimal]:
    """The quantity that each level stands for; nothing where the alert needs an allowance and there is none."""
    if alert.measure == "allowance" and not size:
        return {}
    if alert.unit == "amount":
        return {level: level for level in alert.levels}
    assert size is not None, "percentages are of an allowance"
    return {level: level * size / 100 for level in alert.levels}


def judge(alert: Alert, watch: Watch) -> tuple[Watch, tuple[Crossing, ...]]:
    """What the watch's value means: the watch with the levels now crossed, and what there is to tell."""
    assert watch.value is not None, "the value was read"
    due = thresholds(alert, watch.size)
    told = set(watch.crossed)
    reached = {level for level, threshold in due.items() if watch.value >= threshold}
    back = set() if alert.recurrence == "one_time" else told - reached
    crossings = [
        *(_crossing(level, due, "crossed") for level in sorted(reached - told)),
        *(_crossing(level, due, "recovered") for level in sorted(back & due.keys(), reverse=True)),
    ]
    standing = tuple(sorted((told - back) | reached))
    return replace(watch, crossed=standing), tuple(crossings)


def _crossing(level: Decimal, due: dict[Decimal, Decimal], direction: Direction) -> Crossing:
    return Crossing(level=level, threshold=due[level], direction=direction)


def next_crossing(alert: Alert, watch: Watch) -> Crossing | None:
    """The lowest level not crossed yet."""
    value = watch.value or Decimal(0)
    ahead = {level: at for level, at in thresholds(alert, watch.size).items() if at > value}
    level = min(ahead, default=None)
    return None if level is None else _crossing(level, ahead, "crossed")


def forecast(*, value: Decimal, threshold: Decimal, since: datetime, now: datetime) -> datetime | None:
    """When the threshold is reached if usage goes on as it did from `since` to `now`; null without usage.

    `now` itself when it is reached already.
    """
    if value >= threshold:
        return now
    if value <= 0 or now <= since:
        return None
    seconds = Fraction(threshold) / Fraction(value) * ((now - since) // SECOND)
    if seconds > (LAST - since) // SECOND:
        return None
    return since + int(seconds) * SECOND


def letter(told: AlertTriggered, *, meter: str) -> tuple[str, str]:
    """The subject and the text of the e-mail about a crossing; `meter` is the meter's display name."""
    crossing = told.crossing
    level = f"{decimal_text(crossing.level)} %" if told.alert.unit == "percent" else decimal_text(crossing.level)
    verb = "reached" if crossing.direction == "crossed" else "fell below"
    until = "" if told.window_end is None else f" to {told.window_end:%Y-%m-%d %H:%M} UTC"
    lines = [
        f"Customer {told.customer} {verb} {level} on {meter}.",
        "",
        f"Alert:     {told.alert.title} ({told.alert.id})",
        f"Usage:     {decimal_text(told.value)}",
        f"Threshold: {decimal_text(crossing.threshold)}",
        f"Period:    {told.window_start:%Y-%m-%d %H:%M}{until}",
        f"Time:      {told.created:%Y-%m-%d %H:%M} UTC",
    ]
    if told.size is not None:
        lines.insert(4, f"Included:  {decimal_text(told.size)}")
    return f"{told.customer} {verb} {level} on {meter}: {told.alert.title}", "\n".join(lines) + "\n"
