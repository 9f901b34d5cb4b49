"""What a meter measures, and that its counters fold and merge in any order."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterline.meter import (
    EMPTY,
    FORMULAS,
    Bucket,
    Counted,
    Formula,
    Meter,
    TimeWindow,
    UsageEvent,
    fold,
    merge,
    quantity,
    take_away,
    window_start,
)

START = datetime(2026, 3, 1, tzinfo=UTC)
CUSTOMER = UUID(int=1)


def meter(formula: Formula, window: TimeWindow | None = None) -> Meter:
    return Meter(
        environment="test",
        id="mtr_1",
        display_name="Tokens",
        event_name="tokens",
        formula=formula,
        event_time_window=window,
        created=START,
        updated=START,
    )


def event(hour: str, value: str, *, received: str | None = None, member: str | None = None) -> UsageEvent:
    """An event at a time of 1 March 2026 (`26:00` is the day after), received at another (by default the same)."""
    return UsageEvent(
        customer_id=CUSTOMER,
        identifier="",
        meter="mtr_1",
        value=Decimal(value),
        occurred_at=clock(hour),
        received_at=clock(received or hour),
        member=member,
    )


def clock(text: str) -> datetime:
    hours, minutes = text.split(":")
    return START + timedelta(hours=int(hours), minutes=int(minutes))


def counted(events: Iterable[UsageEvent]) -> list[Counted]:
    """The counters per hour, as they are kept."""
    hours: dict[datetime, list[UsageEvent]] = {}
    for each in events:
        hours.setdefault(window_start("hour", each.occurred_at), []).append(each)
    return [Counted(hour=hour, bucket=fold(inside), dimensions={}) for hour, inside in hours.items()]


DAY = [
    event("01:10", "5", member="ann"),
    event("01:50", "3", received="01:55", member="bob"),
    event("01:20", "9", received="01:58", member="ann"),
    event("02:30", "-2", member="cy"),
    event("26:00", "4", member="bob"),
]


@pytest.mark.parametrize(("formula", "expected"), [("sum", 19), ("count", 5), ("max", 9), ("last", 4), ("unique", 3)])
def test_formulas(formula: Formula, expected: int) -> None:
    assert quantity(meter(formula), counted(DAY)) == expected


@pytest.mark.parametrize("formula", FORMULAS)
def test_nothing_used_measures_nothing(formula: Formula) -> None:
    assert quantity(meter(formula), []) == 0


def test_the_last_value_is_that_of_the_event_that_occurred_last_not_that_arrived_last() -> None:
    late = [event("05:00", "7"), event("04:00", "1", received="09:00")]
    assert quantity(meter("last"), counted(late)) == 7


def test_a_sum_may_be_negative() -> None:
    assert quantity(meter("sum"), counted([event("01:00", "2"), event("02:00", "-7")])) == -5


@pytest.mark.parametrize(
    ("formula", "window", "expected"),
    [
        pytest.param("sum", "hour", 9 - 2 + 4, id="of each hour the event received last"),
        pytest.param("sum", "day", -2 + 4, id="of each day the event received last"),
        pytest.param("count", "hour", 3, id="an hour counts once"),
        pytest.param("count", "day", 2, id="a day counts once"),
        pytest.param("max", "hour", 9, id="the greatest that stayed"),
        pytest.param("max", "day", 4, id="the greatest that stayed, by day"),
        pytest.param("last", "hour", 4, id="the last that stayed"),
    ],
)
def test_a_time_window_keeps_what_was_received_last(formula: Formula, window: TimeWindow, expected: int) -> None:
    assert quantity(meter(formula, window), counted(DAY)) == expected


def test_each_set_of_dimension_values_has_windows_of_its_own() -> None:
    hour = clock("01:00")
    both = [
        Counted(hour=hour, bucket=fold([event("01:10", "5")]), dimensions={"model": "a"}),
        Counted(hour=hour, bucket=fold([event("01:20", "7")]), dimensions={"model": "b"}),
    ]
    assert quantity(meter("sum", "day"), both) == 12


def test_a_set_of_values_has_no_latest_one() -> None:
    with pytest.raises(AssertionError, match="no latest one"):
        meter("unique", "hour")


def test_windows_are_utc_hours_and_days() -> None:
    berlin = datetime.fromisoformat("2026-03-02T00:30:00+01:00")
    assert window_start("hour", berlin) == datetime(2026, 3, 1, 23, tzinfo=UTC)
    assert window_start("day", berlin) == datetime(2026, 3, 1, tzinfo=UTC)


events = st.builds(
    UsageEvent,
    customer_id=st.just(CUSTOMER),
    identifier=st.just(""),
    meter=st.just("mtr_1"),
    value=st.decimals(min_value=-(10**15), max_value=10**15, places=9),
    occurred_at=st.integers(0, 200).map(lambda minutes: START + timedelta(minutes=17 * minutes)),
    received_at=st.integers(0, 200).map(lambda minutes: START + timedelta(minutes=17 * minutes)),
    member=st.sampled_from([None, "ann", "bob", "cy"]),
)
buckets: st.SearchStrategy[Bucket] = st.lists(events, max_size=5).map(fold)
meters = st.one_of(
    st.builds(meter, st.sampled_from(FORMULAS)),
    st.builds(meter, st.sampled_from(["sum", "count", "max", "last"]), st.sampled_from(["hour", "day"])),
)


@given(buckets, buckets, buckets)
def test_merging_is_associative(a: Bucket, b: Bucket, c: Bucket) -> None:
    assert merge(merge(a, b), c) == merge(a, merge(b, c))


@given(buckets, buckets)
def test_merging_is_commutative(a: Bucket, b: Bucket) -> None:
    assert merge(a, b) == merge(b, a)


@given(buckets)
def test_merging_nothing_changes_nothing(a: Bucket) -> None:
    assert merge(a, EMPTY) == a


@given(st.lists(events, max_size=8), st.integers(0, 8))
def test_folding_in_parts_is_folding_at_once(all_events: list[UsageEvent], cut: int) -> None:
    assert merge(fold(all_events[:cut]), fold(all_events[cut:])) == fold(all_events)


@given(st.lists(events, max_size=8), st.integers(0, 8))
def test_what_was_merged_can_be_taken_away(all_events: list[UsageEvent], cut: int) -> None:
    rest = take_away(fold(all_events), fold(all_events[:cut]))
    kept = fold(all_events[cut:])
    assert (rest.count, rest.sum) == (kept.count, kept.sum)


@given(meters, st.lists(events, max_size=10), st.randoms(use_true_random=False))
def test_the_order_of_events_does_not_matter(by: Meter, all_events: list[UsageEvent], chance: Random) -> None:
    shuffled = list(all_events)
    chance.shuffle(shuffled)
    assert quantity(by, counted(all_events)) == quantity(by, counted(shuffled))


@given(st.sampled_from(FORMULAS), st.lists(events, max_size=10))
def test_counters_say_what_the_events_say(formula: Formula, all_events: list[UsageEvent]) -> None:
    """Against the definition of each formula, straight from the events."""
    by_time = sorted(all_events, key=lambda each: (each.occurred_at, each.received_at, each.value))
    values = [each.value for each in by_time]
    members = {each.member for each in all_events if each.member is not None}
    truth = {
        "sum": sum(values, Decimal(0)),
        "count": len(values),
        "max": max(values, default=0),
        "last": values[-1] if values else 0,
        "unique": len(members),
    }
    assert quantity(meter(formula), counted(all_events)) == truth[formula]
