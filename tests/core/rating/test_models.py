"""What quantities cost under each price model: the worked numbers that Stripe publishes, and ours."""

from decimal import Decimal

import pytest

from meterline.catalog import CustomAmount, Percentage, PriceModel, StairStep, Step, flat_fee
from meterline.rating import billed_total, exact_total, increment, rate
from meterline.refusal import Refusal
from tests.core.rating.price import graduated, package, per_unit, priced, volume

SEATS = ((5, "700"), (10, "650"), (None, "600"))
WITH_FLAT = (
    (5, "500", "1000"),
    (10, "400", "2000"),
    (15, "300", "3000"),
    (20, "200", "4000"),
    (None, "100", "5000"),
)
API_CALLS = ((10_000, "50"), (None, "40"))

PUBLISHED = [
    pytest.param(volume(*SEATS), "1", 700, id="T1 volume, 1"),
    pytest.param(volume(*SEATS), "5", 3500, id="T1 volume, 5"),
    pytest.param(volume(*SEATS), "6", 3900, id="T1 volume, 6"),
    pytest.param(volume(*SEATS), "20", 12000, id="T1 volume, 20"),
    pytest.param(volume(*SEATS), "25", 15000, id="T1 volume, 25"),
    pytest.param(graduated(*SEATS), "1", 700, id="T2 graduated, 1"),
    pytest.param(graduated(*SEATS), "5", 3500, id="T2 graduated, 5"),
    pytest.param(graduated(*SEATS), "6", 4150, id="T2 graduated, 6"),
    pytest.param(graduated(*SEATS), "20", 12750, id="T2 graduated, 20"),
    pytest.param(graduated(*SEATS), "25", 15750, id="T2 graduated, 25"),
    pytest.param(volume(*WITH_FLAT), "12", 6600, id="T3 volume with flat amounts, 12"),
    pytest.param(graduated(*WITH_FLAT), "12", 11100, id="T3 graduated with flat amounts, 12"),
    pytest.param(volume(*WITH_FLAT), "0", 1000, id="T3 volume, nothing used still bills the first flat"),
    pytest.param(graduated(*WITH_FLAT), "0", 1000, id="T3 graduated, nothing used still bills the first flat"),
    pytest.param(package("1000", size=5), "1", 1000, id="T4 packages of 5, 1"),
    pytest.param(package("1000", size=5), "5", 1000, id="T4 packages of 5, 5"),
    pytest.param(package("1000", size=5), "6", 2000, id="T4 packages of 5, 6"),
    pytest.param(package("1000", size=5), "7", 2000, id="T4 packages of 5, 7"),
    pytest.param(package("1000", size=60), "150", 3000, id="T5 minutes by the hour"),
    pytest.param(per_unit("0.05"), "30", 2, id="T6 half a cent rounds up once, on the line"),
    pytest.param(per_unit("0.04"), "100", 4, id="T7 tokens by the unit"),
    pytest.param(per_unit("0.04"), "1000000", 40_000, id="T7 a million tokens by the unit"),
    pytest.param(package("4", size=100), "1000000", 40_000, id="T7 a million tokens by the hundred"),
    pytest.param(package("4", size=100), "26450535", 1_058_024, id="an hour of conversations"),
    pytest.param(package("4", size=100), "18305870", 732_236, id="an hour of code"),
    pytest.param(package("10", size=1000), "1", 10, id="T8 emails by the thousand, 1"),
    pytest.param(package("10", size=1000), "1000", 10, id="T8 emails by the thousand, 1000"),
    pytest.param(package("10", size=1000), "1001", 20, id="T8 emails by the thousand, 1001"),
    pytest.param(per_unit("20000"), "1", 20_000, id="T9 fixed fee"),
    pytest.param(graduated((100_000, "0"), (None, "0.1")), "100000", 0, id="T9 inside the allowance"),
    pytest.param(graduated((100_000, "0"), (None, "0.1")), "150000", 5000, id="T9 overage"),
    pytest.param(volume(*API_CALLS), "10000", 500_000, id="T10 volume, at the tier's end"),
    pytest.param(volume(*API_CALLS), "10001", 400_040, id="T10 volume, one beyond it"),
    pytest.param(volume(*API_CALLS), "25000", 1_000_000, id="T10 volume, far beyond it"),
    pytest.param(graduated((200, "50"), (None, "40")), "200", 10_000, id="T11 the threshold is met (bound inferred)"),
    pytest.param(graduated((200, "50"), (None, "40")), "450", 20_000, id="T11 the next tier goes on (bound inferred)"),
    pytest.param(per_unit("100"), "-5", 0, id="X13 net negative usage bills nothing (inferred)"),
]

