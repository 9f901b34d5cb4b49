"""What becomes of an invoice by itself when its time comes: finalized, collected, overdue."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.invoice import state
from meterline.invoice.model import Invoice
from meterline.store import invoice as invoices
from meterline.usecase import record_invoice
from meterline.usecase.collect_payment import collect_payment
from meterline.usecase.finalize_invoice import finalize_invoice
from meterline.usecase.follow_invoice import follow_invoice
from meterline.usecase.lock_invoice import lock_invoice
from meterline.usecase.mark_uncollectible import mark_uncollectible
from meterline.usecase.void_invoice import void_invoice


async def finalize_due(tx: AsyncConnection, *, environment: str, id: str, now: datetime) -> None:
    """The draft's hour is over: finalize it and collect at once, as far as it still advances by itself.

    Where collection of its subscription is paused, the invoice is voided or written off instead. The draft of a
    customer who was deleted stays one.
    """
    found = (await invoices.find(tx, environment, [id])).get(id)
    if found is None:
        return
    locked = await lock_invoice(tx, environment=environment, id=id)
    draft = locked.invoice
    if draft.status != "draft" or not draft.auto_advance or locked.customer.deleted:
        return
    issued = await finalize_invoice(tx, invoice=draft, now=now)
    if issued.status != "open":
        return
    pause = None if locked.subscription is None else locked.subscription.pause_collection
    if pause is not None and pause.behavior == "void":
        await void_invoice(tx, environment=environment, id=id, now=now)
    elif pause is not None and pause.behavior == "mark_uncollectible":
        await mark_uncollectible(tx, environment=environment, id=id, now=now, reason="subscription_paused")
    else:
        await collect_automatically(tx, invoice=issued, now=now)


async def collect_automatically(tx: AsyncConnection, *, invoice: Invoice, now: datetime) -> Invoice:
    """Collect an invoice that advances by itself and is charged, leave any other alone; the invoice after it."""
    charged = invoice.collection_method == "charge_automatically" and invoice.auto_advance
    if invoice.status != "open" or not charged:
        return invoice
    return (await collect_payment(tx, invoice=invoice, now=now, automatic=True)).invoice


async def collect_due(tx: AsyncConnection, *, environment: str, id: str, now: datetime) -> None:
    """A planned attempt has come: collect, unless the invoice was settled or taken off automatic meanwhile.

    A customer who was deleted is never charged.
    """
    found = (await invoices.find(tx, environment, [id])).get(id)
    if found is not None:
        locked = await lock_invoice(tx, environment=environment, id=id)
        if locked.invoice.next_payment_attempt is not None and not locked.customer.deleted:
            await collect_automatically(tx, invoice=locked.invoice, now=now)


async def overdue(tx: AsyncConnection, *, environment: str, id: str, now: datetime) -> None:
    """The due date of an open invoice has passed."""
    found = (await invoices.find(tx, environment, [id])).get(id)
    if found is None:
        return
    invoice = (await lock_invoice(tx, environment=environment, id=id)).invoice
    if state.standing(invoice, now=now) != "overdue":
        return
    await record_invoice.tell(tx, invoice, types=("invoice.overdue",), now=now)
    if invoice.subscription is not None:
        await follow_invoice(
            tx,
            customer_id=invoice.customer_id,
            subscription=invoice.subscription,
            invoice=invoice.id,
            standing="overdue",
            now=now,
        )
