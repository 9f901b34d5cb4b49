"""Tax by rates: Stripe's worked numbers, and what holds for any lines and any rates."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterline.catalog import TaxRate
from meterline.customer.model import TaxExemption
from meterline.invoice.balance import settle
from meterline.invoice.line import InvoiceLine, LineCredit, LineDiscount
from meterline.invoice.tax import Rounding, taxed
from meterline.invoice.total import Totals, totals
from tests.core.invoice.build import line

Kind = Literal["on top", "inside"]


def rate(percentage: str, kind: Kind, *, id: str = "") -> TaxRate:
    return TaxRate(
        environment="test",
        id=id or f"txr_{percentage}_{kind}",
        display_name="VAT",
        percentage=Decimal(percentage),
        inclusive=kind == "inside",
        created=datetime(2026, 1, 1, tzinfo=UTC),
    )


def bill(
    lines: Sequence[InvoiceLine],
    *rates: TaxRate,
    exemption: TaxExemption = "none",
    rounding: Rounding = "line",
) -> tuple[tuple[InvoiceLine, ...], Totals]:
    """The lines with the tax of these rates, and what they come to."""
    written = taxed(lines, default=rates, exemption=exemption, rounding=rounding)
    return written, totals(written)


def amounts(written: InvoiceLine) -> list[int]:
    return [tax.amount for tax in written.taxes]


@pytest.mark.parametrize(("kind", "total", "untaxed"), [("on top", 625, 500), ("inside", 500, 400)])
def test_a_quarter_of_500(kind: Kind, total: int, untaxed: int) -> None:
    [written], summed = bill([line(500)], rate("25", kind))

    assert amounts(written) == [total - untaxed]
    assert (summed.subtotal, summed.total, summed.total_excluding_tax) == (500, total, untaxed)


def test_each_line_is_rounded_before_they_are_summed() -> None:
    written, summed = bill([line(450), line(900)], rate("5", "on top"))

    assert [amounts(each) for each in written] == [[23], [45]]
    assert (summed.total, summed.total_excluding_tax, summed.subtotal_excluding_tax) == (1418, 1350, 1350)
    assert [(tax.amount, tax.taxable_amount) for tax in summed.taxes] == [(68, 1350)]


def test_tax_inside_each_line() -> None:
    written, summed = bill([line(450), line(900)], rate("5", "inside"))

    assert [amounts(each) for each in written] == [[21], [43]]
    assert (summed.total, summed.total_excluding_tax, summed.subtotal_excluding_tax) == (1350, 1286, 1286)
    assert [(tax.amount, tax.taxable_amount) for tax in summed.taxes] == [(64, 1286)]


def test_tax_on_top_is_reckoned_on_what_tax_inside_leaves() -> None:
    written, summed = bill([line(450), line(900)], rate("5", "inside"), rate("7", "on top"))

    assert [amounts(each) for each in written] == [[21, 30], [43, 60]]
    assert [{tax.taxable_amount for tax in each.taxes} for each in written] == [{429}, {857}]
    assert [each.amount + each.taxes[1].amount for each in written] == [480, 960]
    assert (summed.total, summed.total_excluding_tax) == (1440, 1286)


@pytest.mark.parametrize(
    ("rounding", "total", "by_line"), [("line", 9546, [152] * 3), ("invoice", 9545, [152, 152, 151])]
)
def test_rounding_the_line_or_the_invoice(rounding: Rounding, total: int, by_line: list[int]) -> None:
    written, summed = bill([line(3030)] * 3, rate("5", "on top"), rounding=rounding)

    assert [amount for each in written for amount in amounts(each)] == by_line
    assert summed.total == total


@pytest.mark.parametrize(("exemption", "reason"), [("exempt", "customer_exempt"), ("reverse", "reverse_charge")])
def test_who_is_exempt_pays_less_by_the_tax_inside_and_none_on_top(exemption: TaxExemption, reason: str) -> None:
    [written], summed = bill([line(10_000)], rate("10", "inside"), rate("7", "on top"), exemption=exemption)

    assert (summed.subtotal, summed.subtotal_excluding_tax) == (10_000, 9091)
    assert (summed.total, summed.total_excluding_tax) == (9091, 9091)
    assert [(tax.amount, tax.taxable_amount, tax.reason) for tax in written.taxes] == [(0, 0, reason)] * 2


def test_tax_comes_after_a_discount() -> None:
    discounted = replace(line(3000), discounts=(LineDiscount(discount="di_1", amount=300, level="invoice"),))

    _, summed = bill([discounted], rate("5", "on top"))

    assert (summed.total_excluding_tax, summed.total) == (2700, 2835)


def test_discount_credit_tax_balance_in_their_order() -> None:
    used = replace(
        line(10_000),
        discounts=(LineDiscount(discount="di_1", amount=1000, level="invoice"),),
        credits=(LineCredit("cbtxn_1", 5000),),
    )

    _, summed = bill([used], rate("10", "on top"))
    settlement = settle(total=summed.total, balance=-1000, currency="usd")

    assert (summed.subtotal, summed.total_excluding_tax, summed.total) == (10_000, 4000, 4400)
    assert (settlement.amount_due, settlement.ending_balance) == (3400, 0)


def test_the_subtotal_without_tax_knows_no_discount_of_the_invoice() -> None:
    discounted = replace(line(1100), discounts=(LineDiscount(discount="di_1", amount=550, level="invoice"),))

    _, summed = bill([discounted], rate("10", "inside"))

    assert (summed.subtotal, summed.subtotal_excluding_tax) == (1100, 1000)
    assert (summed.total, summed.total_excluding_tax) == (550, 500)


def test_a_lines_own_rates_take_the_place_of_the_invoices() -> None:
    own = replace(line(1000), tax_rates=(rate("20", "on top"),))

    written, _ = bill([own, line(1000)], rate("5", "on top"))

    assert [amounts(each) for each in written] == [[200], [50]]


def test_yen_have_no_decimals_and_dinars_three() -> None:
    yen, dinars = replace(line(105), currency="jpy"), replace(line(10_005), currency="kwd")

    [one], _ = bill([yen], rate("10", "on top"))
    [other], _ = bill([dinars], rate("5", "inside"))

    assert (amounts(one), amounts(other)) == ([11], [476])


def test_nothing_is_taxed_without_rates() -> None:
    written, summed = bill([line(1000)])

    assert (written[0].taxes, summed.taxes, summed.total) == ((), (), 1000)


RATES = st.lists(
    st.builds(
        lambda thousandths, inside, n: rate(
            str(Decimal(thousandths) / 10_000), "inside" if inside else "on top", id=f"txr_{n}"
        ),
        st.integers(0, 1_000_000),
        st.booleans(),
        st.integers(0, 99),
    ),
    max_size=10,
    unique_by=lambda each: each.id,
)
AMOUNTS = st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=12)
ROUNDINGS = st.sampled_from(["line", "invoice"])
EXEMPTIONS = st.sampled_from(["none", "exempt", "reverse"])


@given(sums=AMOUNTS, rates=RATES, rounding=ROUNDINGS, exemption=EXEMPTIONS)
def test_the_sums_agree(sums: list[int], rates: list[TaxRate], rounding: Rounding, exemption: TaxExemption) -> None:
    written, summed = bill([line(each) for each in sums], *rates, rounding=rounding, exemption=exemption)

    asked = sum(tax.amount for each in written for tax in each.taxes)
    assert summed.total == summed.total_excluding_tax + asked
    assert sum(tax.amount for tax in summed.taxes) == asked
    assert summed.total_excluding_tax == summed.subtotal_excluding_tax


@given(sums=AMOUNTS, rates=RATES, rounding=ROUNDINGS, exemption=EXEMPTIONS)
def test_tax_inside_never_exceeds_the_line(
    sums: list[int], rates: list[TaxRate], rounding: Rounding, exemption: TaxExemption
) -> None:
    written, _ = bill([line(each) for each in sums], *rates, rounding=rounding, exemption=exemption)

    for each in written:
        inside = [tax.amount + tax.waived for tax in each.taxes if tax.inside]
        assert all(part * (1 if each.amount >= 0 else -1) >= 0 for part in inside)
        assert abs(sum(inside)) <= abs(each.amount)


@given(sums=AMOUNTS, rates=RATES, rounding=ROUNDINGS)
def test_the_order_of_rates_does_not_matter(sums: list[int], rates: list[TaxRate], rounding: Rounding) -> None:
    lines = [line(each) for each in sums]
    one, _ = bill(lines, *rates, rounding=rounding)
    other, _ = bill(lines, *reversed(rates), rounding=rounding)

    assert [frozenset(each.taxes) for each in one] == [frozenset(each.taxes) for each in other]


@given(sums=AMOUNTS, rates=RATES, rounding=ROUNDINGS)
def test_the_reversal_of_lines_gives_their_tax_back(sums: list[int], rates: list[TaxRate], rounding: Rounding) -> None:
    _, billed = bill([line(each) for each in sums], *rates, rounding=rounding)
    _, reversed_ = bill([line(-each) for each in sums], *rates, rounding=rounding)

    assert reversed_.total == -billed.total
    assert [tax.amount for tax in reversed_.taxes] == [-tax.amount for tax in billed.taxes]


@given(sums=AMOUNTS, rates=RATES)
def test_rounding_the_invoice_is_less_than_a_unit_off_for_each_rate_on_top(
    sums: list[int], rates: list[TaxRate]
) -> None:
    on_top = [each for each in rates if not each.inclusive]
    _, summed = bill([line(each) for each in sums], *on_top, rounding="invoice")

    for tax in summed.taxes:
        assert abs(tax.amount - Decimal(sum(sums)) * tax.percentage / 100) <= Decimal("0.5")
