"""Discounts on lines: the line's own first, then the invoice's, each of what is left."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterline.discount import Discount, Terms
from meterline.invoice.discount import discounted, uses_up_once, with_own
from meterline.invoice.line import InvoiceLine, LineDiscount
from meterline.invoice.total import totals
from tests.core.discount.build import discount, off, percent
from tests.core.invoice.build import APRIL, line


def reduced(lines: list[InvoiceLine], *on_invoice: Discount, own: tuple[Discount, ...] = ()) -> tuple[InvoiceLine, ...]:
    return discounted(lines, on_invoice=on_invoice, on_lines={each.id: each for each in own}, currency="usd")


def taken_off(lines: tuple[InvoiceLine, ...]) -> list[list[tuple[str, int]]]:
    return [[(each.discount, each.amount) for each in one.discounts] for one in lines]


@pytest.mark.parametrize(("amount", "total"), [(100, 0), (300, 100)])
def test_an_amount_off_goes_as_far_as_there_is_something(amount: int, total: int) -> None:
    assert totals(reduced([line(amount)], discount("di_1", off(200)))).total == total


def test_an_amount_off_is_shared_with_the_rest_on_the_last_line() -> None:
    lines = reduced([line(1000), line(2000)], discount("di_1", off(500)))

    assert taken_off(lines) == [[("di_1", 166)], [("di_1", 334)]]
    assert totals(lines).total == 2500


def test_the_rest_is_taken_off_the_newest_item_of_a_subscription_though_it_is_listed_first() -> None:
    newest = replace(line(2000), subscription_item="si_2")
    oldest = [replace(line(400), subscription_item="si_1"), replace(line(600), subscription_item="si_1", flat=True)]
    by_hand = replace(line(0), subscription_item="si_3", invoice_item="ii_1")

    lines = reduced([by_hand, newest, *oldest], discount("di_1", off(500)))
    assert [one[0][1] for one in taken_off(lines)] == [0, 334, 66, 100]


def test_ten_percent_off_thirty_dollars() -> None:
    summed = totals(reduced([line(3000)], discount("di_1", percent("10"))))

    assert (summed.subtotal, summed.total, summed.discounts) == (3000, 2700, (("di_1", 300),))


def test_the_discounts_of_a_line_come_before_those_of_the_invoice_and_into_the_subtotal() -> None:
    own, whole = discount("di_own", percent("50")), discount("di_all", percent("10"))
    lines = reduced([with_own(line(1000), ["di_own"]), line(1000)], whole, own=(own,))

    assert taken_off(lines) == [[("di_own", 500), ("di_all", 50)], [("di_all", 100)]]
    summed = totals(lines)
    assert (summed.subtotal, summed.total) == (1500, 1350)


def test_a_discount_that_several_lines_have_is_one_discount_over_all_of_them() -> None:
    lines = reduced([with_own(line(1000), ["di_1"]), with_own(line(2000), ["di_1"])], own=(discount("di_1", off(500)),))

    assert taken_off(lines) == [[("di_1", 166)], [("di_1", 334)]]


def test_a_discount_on_a_product_takes_nothing_off_the_others() -> None:
    seats = replace(line(1000), product="prod_seat")
    lines = reduced([line(1000), seats], discount("di_1", off(300, "prod_seat")))

    assert taken_off(lines) == [[], [("di_1", 300)]]


def test_money_given_back_and_lines_that_are_not_discountable_are_left_alone() -> None:
    whole = discount("di_1", percent("50"))
    back, fixed = line(-400), replace(line(400), discountable=False)

    assert taken_off(reduced([back, fixed, line(100)], whole)) == [[], [], [("di_1", 50)]]


def test_a_proration_keeps_what_is_written_on_it() -> None:
    written = (LineDiscount(discount="di_0", amount=-83, level="line"),)
    credit = replace(line(-500), discountable=False, proration=True, discounts=written)

    assert reduced([credit], discount("di_1", percent("50")))[0].discounts == written
    assert credit.net_amount == -417


def test_a_line_that_is_discountable_no_longer_forgets_what_was_taken_off() -> None:
    before = reduced([with_own(line(1000), ["di_1"])], own=(discount("di_1", percent("10")),))[0]
    after = reduced([replace(before, discountable=False)])[0]

    assert taken_off((before, after)) == [[("di_1", 100)], [("di_1", 0)]]


def test_a_free_trial_uses_up_nothing_and_usage_to_come_does() -> None:
    assert not uses_up_once([line(0), line(-5)])
    assert uses_up_once([line(0), line(1)])
    assert uses_up_once([replace(line(0), usage=APRIL)])


terms = st.one_of(
    st.integers(1, 20_000).map(off),
    st.integers(1, 10_000).map(lambda part: Terms(percent_off=Decimal(part).scaleb(-2))),
)


@given(
    st.lists(st.tuples(st.integers(-5_000, 10_000), st.booleans(), st.booleans()), min_size=1, max_size=5),
    st.lists(terms, max_size=3),
    terms,
)
def test_no_line_falls_below_zero_and_reckoning_again_changes_nothing(
    said: list[tuple[int, bool, bool]], everywhere: list[Terms], alone: Terms
) -> None:
    own = discount("di_own", alone)
    whole = [discount(f"di_{place}", each) for place, each in enumerate(everywhere)]
    lines = [
        with_own(replace(line(amount), discountable=fair), ["di_own"] if has else []) for amount, fair, has in said
    ]
    once = reduced(lines, *whole, own=(own,))

    assert all(min(one.amount, 0) <= one.net_amount <= one.amount for one in once)
    assert all(one.net_amount == one.amount for one in once if not one.discountable)
    assert reduced(list(once), *whole, own=(own,)) == once
    assert totals(once).total == sum(one.amount for one in once) - sum(amount for _, amount in totals(once).discounts)
