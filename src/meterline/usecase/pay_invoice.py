"""Pay an invoice on request: finalize a draft first, then collect, or record that the money came elsewhere."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.invoice import state
from meterline.invoice.model import Invoice
from meterline.ledger.transaction import Cause
from meterline.refusal import Refusal
from meterline.store import due
from meterline.usecase import keep_books, record_invoice
from meterline.usecase.collect_payment import (
    NO_METHOD,
    Collected,
    cancel_payment,
    collect_payment,
    wanted_method,
)
from meterline.usecase.finalize_invoice import finalize_invoice
from meterline.usecase.follow_invoice import follow_invoice
from meterline.usecase.lock_invoice import lock_invoice


async def pay_invoice(
    tx: AsyncConnection,
    *,
    environment: str,
    id: str,
    now: datetime,
    method: str | None = None,
    off_session: bool = True,
) -> Collected:
    """Collect what an invoice lacks. A draft is finalized first. Raises Missing, or Refusal when paid or void.

    A decline is not raised: it is recorded, and told in the answer.
    """
    locked = await lock_invoice(tx, environment=environment, id=id, param="id")
    invoice = locked.invoice
    if invoice.status == "draft":
        invoice = await finalize_invoice(tx, invoice=invoice, now=now)
        if invoice.status == "paid":
            return Collected(invoice=invoice, outcome=None)
    state.require_payable(invoice)
    if wanted_method(locked, asked=method) is None:
        raise Refusal(NO_METHOD.message, code=NO_METHOD.code)
    return await collect_payment(tx, invoice=invoice, now=now, automatic=False, method=method, off_session=off_session)


async def pay_elsewhere(tx: AsyncConnection, *, environment: str, id: str, now: datetime) -> Invoice:
    """Record that the whole remainder was received by other means. Raises as `pay_invoice` does."""
    invoice = (await lock_invoice(tx, environment=environment, id=id, param="id")).invoice
    if invoice.status == "draft":
        invoice = await finalize_invoice(tx, invoice=invoice, now=now)
        if invoice.status == "paid":
            return invoice
    after = state.paid_elsewhere(invoice, now=now)
    await keep_books.invoice_paid(
        tx,
        invoice,
        amount=invoice.amounts.remaining,
        processor=keep_books.OUTSIDE,
        cause=Cause("invoice.paid_elsewhere", invoice.id),
        now=now,
    )
    await cancel_payment(tx, invoice, now=now)
    await due.remove(tx, customer_id=invoice.customer_id, subject=invoice.id)
    types = ("invoice.updated", "invoice.paid", "invoice.payment_succeeded")
    await record_invoice.changed(tx, invoice, after, types=types, now=now)
    if after.subscription is not None:
        await follow_invoice(
            tx,
            customer_id=after.customer_id,
            subscription=after.subscription,
            invoice=after.id,
            standing="paid",
            now=now,
        )
    return after
