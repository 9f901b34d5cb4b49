"""Credit notes: documents that lower a finalized invoice.

A note first lowers what is still to be paid (`pre_payment`); what is beyond that was paid already and is given back
(`post_payment`): refunded, put on the customer balance, or returned outside. Amounts are integers in minor units of
the invoice's currency, instants UTC.

Invariants
- The issued notes of an invoice add up to at most its total, and those of a line to at most what the line has left.
- `total = pre_payment + post_payment` and `post_payment = refunded + to_balance + out_of_band`.
- A note never gives billing credits back: the share of a line that credits paid is left out of its total.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

from meterline.catalog import TaxRate
from meterline.invoice.line import LineCredit, LineDiscount, LineTax
from meterline.invoice.model import Amounts, Invoice
from meterline.money import display
from meterline.refusal import Refusal

Reason = Literal["duplicate", "fraudulent", "order_change", "product_unsatisfactory"]
Kind = Literal["mixed", "post_payment", "pre_payment"]
By = Literal["amount", "quantity"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditNoteLine:
    """A part of a line of the invoice (`invoice_line`), or something in words of its own.

    `amount` is before discounts, credits and exclusive tax, which are the shares of this part. `by` says how the
    part of an invoice line was measured; null where the note as a whole was split over the lines. `tax_rates` are the
    rates of its `taxes`.
    """

    id: str
    amount: int
    description: str | None
    invoice_line: str | None = None
    quantity: int | None = None
    unit_amount: Decimal | None = None
    by: By | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    discounts: tuple[LineDiscount, ...] = ()
    credits: tuple[LineCredit, ...] = ()
    taxes: tuple[LineTax, ...] = ()
    tax_rates: tuple[TaxRate, ...] = ()

    @property
    def net_amount(self) -> int:
        """The amount after discounts and credits: what tax is reckoned on."""
        taken = sum(discount.amount for discount in self.discounts)
        return self.amount - taken - sum(credit.amount for credit in self.credits)

    @property
    def total(self) -> int:
        """What this line gives back, tax included, and less by the tax inside that was not asked for."""
        on_top = sum(tax.amount for tax in self.taxes if not tax.inside)
        return self.net_amount - self.waived + on_top

    @property
    def waived(self) -> int:
        """The tax inside that the customer was not asked for."""
        return sum(tax.waived for tax in self.taxes)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedRefund:
    """A refund that a note explains, and how much of it."""

    refund: str
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditNote:
    """One note, with all its lines. `invoice` is the id of what it lowers, `number` is printed on it.

    `effective_at` is the date of issue. `to_balance` is what `customer_balance_transaction` put on the customer
    balance; `refunds` are those made for the note and those that were there before.
    """

    environment: str
    customer_id: UUID
    id: str
    customer: str
    test_clock: str | None
    invoice: str
    number: str
    created: datetime
    effective_at: datetime
    currency: str
    status: Literal["issued", "void"]
    total: int
    pre_payment: int
    post_payment: int
    to_balance: int = 0
    out_of_band: int = 0
    refunds: tuple[LinkedRefund, ...] = ()
    customer_balance_transaction: str | None = None
    lines: tuple[CreditNoteLine, ...] = ()
    reason: Reason | None = None
    memo: str | None = None
    voided_at: datetime | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> Kind:
        """Whether it lowers what is to be paid, gives back what was paid, or both."""
        if not self.post_payment:
            return "pre_payment"
        return "mixed" if self.pre_payment else "post_payment"

    @property
    def refunded(self) -> int:
        """How much of it is explained by refunds."""
        return sum(each.amount for each in self.refunds)

    @property
    def tax(self) -> int:
        """The tax in it, inclusive and exclusive."""
        return sum(tax.amount for line in self.lines for tax in line.taxes)


def number(invoice: str, sequence: int) -> str:
    """`L3JZ3SV5-0006-CN-02` for the second note of that invoice. `sequence` is from 1; void notes count."""
    assert sequence >= 1
    return f"{invoice}-CN-{sequence:02d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """How the part of a note that was paid already is to be given back."""

    refund: int = 0
    to_balance: int = 0
    out_of_band: int = 0
    linked: tuple[LinkedRefund, ...] = ()

    @property
    def whole(self) -> int:
        return self.refund + self.to_balance + self.out_of_band + sum(each.amount for each in self.linked)


def issued(notes: Iterable[CreditNote]) -> tuple[CreditNote, ...]:
    """The notes that have force."""
    return tuple(note for note in notes if note.status == "issued")


def require_creditable(invoice: Invoice) -> None:
    """Refuses an invoice that is not, or not any more, owed or paid."""
    if invoice.status not in ("open", "paid"):
        raise Refusal(
            f"Credit notes can only be created for open or paid invoices. This invoice is {invoice.status}.",
            param="invoice",
        )


def creditable(invoice: Invoice, notes: Sequence[CreditNote], *, refunded: int) -> int:
    """The most that another note can be about. `refunded` went back by refunds that no note explains."""
    before = sum(note.total for note in issued(notes))
    return max(invoice.amounts.total - before - refunded, 0)


def split(invoice: Invoice, *, total: int, most: int, ways: Ways, param: str) -> tuple[int, int]:
    """How much of a new note lowers what is to be paid, and how much was paid already and goes the `ways`.

    `most` is what can be credited yet, `param` is where the caller said the total. Refuses a note of nothing, one
    beyond that, and ways that add up to anything but what was paid.
    """
    if total <= 0:
        raise Refusal("The total of a credit note must be greater than 0.", param=param)
    currency = invoice.currency
    if total > most:
        raise Refusal(
            f"The credit note amount ({display(total, currency)}) cannot be greater than the amount of the invoice"
            f" that has not been credited or refunded yet ({display(most, currency)}).",
            param=param,
        )
    before_payment = min(total, invoice.amounts.remaining) if invoice.status == "open" else 0
    after_payment = total - before_payment
    if ways.whole != after_payment:
        raise Refusal(
            f"The sum of credit amount, refund amount and out of band amount ({display(ways.whole, currency)}) must"
            f" equal the post payment amount of the credit note ({display(after_payment, currency)})."
        )
    return before_payment, after_payment


def lowered(amounts: Amounts, note: CreditNote) -> Amounts:
    """The amounts of an invoice once the note has force: what it lowers is not due any more."""
    return replace(
        amounts,
        due=amounts.due - note.pre_payment,
        pre_payment_credit_notes=amounts.pre_payment_credit_notes + note.pre_payment,
        post_payment_credit_notes=amounts.post_payment_credit_notes + note.post_payment,
    )


def restored(amounts: Amounts, note: CreditNote) -> Amounts:
    """The amounts of an invoice without a note that lowered what was to be paid."""
    assert not note.post_payment, "what was given back stays given"
    return replace(
        amounts,
        due=amounts.due + note.pre_payment,
        pre_payment_credit_notes=amounts.pre_payment_credit_notes - note.pre_payment,
    )


def require_voidable(note: CreditNote, invoice: Invoice) -> None:
    """Refuses to void a note twice, or once its invoice does not wait for a payment any more."""
    if note.status == "void":
        raise Refusal("This credit note has already been voided.")
    if invoice.status != "open" or note.post_payment:
        raise Refusal("You can only void credit notes of open invoices. This invoice isn't open.")


def voided(note: CreditNote, *, now: datetime) -> CreditNote:
    """The note without force."""
    return replace(note, status="void", voided_at=now)
