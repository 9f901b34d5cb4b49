"""Money: minor units, the two roundings, splits that lose nothing, and decimals as text."""

from decimal import Decimal, Inexact
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterline import money
from meterline.refusal import Refusal

amounts = st.integers(-(10**15), 10**15)
weights = st.lists(st.integers(0, 10**9), min_size=1, max_size=12).filter(any)
lines = st.lists(st.integers(0, 10**9), min_size=1, max_size=12)
decimals = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20, places=12)


@pytest.mark.parametrize(
    ("currency", "digits"),
    [("usd", 2), ("eur", 2), ("jpy", 0), ("krw", 0), ("mga", 0), ("kwd", 3), ("tnd", 3), ("isk", 2), ("ugx", 2)],
)
def test_minor_digits(currency: str, digits: int) -> None:
    assert money.minor_digits(currency) == digits


def test_currencies_are_known_in_any_case() -> None:
    assert money.check_currency("USD") == "usd"
    with pytest.raises(Refusal, match="Invalid currency: xyz") as refused:
        money.check_currency("xyz", param="default_currency")
    assert refused.value.param == "default_currency"


@pytest.mark.parametrize(("currency", "least"), [("usd", 50), ("gbp", 30), ("jpy", 50), ("huf", 17_500), ("xaf", 1)])
def test_the_least_amount_that_can_be_collected(currency: str, least: int) -> None:
    assert money.minimum_payment(currency) == least


@pytest.mark.parametrize(
    ("exact", "rated", "prorated"),
    [
        ("1.5", 2, 1),
        ("2.5", 3, 2),
        ("4.5", 5, 4),
        ("7.5", 8, 7),
        ("-2.5", -3, -3),
        ("-0.5", -1, -1),
        ("0.5", 1, 0),
        ("0.49999", 0, 0),
        ("-666.67", -667, -667),
        ("333.33", 333, 333),
        ("-166.35", -166, -166),
        ("540.96", 541, 541),
        ("3", 3, 3),
    ],
)
def test_rated_lines_round_half_away_from_zero_and_prorations_down(exact: str, rated: int, prorated: int) -> None:
    assert money.round_half_up(Decimal(exact)) == rated
    assert money.round_proration(Decimal(exact)) == prorated


@pytest.mark.parametrize(
    ("amount", "shares", "parts"),
    [
        (100, [1, 1, 1], (34, 33, 33)),
        (5, [1, 2, 3], (1, 2, 2)),
        (-100, [1, 1, 1], (-34, -33, -33)),
        (7, [0, 1, 0], (0, 7, 0)),
        (0, [3, 4], (0, 0)),
    ],
)
def test_the_largest_remainders_take_what_is_left(amount: int, shares: list[int], parts: tuple[int, ...]) -> None:
    assert money.allocate(amount, shares) == parts


@pytest.mark.parametrize(
    ("off", "on", "parts"),
    [
        pytest.param(500, [1000, 2000], (166, 334), id="P4 the last line takes the remainder"),
        pytest.param(200, [100], (100,), id="X8 no more than there is"),
        pytest.param(200, [300], (200,), id="X8 within the line"),
        pytest.param(10, [5, 10, 0], (3, 7, 0), id="nothing off a line of nothing"),
        pytest.param(10, [0, 0], (0, 0), id="nothing to take off"),
    ],
)
def test_a_fixed_discount_over_lines(off: int, on: list[int], parts: tuple[int, ...]) -> None:
    assert money.split_discount(off, on) == parts


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("1000", "1000"), ("1000.00", "1000"), ("0.050", "0.05"), (".5", "0.5"), ("-12.5", "-12.5"), ("-0", "0"),
        ("-0.000", "0"), ("00012", "12"), ("0.000000000001", "0.000000000001"), ("1.000000000000000", "1"),
    ],
)  # fmt: skip
def test_decimals_have_one_way_to_be_written(text: str, canonical: str) -> None:
    assert money.decimal_text(money.parse_decimal(text)) == canonical


