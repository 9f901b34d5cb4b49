"""What becomes of an invoice by itself when its time comes: finalized, collected, overdue."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.invoice import state
from meterline.invoice.model import Invoice
from meterline.store import invoice as invoices
from meterline.usecase import record_invoice
from meterline.usecase.collect_payment import collect_locked
from meterline.usecase.finalize_invoice import finalize_locked
from meterline.usecase.follow_invoice import follow_locked
from meterline.usecase.lock_invoice import Locked, lock_seen
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
    locked = await lock_seen(tx, found)
    draft = locked.invoice
    if draft.status != "draft" or not draft.auto_advance or locked.customer.deleted:
        return
    pause = None if locked.subscription is None else locked.subscription.pause_collection
    locked = await finalize_locked(tx, locked, now=now)
    if locked.invoice.status != "open":
        return
    if pause is not None and pause.behavior == "void":
        await void_invoice(tx, environment=environment, id=id, now=now)
    elif pause is not None and pause.behavior == "mark_uncollectible":
        await mark_uncollectible(tx, environment=environment, id=id, now=now, reason="subscription_paused")
    else:
        await _collect_locked(tx, locked, now=now)


async def collect_automatically(tx: AsyncConnection, *, invoice: Invoice, now: datetime) -> Invoice:
    """Collect an invoice that advances by itself and is charged, leave any other alone; the invoice after it."""
    return await _collect_locked(tx, await lock_seen(tx, invoice), now=now) if _collectible(invoice) else invoice


async def _collect_locked(tx: AsyncConnection, locked: Locked, *, now: datetime) -> Invoice:
    if not _collectible(locked.invoice):
        return locked.invoice
    return (await collect_locked(tx, locked, now=now, automatic=True)).invoice


def _collectible(invoice: Invoice) -> bool:
    charged = invoice.collection_method == "charge_automatically" and invoice.auto_advance
    return invoice.status == "open" and charged


async def collect_due(tx: AsyncConnection, *, environment: str, id: str, now: datetime) -> None:
    """A planned attempt has come: collect, unless the invoice was settled or taken off automatic meanwhile.

    A customer who was deleted is never charged.
    """
    found = (await invoices.find(tx, environment, [id])).get(id)
    if found is not None:
        locked = await lock_seen(tx, found)
        if locked.invoice.next_payment_attempt is not None and not locked.customer.deleted:
            await _collect_locked(tx, locked, now=now)


async def overdue(tx: AsyncConnection, *, environment: str, id: str, now: datetime) -> None:
    """The due date of an open invoice has passed."""
    found = (await invoices.find(tx, environment, [id])).get(id)
    if found is None:
        return
    locked = await lock_seen(tx, found)
    invoice = locked.invoice
    if state.standing(invoice, now=now) != "overdue":
        return
    await record_invoice.tell(tx, invoice, types=("invoice.overdue",), now=now)
    if locked.subscription is not None:
        await follow_locked(tx, locked.subscription, invoice=invoice.id, standing="overdue", now=now)
