"""Counters: pure folds of events that merge in any order, and the quantity that they stand for."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import assert_never

from meterline.meter.event import UsageEvent
from meterline.meter.model import Formula, Meter, TimeWindow
from meterline.money import add, subtract

NOTHING = Decimal(0)

_LATEST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A value, when it happened and when it reached us (UTC)."""

    value: Decimal
    occurred_at: datetime
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """What is known of the events of some stretch of time: enough for every formula.

    `max` is the event with the greatest value (the earliest of equals), `last` the one that occurred last,
    `recent` the one that was received last; all null without events. `members` are the distinct texts counted.
    """

    count: int = 0
    sum: Decimal = NOTHING
    max: Reading | None = None
    last: Reading | None = None
    recent: Reading | None = None
    members: frozenset[str] = frozenset()


EMPTY = Bucket()


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """The counters of one UTC hour and one combination of dimension values."""

    hour: datetime
    bucket: Bucket
    dimensions: Mapping[str, str]


def fold(events: Iterable[UsageEvent]) -> Bucket:
    """The counters of these events, whatever their order."""
    bucket = EMPTY
    for event in events:
        bucket = merge(bucket, _single(event))
    return bucket


def merge(left: Bucket, right: Bucket) -> Bucket:
    """The counters of both. Associative and commutative, with EMPTY as the neutral element."""
    return Bucket(
        count=left.count + right.count,
        sum=add(left.sum, right.sum),
        max=_pick(left.max, right.max, _greatest),
        last=_pick(left.last, right.last, _latest_occurred),
        recent=_pick(left.recent, right.recent, _latest_received),
        members=left.members | right.members,
    )


def take_away(whole: Bucket, part: Bucket) -> Bucket:
    """Count and sum without those of a part of it. The rest cannot be taken back, and is left out."""
    assert part.count <= whole.count, "a part is not more than the whole"
    return Bucket(count=whole.count - part.count, sum=subtract(whole.sum, part.sum))


def quantity(meter: Meter, counted: Iterable[Counted]) -> Decimal:
    """What the meter measures over these counters, in any order; 0 without events. A sum may be negative.

    With an event time window, each set of dimension values has in each UTC hour or day the event received last
    instead of all of them; the formula then applies to those.
    """
    buckets = [each for each in counted if each.bucket.count > 0]
    if meter.event_time_window is None:
        merged = EMPTY
        for each in buckets:
            merged = merge(merged, each.bucket)
        return _measure(meter.formula, merged)
    return _measure(meter.formula, _replaced(meter.event_time_window, buckets))


def window_start(window: TimeWindow, instant: datetime) -> datetime:
    """The start of the UTC hour or day that the instant lies in."""
    hour = instant.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return hour if window == "hour" else hour.replace(hour=0)


def _measure(formula: Formula, bucket: Bucket) -> Decimal:
    match formula:
        case "sum":
            return bucket.sum
        case "count":
            return Decimal(bucket.count)
        case "max":
            return bucket.max.value if bucket.max else NOTHING
        case "last":
            return bucket.last.value if bucket.last else NOTHING
        case "unique":
            return Decimal(len(bucket.members))
        case _:
            assert_never(formula)


def _replaced(window: TimeWindow, counted: Iterable[Counted]) -> Bucket:
    """The counters of the events that no later received event of their window replaces.

    They stand for their window, and so all happened at its start: of several, the last is the one received last.
    """
    kept: dict[tuple[datetime, tuple[tuple[str, str], ...]], Reading] = {}
    for each in counted:
        assert each.bucket.recent is not None, "events were received some time"
        key = (window_start(window, each.hour), tuple(sorted(each.dimensions.items())))
        rival = kept.get(key)
        kept[key] = _latest_received(each.bucket.recent, rival) if rival else each.bucket.recent
    result = EMPTY
    for (start, _), reading in kept.items():
        result = merge(result, _of_reading(replace(reading, occurred_at=start)))
    return result


def _single(event: UsageEvent) -> Bucket:
    reading = Reading(value=event.value, occurred_at=event.occurred_at, received_at=event.received_at)
    members = frozenset() if event.member is None else frozenset({event.member})
    bucket = _of_reading(reading)
    return Bucket(count=1, sum=bucket.sum, max=reading, last=reading, recent=reading, members=members)


def _of_reading(reading: Reading) -> Bucket:
    return Bucket(count=1, sum=reading.value, max=reading, last=reading, recent=reading)


def _pick(left: Reading | None, right: Reading | None, choose: Callable[[Reading, Reading], Reading]) -> Reading | None:
    if left is None or right is None:
        return left or right
    return choose(left, right)


def _greatest(left: Reading, right: Reading) -> Reading:
    return max(left, right, key=lambda each: (each.value, _LATEST - each.occurred_at, _LATEST - each.received_at))


def _latest_occurred(left: Reading, right: Reading) -> Reading:
    return max(left, right, key=lambda each: (each.occurred_at, each.received_at, each.value))


def _latest_received(left: Reading, right: Reading) -> Reading:
    return max(left, right, key=lambda each: (each.received_at, each.occurred_at, each.value))
