"""Void an invoice: it was a mistake, nobody owes it, its credit notes end with it, its balance and credits return."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.invoice import state
from meterline.invoice.credit_note import issued
from meterline.invoice.model import Invoice
from meterline.store import credit_note as credit_notes
from meterline.store import due
from meterline.store import invoice as invoices
from meterline.usecase import keep_books, record_invoice
from meterline.usecase.change_balance import change_balance
from meterline.usecase.collect_payment import cancel_payment
from meterline.usecase.credit_invoice import end_note
from meterline.usecase.follow_invoice import follow_invoice
from meterline.usecase.lock_invoice import lock_invoice
from meterline.usecase.use_credits import give_back_credits


async def void_invoice(tx: AsyncConnection, *, environment: str, id: str, now: datetime) -> Invoice:
    """The invoice, void. `now` is the customer's time, UTC. Raises Missing, or Refusal for a wrong state."""
    locked = await lock_invoice(tx, environment=environment, id=id, param="id")
    state.require_voidable(locked.invoice)
    standing = locked.invoice
    for note in issued(await credit_notes.of_invoice(tx, customer_id=standing.customer_id, invoice=standing.id)):
        standing, _ = await end_note(tx, standing, note, now=now)
    after, undo = state.voided(standing, now=now)
    if undo != 0:
        await change_balance(
            tx,
            customer=locked.customer,
            amount=undo,
            currency=after.currency,
            type="unapplied_from_invoice",
            now=now,
            invoice=after.id,
        )
    await keep_books.invoice_voided(tx, after, now=now)
    await give_back_credits(tx, after, now=now)
    await cancel_payment(tx, after, now=now)
    await due.remove(tx, customer_id=after.customer_id, subject=after.id)
    await record_invoice.changed(tx, locked.invoice, after, types=("invoice.updated", "invoice.voided"), now=now)
    if after.subscription is not None:
        newest = await invoices.newest_of_subscription(
            tx, customer_id=after.customer_id, subscription=after.subscription
        )
        await follow_invoice(
            tx,
            customer_id=after.customer_id,
            subscription=after.subscription,
            invoice=after.id,
            standing="void" if newest is None else state.standing(newest, now=now),
            now=now,
        )
    return after
