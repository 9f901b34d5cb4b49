"""Post what happens to invoices, payments, balances and billing credits in the customer's books.

Every function here is called in the transaction that records the business itself, so a crash leaves both or
neither. Causes are named after the object and what befell it: `invoice` when it was finalized, `invoice.void`,
`invoice.write_off`, `credit_note`, `credit_note.void`, `payment`, `refund`, `refund.failed`, `dispute`, `balance`,
`credit_grant`. Amounts arrive in minor units of a lower-case currency and are booked in major units of the upper-case
one. `now` is the customer's time, UTC.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.invoice.balance import BalanceTransaction
from meterline.invoice.credit_note import CreditNote
from meterline.invoice.model import Invoice
from meterline.ledger import posting
from meterline.ledger.account import Kind
from meterline.ledger.posting import Slice
from meterline.ledger.transaction import Cause, Transfer, reversal
from meterline.money import to_major
from meterline.payment.dispute import Dispute
from meterline.payment.refund import Refund
from meterline.store import ledger

OUTSIDE = "outside"
"""The processor of money that was taken by other means."""

_GIVEN = frozenset({"adjustment", "initial", "migration"})
"""Changes of a customer balance that the house makes by itself; all others are part of other business."""


async def invoice_finalized(tx: AsyncConnection, issued: Invoice, *, credits: Sequence[Slice], now: datetime) -> None:
    """The customer owes an invoice. `credits` are the billing credits that it used, in major units."""
    amounts = issued.amounts
    tax = amounts.total - amounts.total_excluding_tax
    used = sum((each.amount for each in credits), Decimal(0))
    transfers = posting.invoice_finalized(
        asset=issued.currency.upper(),
        net=to_major(amounts.total_excluding_tax, issued.currency) + used,
        tax=to_major(tax, issued.currency),
        credits=credits,
        balance_applied=to_major(amounts.total - amounts.due, issued.currency),
    )
    await _post(tx, issued.environment, issued.customer_id, Cause("invoice", issued.id), transfers, now=now)


async def invoice_voided(tx: AsyncConnection, voided: Invoice, *, now: datetime) -> None:
    """An invoice was a mistake: what it posted is reversed, the credits it used and its write-off included."""
    undone: list[Transfer] = []
    for kind in ("invoice.write_off", "invoice"):
        undone += reversal(await ledger.transfers_of(tx, customer_id=voided.customer_id, cause=Cause(kind, voided.id)))
    await _post(tx, voided.environment, voided.customer_id, Cause("invoice.void", voided.id), undone, now=now)


async def invoice_written_off(tx: AsyncConnection, invoice: Invoice, *, now: datetime) -> None:
    """What remains of an invoice is not expected any more."""
    amount = to_major(invoice.amounts.remaining, invoice.currency)
    transfers = posting.written_off(asset=invoice.currency.upper(), amount=amount)
    cause = Cause("invoice.write_off", invoice.id)
    await _post(tx, invoice.environment, invoice.customer_id, cause, transfers, now=now)


async def credit_note_issued(tx: AsyncConnection, note: CreditNote, *, now: datetime) -> None:
    """Less was earned than an invoice said: it is not owed, or goes back in the ways that the note says."""
    currency = note.currency
    transfers = posting.credit_note(
        asset=currency.upper(),
        net=to_major(note.total - note.tax, currency),
        tax=to_major(note.tax, currency),
        to_receivable=to_major(note.pre_payment, currency),
        to_balance=to_major(note.to_balance, currency),
        refunded=to_major(note.refunded, currency),
        outside=to_major(note.out_of_band, currency),
    )
    await _post(tx, note.environment, note.customer_id, Cause("credit_note", note.id), transfers, now=now)


async def credit_note_voided(tx: AsyncConnection, note: CreditNote, *, now: datetime) -> None:
    """A credit note was a mistake: what it posted is reversed."""
    posted = await ledger.transfers_of(tx, customer_id=note.customer_id, cause=Cause("credit_note", note.id))
    cause = Cause("credit_note.void", note.id)
    await _post(tx, note.environment, note.customer_id, cause, reversal(posted), now=now)


async def invoice_paid(
    tx: AsyncConnection, before: Invoice, *, amount: int, processor: str, cause: Cause, now: datetime
) -> None:
    """Money arrived for an invoice, which before it was as `before`: open, or written off."""
    settles: Kind = "bad_debt" if before.status == "uncollectible" else "receivable"
    await money_received(
        tx,
        environment=before.environment,
        customer_id=before.customer_id,
        amount=amount,
        currency=before.currency,
        processor=processor,
        settles=settles,
        cause=cause,
        now=now,
    )


async def money_received(
    tx: AsyncConnection,
    *,
    environment: str,
    customer_id: UUID,
    amount: int,
    currency: str,
    processor: str,
    settles: Kind,
    cause: Cause,
    now: datetime,
    tax: int = 0,
) -> None:
    """Money arrived at a processor and `settles` what is owed, or is earned where nothing was, save for its `tax`."""
    transfers = posting.payment_received(
        asset=currency.upper(),
        amount=to_major(amount, currency),
        tax=to_major(tax, currency),
        processor=processor,
        to=settles,
    )
    await _post(tx, environment, customer_id, cause, transfers, now=now)


async def money_returned(tx: AsyncConnection, refund: Refund, *, failed: bool, now: datetime) -> None:
    """Money went back to the customer; or it did not arrive there and came back to the processor (`failed`)."""
    recipe = posting.refund_failed if failed else posting.payment_refunded
    amount = to_major(refund.amount, refund.currency)
    transfers = recipe(asset=refund.currency.upper(), amount=amount, processor=refund.processor)
    cause = Cause("refund.failed" if failed else "refund", refund.id)
    await _post(tx, refund.environment, refund.customer_id, cause, transfers, now=now)


async def money_disputed(tx: AsyncConnection, dispute: Dispute, *, won: bool, now: datetime) -> None:
    """A bank took a payment back (for now), or gave it back because the dispute was `won`."""
    recipe = posting.dispute_won if won else posting.payment_disputed
    amount = to_major(dispute.amount, dispute.currency)
    transfers = recipe(asset=dispute.currency.upper(), amount=amount, processor=dispute.processor)
    cause = Cause("dispute.won" if won else "dispute", dispute.id)
    await _post(tx, dispute.environment, dispute.customer_id, cause, transfers, now=now)


async def balance_changed(tx: AsyncConnection, entry: BalanceTransaction, *, now: datetime) -> None:
    """A customer balance was changed by hand. What invoices and credit notes do to it is booked with them."""
    if entry.type not in _GIVEN:
        return
    given = to_major(-entry.amount, entry.currency)
    transfers = posting.balance_adjusted(asset=entry.currency.upper(), amount=given)
    await _post(tx, entry.environment, entry.customer_id, Cause("balance", entry.id), transfers, now=now)


async def posted(
    tx: AsyncConnection,
    *,
    environment: str,
    customer_id: UUID,
    cause: Cause,
    transfers: Iterable[Transfer],
    now: datetime,
) -> None:
    """Book the transfers of a recipe for a cause."""
    await _post(tx, environment, customer_id, cause, transfers, now=now)


async def _post(
    tx: AsyncConnection,
    environment: str,
    customer_id: UUID,
    cause: Cause,
    transfers: Iterable[Transfer],
    *,
    now: datetime,
) -> None:
    await ledger.post(
        tx,
        environment=environment,
        customer_id=customer_id,
        cause=cause,
        transfers=tuple(transfers),
        business_at=now,
        now=now,
    )
