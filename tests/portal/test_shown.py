"""Amounts, quantities and bars as pages write them."""

from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from meterline.period import Period
from meterline.portal.chart import FLOOR, HEIGHT, WIDTH, chart
from meterline.portal.shown import at_time, number, on_day, value, zone_of
from meterline.usecase.show_spending import ends_of_days


@pytest.mark.parametrize(
    ("amount", "asset", "shown"),
    [
        ("12.5", "USD", "$12.50"),
        ("-0.0005", "USD", "-$0.0005"),
        ("1234567.891", "KWD", "KWD 1,234,567.891"),
        ("12345", "JPY", "¥12,345"),
        ("0", "EUR", "€0.00"),
        ("1200.25", "CREDITS", "1,200.25 CREDITS"),
        ("-1000000", "CREDITS", "-1,000,000 CREDITS"),
        ("0.000000000001", "USD", "$0.000000000001"),
    ],
)
def test_amounts_are_exact(amount: str, asset: str, shown: str) -> None:
    assert value(Decimal(amount), asset) == shown


@pytest.mark.parametrize(
    ("quantity", "shown"),
    [("0", "0"), ("-0.5", "-0.5"), ("1000", "1,000"), ("12345.6700", "12,345.67"), ("1E+3", "1,000")],
)
def test_quantities_are_exact(quantity: str, shown: str) -> None:
    assert number(Decimal(quantity)) == shown


def test_instants_are_the_customers() -> None:
    instant = datetime(2026, 11, 30, 23, 30, tzinfo=UTC)
    assert on_day(instant, ZoneInfo("Asia/Tokyo")) == "1 December 2026"
    assert at_time(instant, ZoneInfo("Europe/Berlin")) == "1 Dec 2026, 00:30 CET"
    assert zone_of("Mars/Olympus") == ZoneInfo("UTC")


def test_bars_stand_on_the_floor_and_within_the_picture() -> None:
    days = [(date(2026, 6, 1 + n), Decimal(n), f"${n}") for n in range(30)]
    drawn = chart(days)
    for bar in drawn.bars:
        assert Decimal(bar.y) + Decimal(bar.height) == HEIGHT - FLOOR
        assert Decimal(bar.x) >= 0 and Decimal(bar.x) + Decimal(bar.width) <= WIDTH and Decimal(bar.y) >= 0
    assert drawn.top == "$29" and not drawn.empty


def test_nothing_is_no_picture() -> None:
    assert chart([]).empty
    assert chart([(date(2026, 6, 1), Decimal(-3), "-$3")]).empty


def test_days_reach_from_the_start_to_now_and_the_last_one_to_the_end() -> None:
    window = Period(start=datetime(2026, 6, 1, 12, tzinfo=UTC), end=datetime(2026, 7, 1, 12, tzinfo=UTC))
    days = ends_of_days(window, now=datetime(2026, 6, 3, 8, tzinfo=UTC))
    assert [day for day, _ in days] == [date(2026, 6, 1), date(2026, 6, 2), date(2026, 6, 3)]
    assert [end for _, end in days] == [datetime(2026, 6, 2, tzinfo=UTC), datetime(2026, 6, 3, tzinfo=UTC), window.end]
    assert ends_of_days(window, now=window.end)[-1] == (date(2026, 7, 1), window.end)


def test_of_a_long_window_the_latest_days_are_shown() -> None:
    window = Period(start=datetime(2026, 1, 1, tzinfo=UTC), end=datetime(2027, 1, 1, tzinfo=UTC))
    days = ends_of_days(window, now=datetime(2026, 12, 24, 6, tzinfo=UTC))
    assert (len(days), days[-1][0]) == (62, date(2026, 12, 24))
