"""What a credit note, or its end, does to the invoice it is about and to the payment that was asked for."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.invoice import state
from meterline.invoice.credit_note import CreditNote, voided
from meterline.invoice.model import Invoice
from meterline.payment.payment import repriced
from meterline.refusal import Refusal
from meterline.store import credit_note as store
from meterline.store import due, notice
from meterline.store import payment as payments
from meterline.usecase import keep_books, record_invoice
from meterline.usecase.collect_payment import BEING_PROCESSED, cancel_payment
from meterline.usecase.follow_invoice import follow_invoice


async def credit_invoice(tx: AsyncConnection, before: Invoice, note: CreditNote, *, now: datetime) -> Invoice:
    """The locked invoice with a note on it. Where nothing remains to be paid, it is paid and asked for no more."""
    after = state.credited(before, note, now=now)
    types = ["invoice.updated"]
    if after.status != before.status:
        types += ["invoice.paid", "invoice.payment_succeeded"]
        await cancel_payment(tx, after, now=now)
        await due.remove(tx, customer_id=after.customer_id, subject=after.id)
    else:
        await _ask_for(tx, before, after)
    await record_invoice.changed(tx, before, after, types=types, now=now)
    if after.status != before.status and after.subscription is not None:
        await follow_invoice(
            tx,
            customer_id=after.customer_id,
            subscription=after.subscription,
            invoice=after.id,
            standing="paid",
            now=now,
        )
    return after


async def end_note(
    tx: AsyncConnection, before: Invoice, note: CreditNote, *, now: datetime
) -> tuple[Invoice, CreditNote]:
    """The locked invoice without a note that had lowered what is to be paid, not yet stored, and the note, void."""
    gone = voided(note, now=now)
    after = state.uncredited(before, note)
    await _ask_for(tx, before, after)
    await store.save(tx, gone)
    await keep_books.credit_note_voided(tx, gone, now=now)
    await tell(tx, "credit_note.voided", gone, now=now)
    return after, gone


async def tell(
    tx: AsyncConnection, type: str, note: CreditNote, *, now: datetime, previous: CreditNote | None = None
) -> None:
    """Announce what happened to a note."""
    await notice.add(
        tx,
        environment=note.environment,
        customer_id=note.customer_id,
        type=type,
        subject=note,
        previous=previous,
        now=now,
    )


async def _ask_for(tx: AsyncConnection, before: Invoice, after: Invoice) -> None:
    """The payment of an invoice asks for what remains of it. Refused while its money may be on the way."""
    amount = after.amounts.remaining
    if amount == before.amounts.remaining:
        return
    found = await payments.of_invoice(tx, after)
    assert found is not None, "what remains to be paid was asked for"
    payment, link = found
    if payment.status == "processing":
        raise Refusal(BEING_PROCESSED, code="payment_intent_unexpected_state")
    await payments.save(tx, repriced(payment, amount=amount))
    await payments.save_link(tx, replace(link, amount_requested=amount))
