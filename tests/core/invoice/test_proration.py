"""Prorations under discounts: net of them, or showing them, and the same money either way."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterline.discount import Discount, Terms
from meterline.invoice.compose import billed_lines
from meterline.invoice.discount import discounted
from meterline.invoice.gathered import Gathered, PricedItem
from meterline.invoice.line import InvoiceLine
from meterline.period import Period
from tests.core.discount.build import discount, off, percent
from tests.core.invoice.build import APRIL, licensed, line, prorated
from tests.core.rating.price import per_unit

HALF = Period(start=datetime(2026, 4, 16, tzinfo=UTC), end=APRIL.end)
FIVE_DOLLARS = discount("di_1", off(500))


def half(amount: str, direction: str, *whole: Discount, own: tuple[Discount, ...] = ()) -> Gathered:
    """Half of a month of seats, bought or given back at their price."""
    plain = prorated(
        per_unit(amount),
        1,
        share=Fraction(1, 2),
        direction="credit" if direction == "credit" else "debit",
        since=HALF.start,
    )
    return replace(plain, whole=whole, own=own)


def giving_back(debited: InvoiceLine) -> Gathered:
    """Half of what that line debited for April, given back."""
    plain = half(str(debited.amount), "credit")
    assert plain.billable.proration is not None
    billable = replace(plain.billable, proration=replace(plain.billable.proration, credited=APRIL))
    return replace(plain, billable=billable, debited=(debited,))


def only(gathered: Gathered) -> InvoiceLine:
    [made] = billed_lines(gathered)
    return made


def shown(made: InvoiceLine) -> list[tuple[str, int]]:
    return [(each.discount, each.amount) for each in made.discounts]


def debits(*amounts: int) -> tuple[InvoiceLine, ...]:
    """What the items were debited, five dollars off in all."""
    return discounted([line(amount) for amount in amounts], on_invoice=[FIVE_DOLLARS], on_lines={}, currency="usd")


def test_classic_gives_back_the_price_less_the_whole_discount() -> None:
    assert only(half("1000", "credit", FIVE_DOLLARS)).amount == -250


def test_flexible_gives_back_what_was_debited_with_the_share_of_the_discount_that_it_had() -> None:
    debited, _ = debits(1000, 2000)

    included = only(giving_back(debited))
    assert (included.amount, shown(included)) == (-417, [("di_1", 0)])
    itemized = only(replace(giving_back(debited), itemized=True))
    assert (itemized.amount, shown(itemized), itemized.net_amount) == (-500, [("di_1", -83)], -417)


def test_what_is_bought_shares_an_amount_off_with_the_other_items() -> None:
    other = PricedItem(item="si_9", product="prod_9", amount=Fraction(2000))
    bought = only(replace(half("3000", "debit", FIVE_DOLLARS), beside=(other,)))

    assert (bought.amount, shown(bought)) == (1350, [("di_1", 0)])


def test_the_own_discounts_of_items_come_first() -> None:
    own, whole = discount("di_own", percent("50")), discount("di_all", off(300))
    other = PricedItem(item="si_9", product="prod_9", amount=Fraction(4000), discounts=(discount("di_2", off(2000)),))
    bought = replace(half("2000", "debit", whole, own=(own,)), beside=(other,), itemized=True)

    assert (only(bought).amount, shown(only(bought))) == (1000, [("di_own", 500), ("di_all", 50)])


def test_a_discount_on_other_products_is_not_in_a_proration() -> None:
    assert only(half("1000", "debit", discount("di_1", off(500, "prod_else")))).amount == 500


def test_a_whole_period_names_the_discounts_of_its_item() -> None:
    seats = replace(licensed(per_unit("1000"), 1), own=(discount("di_own", percent("10")),))

    assert shown(only(seats)) == [("di_own", 0)]
    assert only(seats).discountable


terms = st.one_of(
    st.integers(1, 5_000).map(off), st.integers(1, 100).map(lambda part: Terms(percent_off=Decimal(part)))
)


@given(
    price=st.integers(0, 9_999),
    others=st.lists(st.integers(0, 5_000), max_size=3),
    said=st.lists(terms, max_size=3),
    direction=st.sampled_from(["credit", "debit"]),
)
def test_shown_or_inside_it_is_the_same_money_and_never_more_than_the_price(
    price: int, others: list[int], said: list[Terms], direction: str
) -> None:
    beside = tuple(PricedItem(item=f"si_{n}", product="prod_9", amount=Fraction(each)) for n, each in enumerate(others))
    whole = [discount(f"di_{n}", each) for n, each in enumerate(said)]
    gathered = replace(half(str(price), direction, *whole), beside=beside)
    included, itemized = only(gathered), only(replace(gathered, itemized=True))

    assert included.net_amount == itemized.net_amount
    assert itemized.amount == only(half(str(price), direction)).amount
    assert 0 <= abs(included.net_amount) <= abs(itemized.amount)
    assert [each.discount for each in included.discounts] == [each.id for each in whole]


@pytest.mark.parametrize("direction", ["credit", "debit"])
def test_a_price_that_is_discounted_away_costs_nothing(direction: str) -> None:
    assert only(half("1000", direction, discount("di_1", percent("100")))).amount == 0
