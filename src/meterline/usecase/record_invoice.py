"""Record an invoice as it has become: its row, what is planned for it, and the notices."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.invoice.model import Invoice
from meterline.store import due, invoice_item, notice
from meterline.store import invoice as invoices

FINALIZE = "finalize_invoice"
COLLECT = "collect_payment"
OVERDUE = "invoice_overdue"


async def created(tx: AsyncConnection, new: Invoice, *, now: datetime) -> None:
    """Store a new draft, plan its finalization, and tell."""
    await invoices.add(tx, new)
    await plan_finalization(tx, new)
    await tell(tx, new, types=("invoice.created",), now=now)


async def changed(tx: AsyncConnection, before: Invoice, after: Invoice, *, types: Sequence[str], now: datetime) -> None:
    """Store a changed invoice, its lines too where they changed, and tell with each of the `types`."""
    if after.lines != before.lines:
        await invoices.save_with_lines(tx, after)
    else:
        await invoices.save(tx, after)
    await tell(tx, after, types=types, previous=before, now=now)


async def removed(tx: AsyncConnection, draft: Invoice, *, now: datetime) -> None:
    """Delete a draft, the items on it and what is planned for it, and tell."""
    await invoice_item.remove(tx, await invoice_item.of_invoice(tx, customer_id=draft.customer_id, invoice=draft.id))
    await invoices.remove(tx, draft)
    await due.remove(tx, customer_id=draft.customer_id, subject=draft.id)
    await tell(tx, draft, types=("invoice.deleted",), now=now)


async def tell(
    tx: AsyncConnection, subject: Invoice, *, types: Sequence[str], now: datetime, previous: Invoice | None = None
) -> None:
    """Announce each type; only `invoice.updated` says what it was before, and only when something changed."""
    told = [
        notice.Fact(
            environment=subject.environment,
            customer_id=subject.customer_id,
            type=type,
            subject=subject,
            object_id=subject.id,
            previous=previous if type == "invoice.updated" else None,
            now=now,
        )
        for type in types
    ]
    await notice.add_several(tx, told)


async def plan_finalization(tx: AsyncConnection, draft: Invoice) -> None:
    """Plan the finalization of a draft that advances by itself; call off an earlier plan."""
    await due.remove(tx, customer_id=draft.customer_id, subject=draft.id, kinds=[FINALIZE])
    if draft.automatically_finalizes_at is not None:
        await _plan(tx, draft, FINALIZE, draft.automatically_finalizes_at)


async def call_off(tx: AsyncConnection, invoice: Invoice) -> None:
    """Nothing happens to the invoice by itself any more, except that it falls overdue."""
    await due.remove(tx, customer_id=invoice.customer_id, subject=invoice.id, kinds=[FINALIZE, COLLECT])


async def plan_collection(tx: AsyncConnection, invoice: Invoice, *, at: datetime) -> None:
    """Plan the next automatic attempt. Every attempt is an occurrence of its own."""
    await _plan(tx, invoice, COLLECT, at)


async def plan_overdue(tx: AsyncConnection, invoice: Invoice) -> None:
    """Plan the moment from which an unpaid invoice is overdue."""
    if invoice.due_date is not None:
        await _plan(tx, invoice, OVERDUE, invoice.due_date)


async def _plan(tx: AsyncConnection, invoice: Invoice, kind: str, at: datetime) -> None:
    await due.add(
        tx,
        environment=invoice.environment,
        customer_id=invoice.customer_id,
        kind=kind,
        subject=invoice.id,
        boundary=at,
        due_at=at,
        clock=invoice.test_clock,
    )
