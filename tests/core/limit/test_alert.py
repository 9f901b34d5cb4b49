"""Threshold alerts: told once per crossing, in both directions, whatever is jumped over."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterline.catalog import Graduated, PerUnit, PriceModel, Tier
from meterline.limit.alert import Alert, Watch, check_levels, forecast, judge, next_crossing
from meterline.limit.allowance import included
from meterline.refusal import Refusal

MARCH = datetime(2026, 3, 1, tzinfo=UTC)
APRIL = datetime(2026, 4, 1, tzinfo=UTC)

PERCENT = Alert(
    environment="test",
    id="alrt_1",
    sequence=UUID(int=1),
    title="Included usage",
    measure="allowance",
    unit="percent",
    levels=(Decimal(80), Decimal(95), Decimal(100)),
    recurrence="period",
    created=MARCH,
    updated=MARCH,
)
ONCE = replace(PERCENT, measure="usage", unit="amount", levels=(Decimal(100),), recurrence="one_time")
WATCH = Watch(
    environment="test",
    customer_id=UUID(int=7),
    meter="mtr_1",
    alert="alrt_1",
    customer="cus_1",
    test_clock=None,
    window_start=MARCH,
    window_end=APRIL,
    size=Decimal(1000),
    value=Decimal(0),
)


def _told(alert: Alert, *values: int) -> list[str]:
    """What is told as the quantity takes these values one after the other."""
    watch, told = WATCH, []
    for value in values:
        watch, crossings = judge(alert, replace(watch, value=Decimal(value)))
        told += [f"{crossing.direction} {crossing.level}" for crossing in crossings]
    return told


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([799], []),
        ([800], ["crossed 80"]),
        ([800, 801, 900], ["crossed 80"]),
        ([0, 5000], ["crossed 80", "crossed 95", "crossed 100"]),
        ([960, 790], ["crossed 80", "crossed 95", "recovered 95", "recovered 80"]),
        ([800, 700, 800], ["crossed 80", "recovered 80", "crossed 80"]),
    ],
)
def test_each_level_is_told_when_it_is_passed_and_when_it_is_passed_back(values: list[int], told: list[str]) -> None:
    assert _told(PERCENT, *values) == told


def test_an_alert_for_once_never_recovers_and_never_repeats() -> None:
    assert _told(ONCE, 100, 50, 100, 500) == ["crossed 100"]


def test_a_new_window_arms_all_levels_again() -> None:
    watch, _ = judge(PERCENT, replace(WATCH, value=Decimal(1000)))
    _, crossings = judge(PERCENT, replace(watch, window_start=APRIL, crossed=(), value=Decimal(850)))
    assert [crossing.level for crossing in crossings] == [80]


def test_without_an_allowance_there_is_nothing_to_cross() -> None:
    watch, crossings = judge(PERCENT, replace(WATCH, size=None, value=Decimal(10**9)))
    assert crossings == () and watch.crossed == ()
    assert next_crossing(PERCENT, watch) is None


@given(st.lists(st.integers(min_value=0, max_value=2000), min_size=1, max_size=30))
def test_at_any_time_as_much_was_told_as_the_value_says(values: list[int]) -> None:
    watch = WATCH
    up: dict[Decimal, int] = {}
    for value in values:
        watch, crossings = judge(PERCENT, replace(watch, value=Decimal(value)))
        for crossing in crossings:
            up[crossing.level] = up.get(crossing.level, 0) + (1 if crossing.direction == "crossed" else -1)
        reached = {level for level in PERCENT.levels if value >= level * 10}
        assert {level for level, count in up.items() if count == 1} == reached
        assert set(up.values()) <= {0, 1}


def test_the_next_level_is_expected_at_the_pace_so_far() -> None:
    tenth = MARCH + timedelta(days=10)
    watch = replace(WATCH, value=Decimal(400))
    coming = next_crossing(PERCENT, watch)
    assert coming is not None and coming.threshold == 800
    expected = forecast(value=Decimal(400), threshold=coming.threshold, since=MARCH, now=tenth)
    assert expected == MARCH + timedelta(days=20)


@pytest.mark.parametrize(
    ("value", "threshold", "days", "expected"),
    [
        (0, 100, 10, None),
        (100, 100, 10, 10),
        (5, 100, 0, None),
        (1, 10**12, 10, None),
    ],
)
def test_a_forecast_needs_usage_and_a_date_that_exists(
    value: int, threshold: int, days: int, expected: int | None
) -> None:
    now = MARCH + timedelta(days=days)
    when = forecast(value=Decimal(value), threshold=Decimal(threshold), since=MARCH, now=now)
    assert when == (None if expected is None else MARCH + timedelta(days=expected))


@pytest.mark.parametrize("levels", [(), (Decimal(0),), (Decimal(-1), Decimal(2)), (Decimal(2), Decimal(2))])
def test_levels_are_positive_and_ascend(levels: tuple[Decimal, ...]) -> None:
    with pytest.raises(Refusal):
        check_levels(levels, param="levels")


def _tiers(*tiers: tuple[int | None, str]) -> Graduated:
    return Graduated(tiers=tuple(Tier(up_to=up_to, unit=Decimal(unit)) for up_to, unit in tiers))


@pytest.mark.parametrize(
    ("allowance", "model", "size"),
    [
        (0, PerUnit(unit=Decimal(1)), None),
        (500, PerUnit(unit=Decimal(1)), 500),
        (0, _tiers((10_000, "0"), (100_000, "5"), (None, "2")), 10_000),
        (0, _tiers((10, "0"), (20, "0"), (None, "2")), 20),
        (0, _tiers((10, "1"), (None, "2")), None),
        (0, _tiers((None, "0")), None),
    ],
)
def test_what_a_price_includes(allowance: int, model: PriceModel, size: int | None) -> None:
    assert included(allowance=Decimal(allowance), model=model) == size
