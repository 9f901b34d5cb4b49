"""What may become of an invoice, and why not. Every transition is a function from invoice to invoice."""

from dataclasses import replace
from datetime import datetime, timedelta

from meterline.invoice.balance import Settlement, settle
from meterline.invoice.credit_note import CreditNote, lowered, restored
from meterline.invoice.model import Amounts, BillTo, CollectionMethod, Invoice, UncollectibleReason
from meterline.invoice.total import Totals
from meterline.refusal import Refusal
from meterline.subscription.status import Standing

DRAFT_TIME = timedelta(hours=1)
"""How long an invoice that advances by itself stays a draft."""

LONGEST_DRAFT = timedelta(days=5 * 365 + 2)
"""How far ahead a draft's finalization can be planned."""

_NOT_OPEN = "You can only pass in open invoices. This invoice isn't open."


def reckoned(draft: Invoice, *, totals: Totals, balance: int) -> Invoice:
    """The draft with these totals, against the balance that its customer has now."""
    assert draft.status == "draft"
    settlement = settle(total=totals.total, balance=balance, currency=draft.currency)
    return replace(draft, amounts=_amounts(totals, settlement, ending=None))


def finalized(
    draft: Invoice, *, totals: Totals, balance: int, number: str, bill_to: BillTo, now: datetime
) -> tuple[Invoice, Settlement]:
    """The draft as an open invoice, or as a paid one where nothing is due, and what the balance gave or took.

    Refuses an invoice that is not a draft.
    """
    require_draft(draft)
    settlement = settle(total=totals.total, balance=balance, currency=draft.currency)
    by_mail = draft.collection_method == "send_invoice"
    due_date = draft.due_date
    if by_mail and due_date is None:
        due_date = now + timedelta(days=draft.days_until_due or 0)
    issued = replace(
        draft,
        status="open",
        amounts=_amounts(totals, settlement, ending=settlement.ending_balance),
        bill_to=bill_to,
        number=draft.number or number,
        due_date=due_date if by_mail else None,
        effective_at=draft.effective_at or now,
        finalized_at=now,
        automatically_finalizes_at=None,
        next_payment_attempt=now if draft.auto_advance and not by_mail else None,
    )
    if settlement.amount_due == 0:
        issued = replace(
            issued, status="paid", attempted=True, paid_at=now, next_payment_attempt=None, auto_advance=False
        )
    return issued, settlement


def paid(invoice: Invoice, *, amount: int, now: datetime) -> Invoice:
    """The invoice after `amount` (minor units, at most what remains) arrived; paid once nothing remains."""
    require_payable(invoice)
    assert 0 < amount <= invoice.amounts.remaining
    return _received(invoice, replace(invoice.amounts, paid=invoice.amounts.paid + amount), now)


def paid_elsewhere(invoice: Invoice, *, now: datetime) -> Invoice:
    """The invoice once its whole remainder was received by other means."""
    require_payable(invoice)
    amounts = invoice.amounts
    received = replace(
        amounts,
        paid=amounts.paid + amounts.remaining,
        paid_off_platform=amounts.paid_off_platform + amounts.remaining,
    )
    return _received(invoice, received, now)


def credited(invoice: Invoice, note: CreditNote, *, now: datetime) -> Invoice:
    """The open or paid invoice with a credit note on it; paid once nothing remains to be paid."""
    amounts = lowered(invoice.amounts, note)
    return _received(invoice, amounts, now) if invoice.status == "open" else replace(invoice, amounts=amounts)


def uncredited(invoice: Invoice, note: CreditNote) -> Invoice:
    """The invoice without a credit note that had lowered what is to be paid."""
    return replace(invoice, amounts=restored(invoice.amounts, note))


def _received(invoice: Invoice, amounts: Amounts, now: datetime) -> Invoice:
    if amounts.remaining > 0:
        return replace(invoice, amounts=amounts)
    return replace(
        invoice,
        amounts=amounts,
        status="paid",
        attempted=True,
        paid_at=now,
        next_payment_attempt=None,
        auto_advance=False,
    )


def voided(invoice: Invoice, *, now: datetime) -> tuple[Invoice, int]:
    """The invoice without force, and the change to the customer balance that undoes what it had applied.

    Open and uncollectible invoices can be voided, as Stripe's manual says, unless something was paid on them.
    """
    require_voidable(invoice)
    assert invoice.amounts.ending_balance is not None
    undo = invoice.amounts.starting_balance - invoice.amounts.ending_balance
    gone = replace(invoice, status="void", voided_at=now, next_payment_attempt=None, auto_advance=False)
    return gone, undo


def uncollectible(invoice: Invoice, *, reason: UncollectibleReason, now: datetime) -> Invoice:
    """The invoice as a bad debt; it can still be paid."""
    if invoice.status == "uncollectible":
        raise Refusal("This invoice has already been marked uncollectible.")
    if invoice.status != "open":
        raise Refusal(_NOT_OPEN)
    return replace(
        invoice,
        status="uncollectible",
        marked_uncollectible_at=now,
        uncollectible_reason=reason,
        next_payment_attempt=None,
        auto_advance=False,
    )