OURS = [
    pytest.param(package("4", size=100, round="down"), "199", 4, id="packages begun are free when rounding down"),
    pytest.param(package("4", size=100), "0", 0, id="no package for nothing"),
    pytest.param(package("4", size=100), "100.000001", 8, id="a fraction beyond begins a package"),
    pytest.param(volume((5, "10"), (None, "8")), "5.5", 44, id="a fraction beyond a tier is in the next one"),
    pytest.param(flat_fee(Decimal(4900)), "0", 4900, id="a flat fee whatever the quantity"),
    pytest.param(flat_fee(Decimal(4900)), "1000", 4900, id="a flat fee, much used"),
    pytest.param(Percentage(percent=Decimal("2.9")), "100.00", 290, id="2.9 % of 100 dollars"),
    pytest.param(per_unit("0.000000000001"), "1000000000000", 1, id="the smallest unit price"),
    pytest.param(per_unit("0.000000000001"), "499999999999", 0, id="just under half a cent"),
    pytest.param(per_unit("0.000000000001"), "500000000000", 1, id="half a cent"),
    pytest.param(graduated(*WITH_FLAT), "-3", 1000, id="negative usage costs what none costs"),
]


@pytest.mark.parametrize(("model", "quantity", "expected"), PUBLISHED + OURS)
def test_a_quantity_costs(model: PriceModel, quantity: str, expected: int) -> None:
    assert billed_total(rate(price=priced(model), quantity=Decimal(quantity))) == expected


@pytest.mark.parametrize(
    ("quantity", "expected"), [("0", 0), ("1", 900), ("10", 900), ("10.5", 2500), ("11", 2500), ("5000", 2500)]
)
def test_a_stair_costs_its_step(quantity: str, expected: int) -> None:
    stairs = StairStep(
        steps=(
            Step(up_to=0, amount=Decimal(0)),
            Step(up_to=10, amount=Decimal(900)),
            Step(up_to=None, amount=Decimal(2500)),
        )
    )
    assert billed_total(rate(price=priced(stairs), quantity=Decimal(quantity))) == expected


@pytest.mark.parametrize(
    ("currency", "percent_of", "expected"),
    [("usd", "12.50", 125), ("jpy", "1250", 125), ("kwd", "1.250", 125)],
)
def test_a_percentage_is_taken_of_major_units(currency: str, percent_of: str, expected: int) -> None:
    ten_percent = priced(Percentage(percent=Decimal(10)), currency=currency)
    assert billed_total(rate(price=ten_percent, quantity=Decimal(percent_of))) == expected


@pytest.mark.parametrize("currency", ["jpy", "usd", "kwd"])
def test_unit_prices_are_minor_units_in_every_currency(currency: str) -> None:
    half = priced(per_unit("0.5"), currency=currency)
    assert [billed_total(rate(price=half, quantity=Decimal(n))) for n in (1, 2, 3)] == [1, 1, 2]


def test_each_tier_reached_is_a_line_that_names_its_rate() -> None:
    lines = rate(price=priced(graduated(*WITH_FLAT)), quantity=Decimal(12))
    named = [(line.tier, line.up_to, line.quantity, line.unit, line.flat, line.amount) for line in lines]
    assert named == [
        (1, 5, Decimal(5), Decimal(500), Decimal(1000), 3500),
        (2, 10, Decimal(5), Decimal(400), Decimal(2000), 4000),
        (3, 15, Decimal(2), Decimal(300), Decimal(3000), 3600),
    ]


def test_a_package_line_says_how_much_was_used_and_how_many_packages_that_is() -> None:
    (line,) = rate(price=priced(package("1000", size=60)), quantity=Decimal(150))
    assert (line.quantity, line.units, line.unit) == (Decimal(150), Decimal(3), Decimal(1000))


def test_lines_are_rounded_one_by_one_and_then_summed() -> None:
    two_halves = rate(price=priced(graduated((1, "0.5"), (None, "0.5"))), quantity=Decimal(2))
    assert (exact_total(two_halves), billed_total(two_halves)) == (Decimal(1), 2)


def test_numbers_far_beyond_28_digits_stay_exact() -> None:
    (line,) = rate(price=priced(per_unit("0.000000000001")), quantity=Decimal("123456789012345678901234567890.5"))
    assert line.exact == Decimal("123456789012345678.9012345678905")


def test_an_amount_that_the_buyer_names_cannot_be_rated() -> None:
    with pytest.raises(Refusal, match="has no amount of its own"):
        rate(price=priced(CustomAmount(minimum=100)), quantity=Decimal(1))


def test_the_first_usage_of_a_period_carries_what_nothing_costs() -> None:
    price = priced(graduated(*WITH_FLAT))
    first = increment(price=price, before=None, after=Decimal(1))
    taken_back = increment(price=price, before=Decimal(1), after=Decimal(0))
    again = increment(price=price, before=Decimal(0), after=Decimal(1))
    assert (first, taken_back, again) == (Decimal(1500), Decimal(-500), Decimal(500))


def test_an_increment_goes_on_in_the_tier_that_was_reached() -> None:
    price = priced(graduated((200, "50"), (None, "40")))
    assert increment(price=price, before=Decimal(200), after=Decimal(450)) == 10_000
    assert increment(price=price, before=Decimal(190), after=Decimal(210)) == 900
