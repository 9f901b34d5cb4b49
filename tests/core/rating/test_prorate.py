"""Prorations: the numbers that Stripe publishes or that were recorded from it."""

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterline.money import split_discount
from meterline.period import Interval, Period, remaining, stub
from meterline.rating import prorate, share
from tests.core.rating.price import per_unit, priced

MONTH = Interval(unit="month")


def at(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, tzinfo=UTC)


def change(*, old: tuple[str, int], new: tuple[str, int], left: Fraction) -> tuple[int, int]:
    """The credit and the debit of a change of (price, quantity) with that share of the period left."""
    return (
        prorate(price=priced(per_unit(old[0])), quantity=Decimal(old[1]), fraction=left, direction="credit"),
        prorate(price=priced(per_unit(new[0])), quantity=Decimal(new[1]), fraction=left, direction="debit"),
    )


def test_p1_an_upgrade_a_fifth_into_the_period() -> None:
    period = Period(start=datetime.fromtimestamp(1596749288, UTC), end=datetime.fromtimestamp(1599427688, UTC))
    left = remaining(period, datetime.fromtimestamp(1598982148, UTC))
    credit, debit = change(old=("1000", 1), new=("3252", 1), left=left)
    assert (credit, debit, credit + debit + 3252) == (-166, 541, 3627)


@pytest.mark.parametrize(
    ("old", "new", "left", "expected"),
    [
        pytest.param(("1000", 1), ("2000", 1), Fraction(1, 2), (-500, 1000), id="P2 at half"),
        pytest.param(("1000", 1), ("1800", 1), Fraction(1, 400), (-3, 4), id="P5 ties go down"),
        pytest.param(("1000", 1), ("1000", 3), Fraction(1, 400), (-3, 7), id="P6 a quantity re-prorates the whole"),
        pytest.param(("2000", 1), ("1000", 1), Fraction(1, 3), (-667, 333), id="P7 a downgrade at two thirds"),
    ],
)
def test_a_change_credits_the_old_and_debits_the_new(
    old: tuple[str, int], new: tuple[str, int], left: Fraction, expected: tuple[int, int]
) -> None:
    assert change(old=old, new=new, left=left) == expected


def test_p3_classic_credits_the_current_price() -> None:
    april = Period(start=at(2026, 4, 1), end=at(2026, 5, 1))
    left = remaining(april, at(2026, 4, 21))
    assert change(old=("2000", 1), new=("1000", 1), left=left) == (-667, 333)


def test_p3_flexible_credits_what_was_billed() -> None:
    april = Period(start=at(2026, 4, 1), end=at(2026, 5, 1))
    left = remaining(april, at(2026, 4, 21))
    credit = share(1000, fraction=left, direction="credit")
    assert (credit, share(1000, fraction=left, direction="debit")) == (-333, 333)


def test_p4_the_credit_gives_back_the_discounted_amount() -> None:
    small, large = split_discount(500, [1000, 2000])
    assert (small, large) == (166, 334)
    classic = share(1000 - 500, fraction=Fraction(1, 2), direction="credit")
    flexible = share(1000 - small, fraction=Fraction(1, 2), direction="credit")
    assert (classic, flexible) == (-250, -417)


def test_p8_a_year_cancelled_on_the_first_of_july_gives_half_back_as_seconds_decide() -> None:
    year = Period(start=at(2026, 1, 1), end=at(2027, 1, 1))
    left = remaining(year, at(2026, 7, 1))
    assert left == Fraction(184, 365)
    assert share(12_000, fraction=left, direction="credit") == -6049


@pytest.mark.parametrize(
    ("start", "anchor", "expected"),
    [
        pytest.param(at(2026, 2, 15), at(2026, 3, 1), Fraction(14, 28), id="P9 15 Feb to 1 Mar"),
        pytest.param(at(2026, 1, 15), at(2026, 2, 1), Fraction(17, 31), id="P9 15 Jan to 1 Feb"),
        pytest.param(at(2026, 1, 15), at(2026, 3, 1), 1 + Fraction(14, 28), id="a whole interval and a share"),
        pytest.param(at(2026, 1, 15), at(2026, 2, 15), Fraction(1), id="exactly one interval"),
        pytest.param(at(2026, 1, 15), at(2026, 1, 15), Fraction(0), id="nothing"),
    ],
)
def test_p9_a_stub_is_a_share_of_the_interval_that_begins_with_it(
    start: datetime, anchor: datetime, expected: Fraction
) -> None:
    assert stub(start=start, anchor=anchor, interval=MONTH) == expected


@pytest.mark.parametrize(
    ("currency", "unit", "expected"), [("jpy", "1001", -501), ("usd", "1001", -501), ("kwd", "10010", -5005)]
)
def test_prorations_round_to_the_minor_unit_of_any_currency(currency: str, unit: str, expected: int) -> None:
    price = priced(per_unit(unit), currency=currency)
    assert prorate(price=price, quantity=Decimal(1), fraction=Fraction(1, 2), direction="credit") == expected


@given(st.integers(0, 10**9), st.fractions(min_value=0, max_value=1))
def test_a_share_is_within_half_a_unit_and_never_beyond_the_whole(amount: int, fraction: Fraction) -> None:
    debit = share(amount, fraction=fraction, direction="debit")
    assert abs(debit - amount * fraction) <= Fraction(1, 2)
    assert 0 <= debit <= amount


@given(st.integers(0, 10**9), st.fractions(min_value=0, max_value=1))
def test_credit_and_debit_of_the_same_share_differ_only_on_a_tie(amount: int, fraction: Fraction) -> None:
    net = share(amount, fraction=fraction, direction="debit") + share(amount, fraction=fraction, direction="credit")
    tie = (amount * fraction) % 1 == Fraction(1, 2)
    assert net == (-1 if tie else 0)
