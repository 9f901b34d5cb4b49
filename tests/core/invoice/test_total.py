"""Totals are sums of rounded lines, in Stripe's order of calculation."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from meterline.invoice.line import InvoiceLine, LineCredit, LineDiscount, LineTax
from meterline.invoice.total import totals
from tests.core.invoice.build import line


def _taxed(amount: int, *taxes: tuple[str, int, str], off: int = 0, credit: int = 0) -> InvoiceLine:
    """A line with (rate, amount, behaviour) of tax, a discount of the invoice, and billing credit."""
    return replace(
        line(amount),
        discounts=(LineDiscount(discount="di_1", amount=off, level="invoice"),) if off else (),
        credits=(LineCredit(credit_balance_transaction="cbtxn_1", amount=credit),) if credit else (),
        taxes=tuple(
            LineTax(
                tax_rate=rate,
                amount=tax,
                behavior="exclusive" if behaviour == "exclusive" else "inclusive",
                taxable_amount=amount - off - credit,
            )
            for rate, tax, behaviour in taxes
        ),
    )


def test_nothing_comes_to_nothing() -> None:
    assert totals(()).total == 0
    assert totals(()).taxes == ()


def test_exclusive_tax_comes_on_top_of_the_discounted_amount() -> None:
    summed = totals([_taxed(3000, ("txr_5", 135, "exclusive"), off=300)])

    assert (summed.subtotal, summed.total_excluding_tax, summed.total) == (3000, 2700, 2835)
    assert summed.discounts == (("di_1", 300),)


def test_inclusive_tax_is_inside() -> None:
    summed = totals([_taxed(450, ("txr_5", 21, "inclusive")), _taxed(900, ("txr_5", 43, "inclusive"))])

    assert (summed.subtotal, summed.subtotal_excluding_tax) == (1350, 1286)
    assert (summed.total, summed.total_excluding_tax) == (1350, 1286)
    assert [(tax.amount, tax.taxable_amount) for tax in summed.taxes] == [(64, 1350)]


def test_credit_comes_after_discounts_and_before_tax() -> None:
    summed = totals([_taxed(10_000, ("txr_10", 400, "exclusive"), off=1000, credit=5000)])

    assert (summed.subtotal, summed.total_excluding_tax, summed.total) == (10_000, 4000, 4400)
    assert summed.credits == (("cbtxn_1", 5000),)


def test_a_discount_of_a_line_is_in_the_subtotal() -> None:
    discounted = replace(line(1000), discounts=(LineDiscount(discount="di_2", amount=100, level="line"),))

    summed = totals([discounted, line(50)])

    assert (summed.subtotal, summed.total) == (950, 950)


@given(amounts=st.lists(st.integers(-(10**9), 10**9), max_size=60))
def test_a_total_is_the_sum_of_its_lines(amounts: list[int]) -> None:
    summed = totals([line(amount) for amount in amounts])

    assert summed.subtotal == summed.total == summed.total_excluding_tax == sum(amounts)


@given(
    rows=st.lists(
        st.tuples(st.integers(0, 10**6), st.integers(0, 500), st.integers(0, 500), st.integers(0, 300)), max_size=20
    )
)
def test_every_part_of_a_total_is_found_again(rows: list[tuple[int, int, int, int]]) -> None:
    summed = totals(
        [_taxed(amount + 1000, ("a", tax, "exclusive"), off=off, credit=credit) for amount, off, credit, tax in rows]
    )

    taken = sum(amount for _, amount in (*summed.discounts, *summed.credits))
    assert summed.total_excluding_tax == summed.subtotal - taken
    assert summed.total == summed.total_excluding_tax + sum(tax.amount for tax in summed.taxes)
