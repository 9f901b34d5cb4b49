"""Credit notes: which shares of a line a part takes along, what can be credited at all, and which way it goes."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterline.invoice import state
from meterline.invoice.credit_note import (
    CreditNote,
    CreditNoteLine,
    LinkedRefund,
    Ways,
    creditable,
    number,
    require_creditable,
    require_voidable,
    split,
    voided,
)
from meterline.invoice.creditable import AskedLine, lines_of, spread
from meterline.invoice.line import InvoiceLine, LineCredit, LineDiscount, LineTax
from meterline.invoice.model import Invoice
from meterline.invoice.total import totals
from meterline.refusal import Missing, Refusal
from tests.core.invoice.build import START, draft, issued, line

LATER = START + timedelta(days=1)


def note(lines: Sequence[CreditNoteLine], *, pre: int = 0, post: int = 0) -> CreditNote:
    """An issued note with those lines."""
    return CreditNote(
        environment="test",
        customer_id=draft().customer_id,
        id="cn_1",
        customer="cus_1",
        test_clock=None,
        invoice="in_1",
        number="ABC-0001-CN-01",
        created=LATER,
        effective_at=LATER,
        currency="usd",
        status="issued",
        total=sum(each.total for each in lines) or pre + post,
        pre_payment=pre,
        post_payment=post,
        lines=tuple(lines),
    )


def taxed(amount: int, *, off: int = 0, credit: int = 0, exclusive: int = 0, inclusive: int = 0) -> InvoiceLine:
    """A line with a discount, billing credits, and both kinds of tax."""
    net = amount - off - credit
    return replace(
        line(amount),
        id="il_1",
        quantity=Decimal(4),
        unit_amount=Decimal(amount) / 4,
        discounts=(LineDiscount(discount="di_1", amount=off, level="invoice"),) if off else (),
        credits=(LineCredit("cbtxn_1", credit),) if credit else (),
        taxes=(
            *_tax("txr_on", exclusive, "exclusive", net - inclusive),
            *_tax("txr_in", inclusive, "inclusive", net - inclusive),
        ),
    )


def _tax(rate: str, amount: int, behavior: Literal["exclusive", "inclusive"], on: int) -> tuple[LineTax, ...]:
    if not amount:
        return ()
    return (LineTax(tax_rate=rate, amount=amount, behavior=behavior, taxable_amount=on),)


def holding(*lines: InvoiceLine) -> Invoice:
    """An invoice with those lines."""
    return replace(draft(), lines=lines)


def asked(**said: Any) -> AskedLine:
    return AskedLine(param="lines[0]", metadata={}, **({"invoice_line": "il_1"} | said))


def credited(of: InvoiceLine, *notes: CreditNote, **said: Any) -> CreditNoteLine:
    [made] = lines_of([asked(**said)], of=holding(of), notes=notes, rates={})
    return made


def test_half_a_line_takes_half_of_everything_along() -> None:
    half = credited(taxed(1000, off=100, credit=200, exclusive=70), amount=500)

    assert (half.net_amount, half.total) == (350, 385)
    assert [each.amount for each in half.discounts] == [50]
    assert [each.amount for each in half.credits] == [100]
    assert [(each.amount, each.taxable_amount) for each in half.taxes] == [(35, 350)]


def test_tax_inside_stays_inside() -> None:
    half = credited(taxed(450, inclusive=21), amount=225)

    assert (half.total, [(each.amount, each.taxable_amount) for each in half.taxes]) == (225, [(11, 214)])


def test_a_quantity_is_worth_its_share_and_the_last_one_the_rest() -> None:
    of = replace(line(1000), id="il_1", quantity=Decimal(3))
    notes: list[CreditNote] = []
    for worth in (333, 334, 333):
        one = credited(of, *notes, quantity=1)
        assert (one.amount, one.quantity) == (worth, 1)
        notes.append(note([one]))
    with pytest.raises(Refusal, match="quantity to credit"):
        credited(of, *notes, quantity=1)


def test_a_line_is_credited_in_one_way_only() -> None:
    of = taxed(1000)
    with pytest.raises(Refusal, match="can only be credited by quantity") as refused:
        credited(of, note([credited(of, quantity=1)]), amount=100)
    assert refused.value.param == "lines[0][amount]"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"amount": 1001}, r"\$10.01.*\$10.00"),
        ({"amount": 0}, "cannot be greater"),
        ({"quantity": 5}, "quantity to credit"),
        ({}, "`amount` or `quantity`"),
        ({"invoice_line": None, "description": "Sorry"}, "unit_amount"),
        ({"invoice_line": None, "unit_amount": Decimal(5)}, "description"),
        ({"invoice_line": None, "unit_amount": Decimal("0.2"), "description": "Sorry"}, "between 1 and"),
    ],
)
def test_lines_that_cannot_be_are_refused(said: dict[str, Any], why: str) -> None:
    with pytest.raises(Refusal, match=why):
        credited(taxed(1000), **said)


def test_a_line_of_another_invoice_is_unknown() -> None:
    with pytest.raises(Missing):
        credited(taxed(1000), invoice_line="il_2", amount=1)


def test_a_custom_line_is_a_quantity_at_a_price() -> None:
    custom = credited(taxed(1000), invoice_line=None, description="Sorry", unit_amount=Decimal("12.5"), quantity=3)

    assert (custom.amount, custom.total, custom.invoice_line) == (38, 38, None)


def test_a_whole_amount_is_split_over_the_lines_in_proportion() -> None:
    of = [taxed(1000, exclusive=100), replace(taxed(500), id="il_2"), replace(line(-300), id="il_3")]

    made = spread(800, of=holding(*of), notes=[])

    assert [(each.invoice_line, each.total) for each in made] == [("il_1", 550), ("il_2", 250)]
    assert (made[0].amount, made[0].taxes[0].amount) == (500, 50)


shares = st.tuples(*(st.integers(0, 400) for _ in range(4)))
ways = st.tuples(st.sampled_from(["gross", "total"]), st.sampled_from(["asked", "exempt"]))


def exempt(of: InvoiceLine) -> InvoiceLine:
    """The line of a customer who is not asked for tax."""
    taxes = tuple(replace(tax, amount=0, waived=tax.amount if tax.inside else 0, taxable_amount=0) for tax in of.taxes)
    return replace(of, taxes=taxes)


def test_tax_that_was_not_asked_for_is_not_given_back() -> None:
    half = credited(exempt(taxed(1100, inclusive=100)), amount=550)
    assert (half.net_amount, half.waived, half.total) == (550, 50, 500)


@given(st.integers(0, 2000), shares, st.lists(st.integers(1, 900), max_size=8), ways)
def test_parts_never_exceed_a_line_and_make_it_up(
    more: int, parts: tuple[int, int, int, int], steps: list[int], way: tuple[str, str]
) -> None:
    off, credit, exclusive, inclusive = parts
    of = taxed(1 + more + off + credit + inclusive, off=off, credit=credit, exclusive=exclusive, inclusive=inclusive)
    notes: list[CreditNote] = []
    by_total = way[0] == "total"
    if way[1] == "exempt":
        of, exclusive = exempt(of), 0
    waived = sum(tax.waived for tax in of.taxes)
    whole = of.net_amount - waived + exclusive if by_total else of.amount
    for step in [*steps, 10**9]:
        left = whole - sum(each.total if by_total else each.lines[0].amount for each in notes)
        if left == 0:
            break
        size = min(step, left)
        [made] = spread(size, of=holding(of), notes=notes) if by_total else [credited(of, *notes, amount=size)]
        shares_of = [each.amount for part in (made.discounts, made.credits, made.taxes) for each in part]
        assert min([made.net_amount, made.total, *shares_of]) >= 0
        assert (made.total if by_total else made.amount) == size
        notes.append(note([made]))
    taken, said = totals([each for one in notes for each in one.lines]), totals([of])
    # The tax inside a subtotal is reckoned anew for each note: it rounds, and is no share of anything.
    assert replace(taken, subtotal_excluding_tax=0) == replace(said, subtotal_excluding_tax=0)


def invoice(*, status: Literal["open", "paid"], total: int, paid: int = 0, balance: int = 0) -> Invoice:
    made = issued(total, balance=balance)
    if status == "paid" and made.status == "open":
        made = state.paid(made, amount=paid or made.amounts.remaining, now=LATER)
    return made


@pytest.mark.parametrize(
    ("of", "total", "ways", "expected"),
    [
        (invoice(status="open", total=10000), 2000, Ways(), (2000, 0)),
        (invoice(status="open", total=10000), 10000, Ways(), (10000, 0)),
        (invoice(status="open", total=1000, balance=-400), 1000, Ways(to_balance=400), (600, 400)),
        (invoice(status="open", total=1000, balance=500), 1000, Ways(), (1000, 0)),
        (invoice(status="paid", total=1000), 700, Ways(refund=300, to_balance=300, out_of_band=100), (0, 700)),
        (invoice(status="paid", total=1000), 500, Ways(linked=(LinkedRefund(refund="re_1", amount=500),)), (0, 500)),
    ],
)
def test_what_is_not_paid_yet_is_lowered_first(of: Invoice, total: int, ways: Ways, expected: tuple[int, int]) -> None:
    assert split(of, total=total, most=of.amounts.total, ways=ways, param="amount") == expected


@pytest.mark.parametrize(
    ("of", "total", "ways", "why"),
    [
        (invoice(status="open", total=1000), 1001, Ways(), r"\$10.01.*\$10.00"),
        (invoice(status="open", total=1000), 0, Ways(), "greater than 0"),
        (invoice(status="open", total=1000), 500, Ways(to_balance=500), r"\$5.00.*must equal.*\$0.00"),
        (invoice(status="paid", total=1000), 500, Ways(to_balance=400), r"\$4.00.*must equal.*\$5.00"),
    ],
)
def test_a_note_that_goes_nowhere_or_too_far_is_refused(of: Invoice, total: int, ways: Ways, why: str) -> None:
    with pytest.raises(Refusal, match=why):
        split(of, total=total, most=of.amounts.total, ways=ways, param="amount")


def test_what_was_credited_or_refunded_before_cannot_be_credited_again() -> None:
    of = invoice(status="paid", total=1000)
    earlier = [note((), post=300), replace(note((), post=200), status="void")]
    assert creditable(of, earlier, refunded=100) == 600
    assert creditable(of, earlier, refunded=900) == 0


def test_a_note_on_an_open_invoice_lowers_what_is_due_until_it_is_void() -> None:
    open_ = invoice(status="open", total=10000)
    lowered = state.credited(open_, note((), pre=2000), now=LATER)
    assert (lowered.status, lowered.amounts.due, lowered.amounts.remaining) == ("open", 8000, 8000)
    assert lowered.amounts.pre_payment_credit_notes == 2000
    assert state.uncredited(lowered, note((), pre=2000)) == open_


def test_an_invoice_with_nothing_left_to_pay_is_paid() -> None:
    done = state.credited(invoice(status="open", total=10000), note((), pre=10000), now=LATER)
    assert (done.status, done.paid_at, done.amounts.paid, done.amounts.due) == ("paid", LATER, 0, 0)


def test_only_open_and_paid_invoices_are_credited_and_only_open_ones_again_without() -> None:
    open_ = invoice(status="open", total=1000)
    for wrong in (draft(1000), *(replace(open_, status=each) for each in ("void", "uncollectible"))):
        with pytest.raises(Refusal, match="open or paid"):
            require_creditable(wrong)
    pre = note((), pre=100)
    require_voidable(pre, open_)
    for gone, of in (
        (voided(pre, now=LATER), open_),
        (pre, invoice(status="paid", total=1000)),
        (note((), pre=50, post=50), open_),
    ):
        with pytest.raises(Refusal):
            require_voidable(gone, of)


def test_notes_are_numbered_under_their_invoice() -> None:
    assert [number("ABC-0001", n) for n in (1, 12, 100)] == ["ABC-0001-CN-01", "ABC-0001-CN-12", "ABC-0001-CN-100"]