@pytest.mark.parametrize(
    "text",
    [
        "", "-", ".", "1.", "1e5", "1E400", "NaN", "inf", "-Infinity", " 1", "1 ", "1,000", "0x10", "١", "--1", "+1",
        "1" * 41, "0.0000000000001",
    ],
)  # fmt: skip
def test_what_is_no_decimal_is_refused(text: str) -> None:
    with pytest.raises(Refusal, match="Invalid decimal") as refused:
        money.parse_decimal(text, param="unit_amount_decimal")
    assert (refused.value.code, refused.value.param) == ("parameter_invalid_decimal", "unit_amount_decimal")


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (1_058_024, "usd", "$10,580.24"), (-334, "usd", "-$3.34"), (0, "usd", "$0.00"), (500, "jpy", "¥500"),
        (12_500, "kwd", "KWD 12.500"), (5, "chf", "CHF 0.05"), (123, "eur", "€1.23"),
    ],
)  # fmt: skip
def test_amounts_for_people(amount: int, currency: str, text: str) -> None:
    assert money.display(amount, currency) == text


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        ("0.04", "usd", "$0.0004"),
        ("2000", "usd", "$20.00"),
        ("0.5", "jpy", "¥0.5"),
        ("12345678901234567890123456789012.5", "usd", "$123,456,789,012,345,678,901,234,567,890.125"),
    ],
)
def test_unit_prices_for_people_show_every_decimal(amount: str, currency: str, text: str) -> None:
    assert money.display_exact(Decimal(amount), currency) == text


@pytest.mark.parametrize(
    ("exact", "debit"),
    [
        ("0.0000000000005", "0.000000000001"),
        ("-0.0000000000005", "-0.000000000001"),
        ("0.0000000000004", "0"),
        ("99999999999999999999.1234567890125", "99999999999999999999.123456789013"),
    ],
)
def test_debits_have_twelve_decimals_at_any_size(exact: str, debit: str) -> None:
    assert money.round_debit(Decimal(exact)) == Decimal(debit)


def test_exact_arithmetic_fails_rather_than_rounds() -> None:
    with pytest.raises(Inexact):
        money.EXACT.divide(Decimal(1), Decimal(3))


@given(amounts, weights)
def test_allocation_loses_nothing_and_is_fair(amount: int, shares: list[int]) -> None:
    parts = money.allocate(amount, shares)
    assert sum(parts) == amount
    exact = [Fraction(amount * weight, sum(shares)) for weight in shares]
    assert all(abs(part - share) < 1 for part, share in zip(parts, exact, strict=True))


@given(st.lists(decimals, max_size=20))
def test_rounding_together_shares_out_the_rounded_sum(terms: list[Decimal]) -> None:
    exact = [Fraction(term) for term in terms]
    parts = money.round_together(exact)
    assert sum(parts) == money.round_half_up(sum(exact, Fraction(0)))
    assert all(abs(part - share) < 1 for part, share in zip(parts, exact, strict=True))


@given(st.integers(0, 10**10), lines)
def test_a_discount_never_turns_a_line_negative(off: int, on: list[int]) -> None:
    parts = money.split_discount(off, on)
    assert sum(parts) == min(off, sum(on))
    assert all(0 <= part <= line for part, line in zip(parts, on, strict=True))


@given(decimals)
def test_rounding_goes_to_the_nearest(exact: Decimal) -> None:
    for rounded in (money.round_half_up(exact), money.round_proration(exact)):
        assert abs(Fraction(exact) - rounded) <= Fraction(1, 2)


@given(decimals)
def test_a_reversed_line_cancels(exact: Decimal) -> None:
    assert money.round_half_up(exact) + money.round_half_up(-exact) == 0


@given(decimals, decimals)
def test_rounding_keeps_order(one: Decimal, other: Decimal) -> None:
    low, high = sorted([one, other])
    assert money.round_half_up(low) <= money.round_half_up(high)
    assert money.round_proration(low) <= money.round_proration(high)


@given(decimals, st.sampled_from(["usd", "jpy", "kwd"]))
def test_text_and_units_come_back_the_same(exact: Decimal, currency: str) -> None:
    assert money.parse_decimal(money.decimal_text(exact)) == exact
    assert money.to_minor(money.to_major(exact, currency), currency) == exact


@given(st.lists(decimals, max_size=20))
def test_sums_are_exact(terms: list[Decimal]) -> None:
    assert Fraction(money.add(*terms)) == sum(Fraction(term) for term in terms)
