"""What a discount takes off amounts: floored shares, the rest on the last, never more than there is."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterline.discount import Terms, exact_shares, taken
from tests.core.discount.build import off, percent

amounts = st.lists(st.integers(0, 10_000), min_size=1, max_size=6)
terms = st.one_of(
    st.integers(1, 20_000).map(off),
    st.decimals("0.01", "100", places=2).map(lambda part: Terms(percent_off=part)),
)


@pytest.mark.parametrize(
    ("said", "lines", "shares"),
    [
        (off(500), (1000, 2000), (166, 334)),
        (off(200), (100,), (100,)),
        (off(200), (300,), (200,)),
        (percent("10"), (3000,), (300,)),
        (percent("10"), (5, 5, 5), (0, 0, 2)),
        (percent("12.5"), (1000, 1), (124, 1)),
        (percent("100"), (7, 0, 3), (7, 0, 3)),
        (off(500, currency="jpy"), (1000,), (0,)),
    ],
)
def test_worked_shares(said: Terms, lines: tuple[int, ...], shares: tuple[int, ...]) -> None:
    assert taken(said, lines, currency="usd") == shares


@given(terms, amounts)
def test_shares_make_up_the_whole_and_leave_nothing_below_zero(said: Terms, lines: list[int]) -> None:
    shares = taken(said, lines, currency="usd")

    assert all(0 <= share <= line for share, line in zip(shares, lines, strict=True))
    if said.percent_off is None:
        assert sum(shares) == min(said.amounts_off["usd"], sum(lines))
    else:
        exact = Fraction(said.percent_off) * sum(lines) / 100
        assert abs(sum(shares) - exact) <= Fraction(1, 2)


def exact_left(said: list[Terms], lines: list[Fraction], products: list[str | None] | None = None) -> list[Fraction]:
    """What the discounts leave of each amount."""
    shares = exact_shares(said, lines, products or [None] * len(lines), currency="usd")
    return [line - sum(each[place] for each in shares) for place, line in enumerate(lines)]


@given(st.lists(terms, max_size=4), amounts)
def test_exact_shares_stay_within_what_there_is_and_say_the_same(said: list[Terms], lines: list[int]) -> None:
    left = exact_left(said, [Fraction(line) for line in lines])

    assert all(0 <= rest <= line for rest, line in zip(left, lines, strict=True))
    whole = Fraction(sum(lines))
    for each in said:
        lost = whole * Fraction(each.percent_off) / 100 if each.percent_off is not None else each.amounts_off["usd"]
        whole = max(whole - lost, Fraction(0))
    assert sum(left) == whole


def test_a_discount_on_some_products_leaves_the_others_alone() -> None:
    left = exact_left([off(500, "seat")], [Fraction(1000), Fraction(2000)], ["seat", "api"])

    assert left == [500, 2000]


def test_what_is_discounted_twice_is_discounted_in_order() -> None:
    ten_off_first = exact_left([off(1000), percent("50")], [Fraction(3000)])
    half_off_first = exact_left([percent("50"), off(1000)], [Fraction(3000)])

    assert [*ten_off_first, *half_off_first] == [1000, 500]


def test_a_percentage_is_exact() -> None:
    assert exact_left([percent("33.33")], [Fraction(1)]) == [1 - Fraction(3333, 10_000)]
    assert taken(Terms(percent_off=Decimal("33.33")), (10_000,), currency="usd") == (3333,)
