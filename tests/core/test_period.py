"""Periods and cycles: boundaries come from the anchor, tile, and survive short months and clock changes."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterline.period import Cycle, Interval, Period, first_anchor, remaining, stub

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Kiritimati"]

CENTURY = 100 * 366 * 86_400 * 10**6
instants = st.integers(0, CENTURY).map(lambda ahead: datetime(1990, 1, 1, tzinfo=UTC) + timedelta(microseconds=ahead))
seconds = instants.map(lambda instant: instant.replace(microsecond=0))
intervals = st.builds(
    Interval, unit=st.sampled_from(["day", "week", "month", "year"]), count=st.sampled_from([1, 2, 3, 6, 12, 36])
)
cycles = st.builds(
    Cycle, anchor=seconds, interval=intervals, zone=st.sampled_from(ZONES), day=st.none() | st.integers(28, 31)
)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def boundaries(anchor: str, unit: str, *, count: int = 1, numbers: range, zone: str = "UTC") -> list[str]:
    every = Interval(unit=unit, count=count)  # type: ignore[arg-type]
    cycle = Cycle(anchor=utc(anchor), interval=every, zone=zone)
    return [cycle.boundary(n).strftime("%Y-%m-%d %H:%M") for n in numbers]


def dates(anchor: str, unit: str, *, count: int = 1, numbers: range) -> list[str]:
    return [text.split()[0] for text in boundaries(anchor, unit, count=count, numbers=numbers)]


def test_a_month_end_anchor_comes_back_to_its_day() -> None:
    expected = ["2025-12-31", "2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31"]
    assert dates("2026-01-31", "month", numbers=range(-1, 5)) == expected


def test_february_of_a_leap_year_has_a_29th() -> None:
    assert dates("2028-01-30", "month", numbers=range(3)) == ["2028-01-30", "2028-02-29", "2028-03-30"]


def test_an_anchor_on_a_leap_day_waits_for_the_next_one() -> None:
    expected = ["2028-02-29", "2029-02-28", "2030-02-28", "2031-02-28", "2032-02-29"]
    assert dates("2028-02-29", "year", numbers=range(5)) == expected


@pytest.mark.parametrize(
    ("unit", "count", "expected"),
    [
        ("day", 1, ["2026-03-10", "2026-03-11", "2026-03-12"]),
        ("day", 90, ["2026-03-10", "2026-06-08", "2026-09-06"]),
        ("week", 1, ["2026-03-10", "2026-03-17", "2026-03-24"]),
        ("week", 2, ["2026-03-10", "2026-03-24", "2026-04-07"]),
        ("month", 3, ["2026-03-10", "2026-06-10", "2026-09-10"]),
        ("year", 3, ["2026-03-10", "2029-03-10", "2032-03-10"]),
    ],
)
def test_every_unit_and_count(unit: str, count: int, expected: list[str]) -> None:
    assert dates("2026-03-10", unit, count=count, numbers=range(3)) == expected


def test_an_anchor_that_stands_for_a_longer_month_keeps_the_day_asked_for() -> None:
    cycle = Cycle(anchor=utc("2026-02-28"), interval=Interval(unit="month"), day=31)
    assert [cycle.boundary(n).day for n in range(4)] == [28, 31, 30, 31]


def test_a_local_day_stays_a_local_day_over_clock_changes() -> None:
    """Midnight in Berlin is 23:00 UTC in winter and 22:00 in summer."""
    expected = ["2026-03-27 23:00", "2026-03-28 23:00", "2026-03-29 22:00"]
    assert boundaries("2026-03-27 23:00", "day", numbers=range(3), zone="Europe/Berlin") == expected


def test_a_local_time_that_is_skipped_moves_forward_by_the_gap() -> None:
    expected = ["2026-03-28 01:30", "2026-03-29 01:30", "2026-03-30 00:30"]
    assert boundaries("2026-03-28 01:30", "day", numbers=range(3), zone="Europe/Berlin") == expected


def test_a_local_time_that_comes_twice_is_the_first_one() -> None:
    expected = ["2026-10-24 00:30", "2026-10-25 00:30", "2026-10-26 01:30"]
    assert boundaries("2026-10-24 00:30", "day", numbers=range(3), zone="Europe/Berlin") == expected


def test_the_end_of_a_period_belongs_to_the_next_one() -> None:
    cycle = Cycle(anchor=utc("2026-01-31"), interval=Interval(unit="month"))
    end = utc("2026-02-28")
    assert cycle.containing(end - timedelta(seconds=1)).end == end
    assert cycle.containing(end).start == end
    assert cycle.next_boundary(end) == utc("2026-03-31")
    assert not cycle.period(0).contains(end)


def test_beyond_the_last_year_there_is_no_boundary() -> None:
    cycle = Cycle(anchor=utc("2026-01-31"), interval=Interval(unit="year", count=3))
    with pytest.raises(OverflowError):
        cycle.boundary(3000)


@pytest.mark.parametrize(
    ("created", "asked", "expected"),
    [
        pytest.param("2026-01-10 08:30:15", {"day_of_month": 31}, "2026-01-31 08:30:15", id="later this month"),
        pytest.param("2026-02-10 08:30:15", {"day_of_month": 31}, "2026-02-28 08:30:15", id="short month"),
        pytest.param("2026-01-10 08:30:15", {"day_of_month": 1}, "2026-02-01 08:30:15", id="next month"),
        pytest.param("2026-12-10 08:30:15", {"day_of_month": 1}, "2027-01-01 08:30:15", id="next year"),
        pytest.param("2026-01-10 08:30:15", {"day_of_month": 10}, "2026-01-10 08:30:15", id="now"),
        pytest.param("2026-01-10 08:30:15", {"day_of_month": 10, "hour": 8, "minute": 30, "second": 14},
                     "2026-02-10 08:30:14", id="a second too late"),
        pytest.param("2026-01-10 08:30:15", {"day_of_month": 10, "hour": 9}, "2026-01-10 09:30:15", id="later today"),
        pytest.param("2026-05-10 08:30:15", {"day_of_month": 31, "month": 2}, "2027-02-28 08:30:15", id="a month"),
    ],
)  # fmt: skip
def test_the_first_anchor_is_the_next_such_day(created: str, asked: dict[str, int], expected: str) -> None:
    anchor = first_anchor(
        created=utc(created),
        day_of_month=asked["day_of_month"],
        month=asked.get("month"),
        hour=asked.get("hour"),
        minute=asked.get("minute"),
        second=asked.get("second"),
    )
    assert anchor == utc(expected)


def test_what_is_left_is_counted_in_exact_seconds() -> None:
    month = Period(start=utc("2026-01-01"), end=utc("2026-02-01"))
    assert remaining(month, utc("2026-01-16")) == Fraction(16, 31)
    assert remaining(month, utc("2026-01-01 00:00:01")) == Fraction(31 * 86400 - 1, 31 * 86400)


def test_a_period_does_not_end_before_it_starts() -> None:
    with pytest.raises(AssertionError, match="does not end before it starts"):
        Period(start=utc("2026-01-02"), end=utc("2026-01-01"))


def test_naive_times_are_no_instants() -> None:
    with pytest.raises(AssertionError, match="aware"):
        Cycle(anchor=utc("2026-01-01").replace(tzinfo=None), interval=Interval(unit="day"))


@given(cycles, seconds)
def test_periods_tile_time(cycle: Cycle, start: datetime) -> None:
    found = list(islice(cycle.periods(start), 20))
    assert found[0].contains(start)
    assert all(earlier.end == later.start for earlier, later in pairwise(found))
    assert all(period.start < period.end for period in found)


@given(cycles, st.integers(-50, 50))
def test_a_boundary_begins_the_period_of_its_number(cycle: Cycle, n: int) -> None:
    start = cycle.boundary(n)
    assert cycle.index(start) == n
    assert cycle.index(start - timedelta(microseconds=1)) == n - 1
    assert cycle.next_boundary(start) == cycle.boundary(n + 1)


@given(seconds, st.integers(1, 12), st.integers(-100, 100), st.integers(-100, 100))
def test_two_steps_are_one_when_no_month_is_too_short(anchor: datetime, count: int, m: int, n: int) -> None:
    early = anchor.replace(day=min(anchor.day, 28))
    interval = Interval(unit="month", count=count)
    there = Cycle(anchor=early, interval=interval).boundary(m)
    assert Cycle(anchor=there, interval=interval).boundary(n) == Cycle(anchor=early, interval=interval).boundary(m + n)


@given(seconds, seconds, instants)
def test_what_is_left_is_a_share(one: datetime, other: datetime, at: datetime) -> None:
    period = Period(start=min(one, other), end=max(one, other))
    assert 0 <= remaining(period, at) <= 1


@given(cycles, seconds, seconds)
def test_less_is_left_later(cycle: Cycle, one: datetime, other: datetime) -> None:
    period = cycle.containing(one)
    sooner, later = sorted([one, other])
    assert remaining(period, sooner) >= remaining(period, later)


@given(seconds, intervals, st.integers(0, 10**8))
def test_a_stub_up_to_the_next_natural_date_is_a_share(start: datetime, interval: Interval, ahead: int) -> None:
    natural = Cycle(anchor=start, interval=interval).boundary(1)
    anchor = min(start + timedelta(seconds=ahead), natural)
    share = stub(start=start, anchor=anchor, interval=interval)
    assert 0 <= share <= 1
    assert (share == 1) == (anchor == natural)
