"""What may become of an invoice, and what is said when it may not."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterline.invoice import state
from meterline.invoice.model import BillTo, Invoice
from meterline.invoice.number import number
from meterline.invoice.total import totals
from meterline.refusal import Refusal
from tests.core.invoice.build import START, draft, issued

NOW = START + timedelta(days=1)


def _paid() -> Invoice:
    return state.paid(issued(1000), amount=1000, now=NOW)


def _void() -> Invoice:
    return state.voided(issued(1000), now=NOW)[0]


def _uncollectible() -> Invoice:
    return state.uncollectible(issued(1000), reason="user_forgiven", now=NOW)


def _finalize(invoice: Invoice) -> object:
    return state.finalized(invoice, totals=totals(()), balance=0, number="A-1", bill_to=BillTo(), now=NOW)


ALLOWED: dict[str, tuple[Callable[[Invoice], object], set[str]]] = {
    "finalize": (_finalize, {"draft"}),
    "pay": (lambda invoice: state.paid(invoice, amount=1000, now=NOW), {"open", "uncollectible"}),
    "void": (lambda invoice: state.voided(invoice, now=NOW), {"open", "uncollectible"}),
    "write off": (lambda invoice: state.uncollectible(invoice, reason="user_forgiven", now=NOW), {"open"}),
    "edit": (state.require_editable, {"draft"}),
    "delete": (state.require_deletable, {"draft"}),
}


STATES = (draft(1000), issued(1000), _paid(), _void(), _uncollectible())
CASES = [(act, invoice) for act in ALLOWED for invoice in STATES if (act, invoice.status) != ("pay", "draft")]
"""Use cases finalize a draft before they pay it."""


@pytest.mark.parametrize(("act", "invoice"), CASES)
def test_a_state_allows_or_refuses(invoice: Invoice, act: str) -> None:
    attempt, states = ALLOWED[act]
    if invoice.status in states:
        attempt(invoice)
    else:
        with pytest.raises(Refusal):
            attempt(invoice)


def test_finalizing_numbers_dates_and_plans_the_collection() -> None:
    invoice = issued(1000)

    assert (invoice.status, invoice.number) == ("open", "ABC-0001")
    assert invoice.finalized_at == invoice.effective_at == invoice.next_payment_attempt == START + timedelta(hours=1)
    assert invoice.automatically_finalizes_at is None
    assert (invoice.amounts.due, invoice.amounts.ending_balance) == (1000, 0)


def test_what_asks_for_nothing_is_paid_without_being_asked_for() -> None:
    for nothing in (issued(), issued(-334), issued(20), issued(400, balance=-1000)):
        assert (nothing.status, nothing.attempted, nothing.attempt_count) == ("paid", True, 0)
        assert (nothing.amounts.due, nothing.next_payment_attempt, nothing.auto_advance) == (0, None, False)


def test_a_sent_invoice_is_due_later_and_not_collected() -> None:
    made = draft(1000, method="send_invoice")
    after, _ = state.finalized(made, totals=totals(made.lines), balance=0, number="A-1", bill_to=BillTo(), now=NOW)

    assert (after.due_date, after.next_payment_attempt) == (NOW, None)
    assert state.standing(after, now=NOW) == "overdue"


def test_voiding_undoes_what_the_balance_gave() -> None:
    invoice = issued(1000, balance=-400)

    gone, undo = state.voided(invoice, now=NOW)

    assert (invoice.amounts.due, undo) == (600, -400)
    assert (gone.status, gone.voided_at, gone.auto_advance) == ("void", NOW, False)


def test_a_part_of_the_money_leaves_the_rest_open() -> None:
    half = state.paid(issued(1000), amount=400, now=NOW)

    assert (half.status, half.amounts.remaining) == ("open", 600)
    with pytest.raises(Refusal, match="cannot be voided"):
        state.voided(half, now=NOW)
    assert state.paid(half, amount=600, now=NOW).status == "paid"


def test_money_from_elsewhere_is_told_apart() -> None:
    amounts = state.paid_elsewhere(issued(1000), now=NOW).amounts

    assert (amounts.paid, amounts.paid_off_platform, amounts.remaining) == (1000, 1000, 0)


@given(amounts=st.lists(st.integers(-5000, 5000), max_size=10), balance=st.integers(-5000, 5000))
def test_due_is_what_is_paid_and_what_remains(amounts: list[int], balance: int) -> None:
    invoice = issued(*amounts, balance=balance)
    found = invoice.amounts

    assert found.ending_balance is not None
    assert found.due == found.total + found.starting_balance - found.ending_balance
    assert found.due == found.paid + found.remaining
    assert (invoice.status == "paid") == (found.remaining == 0)


@pytest.mark.parametrize(("sequence", "text"), [(1, "AB-0001"), (42, "AB-0042"), (12_345, "AB-12345")])
def test_numbers_have_at_least_four_digits(sequence: int, text: str) -> None:
    assert number("AB", sequence) == text
