"""Have an invoice sent to its customer, or sent again."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.invoice import state
from meterline.invoice.model import Invoice
from meterline.usecase import record_invoice
from meterline.usecase.finalize_invoice import finalize_invoice
from meterline.usecase.lock_invoice import lock_invoice


async def send_invoice(tx: AsyncConnection, *, environment: str, id: str, now: datetime) -> Invoice:
    """The invoice, open and announced as sent; a draft is finalized first. Who delivers mail hears of it.

    `now` is the customer's time, UTC. Raises Missing, or Refusal for an invoice that nothing is due on.
    """
    invoice = (await lock_invoice(tx, environment=environment, id=id)).invoice
    state.require_sendable(invoice)
    if invoice.status == "draft":
        invoice = await finalize_invoice(tx, invoice=invoice, now=now)
    await record_invoice.tell(tx, invoice, types=("invoice.sent",), now=now)
    return invoice
