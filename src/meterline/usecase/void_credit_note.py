"""Void a credit note: it was a mistake, and the invoice asks for what it asked for before."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.invoice.credit_note import CreditNote, require_voidable
from meterline.store import credit_note as store
from meterline.usecase import record_invoice
from meterline.usecase.credit_invoice import end_note
from meterline.usecase.lock_invoice import lock_invoice


async def void_credit_note(tx: AsyncConnection, seen: CreditNote, *, now: datetime) -> CreditNote:
    """The note, void. `now` is the customer's time, UTC. Refuses once its invoice is not open any more."""
    before = (await lock_invoice(tx, environment=seen.environment, id=seen.invoice)).invoice
    note = await store.lock(tx, customer_id=seen.customer_id, id=seen.id)
    require_voidable(note, before)
    after, gone = await end_note(tx, before, note, now=now)
    await record_invoice.changed(tx, before, after, types=("invoice.updated",), now=now)
    return gone
