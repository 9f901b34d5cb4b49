"""Write an invoice off: it stays payable, but nobody asks for it any more."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.invoice import state
from meterline.invoice.model import Invoice, UncollectibleReason
from meterline.store import due
from meterline.usecase import keep_books, record_invoice
from meterline.usecase.follow_invoice import follow_invoice
from meterline.usecase.lock_invoice import lock_invoice


async def mark_uncollectible(
    tx: AsyncConnection,
    *,
    environment: str,
    id: str,
    now: datetime,
    reason: UncollectibleReason = "user_forgiven",
) -> Invoice:
    """The invoice as a bad debt. `now` is the customer's time, UTC. Raises Missing, or Refusal."""
    before = (await lock_invoice(tx, environment=environment, id=id, param="id")).invoice
    after = state.uncollectible(before, reason=reason, now=now)
    await keep_books.invoice_written_off(tx, before, now=now)
    await due.remove(tx, customer_id=after.customer_id, subject=after.id)
    await record_invoice.changed(tx, before, after, types=("invoice.updated", "invoice.marked_uncollectible"), now=now)
    if after.subscription is not None:
        await follow_invoice(
            tx,
            customer_id=after.customer_id,
            subscription=after.subscription,
            invoice=after.id,
            standing="uncollectible",
            now=now,
        )
    return after
