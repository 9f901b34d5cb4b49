"""Allowance, minimum and maximum: fixed order, exact in both sums."""

from decimal import Decimal

import pytest

from meterline.catalog import Adjustment
from meterline.rating import billed_total, exact_total, rate
from tests.core.rating.price import graduated, per_unit, priced

BETWEEN = Adjustment(allowance=Decimal(10), minimum=Decimal(500), maximum=Decimal(2000))


@pytest.mark.parametrize(
    ("quantity", "expected", "kinds"),
    [
        (0, 500, ["units", "minimum"]),
        (10, 500, ["allowance", "units", "minimum"]),
        (14, 500, ["allowance", "units", "minimum"]),
        (15, 500, ["allowance", "units"]),
        (20, 1000, ["allowance", "units"]),
        (30, 2000, ["allowance", "units"]),
        (31, 2000, ["allowance", "units", "maximum"]),
    ],
)
def test_ten_units_are_free_and_the_sum_is_bounded(quantity: int, expected: int, kinds: list[str]) -> None:
    lines = rate(price=priced(per_unit("100"), adjustment=BETWEEN), quantity=Decimal(quantity))
    assert (billed_total(lines), [line.kind for line in lines]) == (expected, kinds)
    assert exact_total(lines) == expected


def test_the_allowance_moves_the_tiers() -> None:
    price = priced(graduated((10, "100"), (None, "1")), adjustment=Adjustment(allowance=Decimal(5)))
    assert billed_total(rate(price=price, quantity=Decimal(15))) == 1000
    assert billed_total(rate(price=price, quantity=Decimal(16))) == 1001


def test_rounding_lines_up_never_bills_more_than_the_maximum() -> None:
    halves = graduated((1, "0.5"), (2, "0.5"), (None, "0.5"))
    lines = rate(price=priced(halves, adjustment=Adjustment(maximum=Decimal(2))), quantity=Decimal(3))
    assert (exact_total(lines), billed_total(lines)) == (Decimal("1.5"), 2)


def test_a_minimum_with_a_fraction_is_rounded_once() -> None:
    lines = rate(price=priced(per_unit("0.3"), adjustment=Adjustment(minimum=Decimal("10.5"))), quantity=Decimal(1))
    assert (exact_total(lines), billed_total(lines)) == (Decimal("10.5"), 11)
