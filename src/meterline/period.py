"""Half-open periods and the cycles that they tile.

Every boundary is computed from the original anchor (`anchor + n · interval`), never from the previous
boundary, so that a month-end anchor comes back to its day: 31 Jan, 28 Feb, 31 Mar. All instants are aware
and come back in UTC; the zone only says in which calendar days and months are counted.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from fractions import Fraction
from functools import cache
from typing import Literal, assert_never
from zoneinfo import ZoneInfo

Unit = Literal["day", "week", "month", "year"]

_MICROSECOND = timedelta(microseconds=1)
_MONTHS_IN_YEAR = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """The instants from `start` up to, not including, `end`. Equal ends make an empty period."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        assert self.start.tzinfo is not None and self.end.tzinfo is not None, "instants are aware"
        assert self.start <= self.end, "a period does not end before it starts"

    @property
    def duration(self) -> timedelta:
        """How long it lasts, in elapsed time."""
        return self.end - self.start

    def contains(self, instant: datetime) -> bool:
        """Whether the instant lies in it; the start does, the end does not."""
        return self.start <= instant < self.end


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A cadence: every `count` days, weeks, months or years."""

    unit: Unit
    count: int = 1

    def __post_init__(self) -> None:
        assert self.count >= 1, "an interval is at least one unit long"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """Periods that tile time: boundary n is `anchor + n · interval`, for negative n too.

    `zone` names the calendar (IANA). `day` is the day of month that was asked for, where the anchor's own
    month is too short for it: an anchor on 28 February that stands for day 31 has its next boundary on 31 March.

    A local time that a clock change skips is moved forward by the gap; one that comes twice is the first one.
    """

    anchor: datetime
    interval: Interval
    zone: str = "UTC"
    day: int | None = None

    def __post_init__(self) -> None:
        assert self.anchor.tzinfo is not None, "instants are aware"
        assert self.day is None or 1 <= self.day <= 31, "a day of month"

    def boundary(self, n: int) -> datetime:
        """The n-th boundary, UTC; number 0 is the anchor itself. OverflowError beyond year 9999."""
        if n == 0:
            return self.anchor.astimezone(UTC)
        local = self._local(self.anchor)
        steps = n * self.interval.count
        match self.interval.unit:
            case "day":
                moved = local + timedelta(days=steps)
            case "week":
                moved = local + timedelta(weeks=steps)
            case "month":
                moved = _months_later(local, steps, day=self.day or local.day)
            case "year":
                moved = _months_later(local, steps * _MONTHS_IN_YEAR, day=self.day or local.day)
            case _:
                assert_never(self.interval.unit)
        return moved.replace(tzinfo=_zone(self.zone), fold=0).astimezone(UTC)

    def index(self, at: datetime) -> int:
        """The number of the period that the instant lies in: the last n with boundary(n) ≤ at."""
        n = self._estimate(at)
        while self.boundary(n) > at:
            n -= 1
        while self.boundary(n + 1) <= at:
            n += 1
        return n

    def period(self, n: int) -> Period:
        """The n-th period: from boundary n to boundary n + 1."""
        return Period(start=self.boundary(n), end=self.boundary(n + 1))

    def containing(self, at: datetime) -> Period:
        """The period that the instant lies in; at a boundary, the period that starts there."""
        return self.period(self.index(at))

    def next_boundary(self, after: datetime) -> datetime:
        """The first boundary later than the instant."""
        return self.boundary(self.index(after) + 1)

    def periods(self, start: datetime) -> Iterator[Period]:
        """The period containing `start`, then every later one, without end. They touch and never overlap."""
        n = self.index(start)
        while True:
            yield self.period(n)
            n += 1

    def _local(self, instant: datetime) -> datetime:
        return instant.astimezone(_zone(self.zone)).replace(tzinfo=None, fold=0)

    def _estimate(self, at: datetime) -> int:
        anchor, local = self._local(self.anchor), self._local(at)
        days, count = (local - anchor).days, self.interval.count
        months = (local.year - anchor.year) * _MONTHS_IN_YEAR + local.month - anchor.month
        match self.interval.unit:
            case "day":
                return days // count
            case "week":
                return days // (7 * count)
            case "month":
                return months // count
            case "year":
                return months // (_MONTHS_IN_YEAR * count)
            case _:
                assert_never(self.interval.unit)


def first_anchor(
    *,
    created: datetime,
    day_of_month: int,
    month: int | None = None,
    hour: int | None = None,
    minute: int | None = None,
    second: int | None = None,
) -> datetime:
    """The first instant at or after `created` that falls on that day and time, UTC.

    Parts of the time not given are those of `created`. A month too short for the day uses its last day. Without
    `month` every month qualifies, with it only that month of a year.
    """
    assert 1 <= day_of_month <= 31 and (month is None or 1 <= month <= _MONTHS_IN_YEAR)
    start = created.astimezone(UTC)
    wanted = start.replace(
        hour=start.hour if hour is None else hour,
        minute=start.minute if minute is None else minute,
        second=start.second if second is None else second,
        microsecond=0,
    )
    step = 1 if month is None else _MONTHS_IN_YEAR
    first = wanted.replace(day=1) if month is None else wanted.replace(day=1, month=month)
    for ahead in (0, step):
        candidate = _months_later(first, ahead, day=day_of_month)
        if candidate >= start.replace(microsecond=0):
            return candidate
    raise AssertionError("the next month or year always lies ahead")


def remaining(period: Period, at: datetime) -> Fraction:
    """The share of the period still to come at an instant: 1 at its start, 0 at its end. Exact.

    Outside the period the nearer end counts, so the answer is always in [0, 1]. An empty period has 0 left.
    """
    if period.start == period.end:
        return Fraction(0)
    clamped = min(max(at, period.start), period.end)
    return _ratio(period.end - clamped, period.duration)


def stub(*, start: datetime, anchor: datetime, interval: Interval, zone: str = "UTC") -> Fraction:
    """How many intervals fit between `start` and a later `anchor`, exact.

    They are imagined as beginning at `start`, which settles how long "a whole interval" is: monthly, 15 Feb to
    1 Mar is 14/28 and 15 Jan to 1 Feb is 17/31. A start further back gives whole intervals plus such a share.
    """
    assert start <= anchor, "the anchor is not before the start"
    imagined = Cycle(anchor=start, interval=interval, zone=zone)
    whole = imagined.index(anchor)
    last = imagined.period(whole)
    return whole + _ratio(anchor - last.start, last.duration)


def _ratio(part: timedelta, whole: timedelta) -> Fraction:
    return Fraction(part // _MICROSECOND, whole // _MICROSECOND)


def _months_later(local: datetime, months: int, *, day: int) -> datetime:
    """The same time of day `months` later, on `day` or the last day of a shorter month."""
    year, month0 = divmod(local.year * _MONTHS_IN_YEAR + local.month - 1 + months, _MONTHS_IN_YEAR)
    if not 1 <= year <= 9998:
        raise OverflowError("date out of range")
    return local.replace(year=year, month=month0 + 1, day=min(day, _days_in_month(year, month0 + 1)))


def _days_in_month(year: int, month: int) -> int:
    following = date(year + month // _MONTHS_IN_YEAR, month % _MONTHS_IN_YEAR + 1, 1)
    return (following - timedelta(days=1)).day


@cache
def _zone(name: str) -> tzinfo:
    return UTC if name == "UTC" else ZoneInfo(name)