def attempt_failed(invoice: Invoice, *, counted: bool, retry_at: datetime | None) -> Invoice:
    """The invoice after a payment attempt that moved no money; it is tried again at `retry_at`, if ever."""
    return replace(
        invoice,
        attempted=True,
        attempt_count=invoice.attempt_count + counted,
        next_payment_attempt=retry_at if invoice.auto_advance else None,
    )


def attempt_succeeded(invoice: Invoice, *, counted: bool) -> Invoice:
    """The invoice after a payment attempt that moved money, before the money is applied."""
    return replace(invoice, attempted=True, attempt_count=invoice.attempt_count + counted)


def scheduled(draft: Invoice, *, auto_advance: bool, finalizes_at: datetime, collects_at: datetime) -> Invoice:
    """The draft with its automatic advance switched on, finalized and collected at those instants, or off."""
    require_draft(draft)
    automatic = draft.collection_method == "charge_automatically"
    return replace(
        draft,
        auto_advance=auto_advance,
        automatically_finalizes_at=finalizes_at if auto_advance else None,
        next_payment_attempt=collects_at if auto_advance and automatic else None,
    )


def check_terms(*, collection_method: CollectionMethod, days_until_due: int | None, due_date: datetime | None) -> None:
    """Refuses a due date where the invoice is charged, and none, or two, where it is sent."""
    if collection_method == "send_invoice" and days_until_due is None and due_date is None:
        raise Refusal(
            "If invoice collection method is 'send_invoice', you must specify 'due_date' or 'days_until_due'."
        )
    if collection_method == "charge_automatically" and (days_until_due is not None or due_date is not None):
        name = "days_until_due" if days_until_due is not None else "due_date"
        raise Refusal(f"You can only specify '{name}' if invoice collection method is 'send_invoice'.", param=name)


def check_schedule(*, finalizes_at: datetime | None, due_date: datetime | None, now: datetime) -> None:
    """Refuses plans in the past, and finalization more than five years ahead."""
    if finalizes_at is not None and not now < finalizes_at <= now + LONGEST_DRAFT:
        raise Refusal(
            "`automatically_finalizes_at` must be in the future and at most five years ahead.",
            param="automatically_finalizes_at",
        )
    if due_date is not None and due_date <= now:
        raise Refusal("The due date must be in the future.", param="due_date")


def held_back(invoice: Invoice) -> Invoice:
    """The invoice, draft or open, no longer advancing by itself."""
    return replace(invoice, auto_advance=False, automatically_finalizes_at=None, next_payment_attempt=None)


def standing(invoice: Invoice, *, now: datetime) -> Standing:
    """How the invoice stands for the subscription that it bills."""
    if invoice.status != "open":
        return invoice.status
    if invoice.due_date is not None and invoice.due_date <= now:
        return "overdue"
    return "failed" if invoice.attempted else "open"


def require_draft(invoice: Invoice) -> None:
    """Refuses to finalize what is finalized."""
    if invoice.status != "draft":
        raise Refusal("This invoice is already finalized, you can't re-finalize a non-draft invoice.")


def require_editable(invoice: Invoice) -> None:
    """Refuses to change the lines of a finalized invoice."""
    if not invoice.editable:
        raise Refusal("Invalid invoice: This invoice is no longer editable", code="invoice_not_editable")


def require_deletable(invoice: Invoice) -> None:
    """Refuses to delete anything but a draft that no subscription made."""
    if invoice.status != "draft":
        raise Refusal("You can only delete draft invoices.")
    if invoice.subscription is not None and invoice.billing_reason != "manual":
        raise Refusal("You cannot delete invoices created by a subscription.")


def require_voidable(invoice: Invoice) -> None:
    """Refuses to void what something was paid on, or what is not owed any more."""
    if invoice.status == "paid" or invoice.amounts.paid:
        raise Refusal("Invoices with `paid` payments cannot be voided.")
    if invoice.status not in ("open", "uncollectible"):
        raise Refusal(_NOT_OPEN)


def require_sendable(invoice: Invoice) -> None:
    """Refuses to send what the customer cannot pay any more, or is charged for without being asked."""
    if invoice.status not in ("draft", "open", "uncollectible"):
        raise Refusal(
            f"This invoice cannot be sent right now. It is {invoice.status}; only an invoice that is still to be"
            " paid can be sent."
        )
    if invoice.collection_method != "send_invoice":
        raise Refusal("You can only manually send an invoice if its collection method is 'send_invoice'.")


def require_payable(invoice: Invoice) -> None:
    """Refuses to collect what is paid, void or not yet finalized."""
    if invoice.status == "paid":
        raise Refusal("Invoice is already paid")
    if invoice.status == "void":
        raise Refusal("Invoice is voided and can't be paid.")
    assert invoice.status != "draft", "a draft is finalized before it is paid"


def _amounts(totals: Totals, settlement: Settlement, *, ending: int | None) -> Amounts:
    return Amounts(
        subtotal=totals.subtotal,
        subtotal_excluding_tax=totals.subtotal_excluding_tax,
        total=totals.total,
        total_excluding_tax=totals.total_excluding_tax,
        due=settlement.amount_due,
        starting_balance=settlement.starting_balance,
        ending_balance=ending,
        discounts=totals.discounts,
        credits=totals.credits,
        taxes=totals.taxes,
    )
