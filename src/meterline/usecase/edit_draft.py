"""Change the lines of a draft by hand, and what the draft comes to with them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.invoice import state
from meterline.invoice.item import InvoiceItem, line_of
from meterline.invoice.line import InvoiceLine
from meterline.invoice.model import MAX_LINES, Invoice
from meterline.refusal import Refusal
from meterline.store import invoice_item, notice
from meterline.usecase import record_invoice
from meterline.usecase.draft_invoice import named
from meterline.usecase.lock_invoice import Locked
from meterline.usecase.reckon_draft import reckoned
from meterline.usecase.use_discounts import use_up_added


async def edit_lines(tx: AsyncConnection, locked: Locked, lines: Sequence[InvoiceLine], *, now: datetime) -> Invoice:
    """The draft with these lines, recorded. Refuses a finalized invoice, and more lines than one may have."""
    before = locked.invoice
    state.require_editable(before)
    if len(lines) > MAX_LINES:
        raise Refusal(f"An invoice can have at most {MAX_LINES} lines.", param="lines")
    after = await reckoned(tx, before, named(lines), customer=locked.customer)
    await use_up_added(tx, before, after, locked.customer, now=now)
    await record_invoice.changed(tx, before, after, types=("invoice.updated",), now=now)
    return after


def with_item(lines: Sequence[InvoiceLine], item: InvoiceItem) -> tuple[InvoiceLine, ...]:
    """The lines with the item's own line made anew where it is, or added at the end."""
    fresh = line_of(item)
    if all(line.invoice_item != item.id for line in lines):
        return (*lines, fresh)
    return tuple(replace(fresh, id=line.id) if line.invoice_item == item.id else line for line in lines)


async def put_item(tx: AsyncConnection, locked: Locked, item: InvoiceItem, *, now: datetime) -> Invoice:
    """Put a stored item on the draft. Refuses another customer's item and another currency."""
    if item.customer_id != locked.invoice.customer_id:
        raise Refusal("The invoice item belongs to another customer.", param="invoice_item")
    if item.currency != locked.invoice.currency:
        raise Refusal(
            f"The currency of the invoice item ({item.currency}) does not match the currency of the invoice"
            f" ({locked.invoice.currency}).",
            param="currency",
        )
    await invoice_item.assign(tx, [item], locked.invoice.id)
    return await edit_lines(tx, locked, with_item(locked.invoice.lines, item), now=now)


async def tell_item(
    tx: AsyncConnection,
    type: str,
    item: InvoiceItem,
    *,
    now: datetime,
    previous: InvoiceItem | None = None,
) -> None:
    """Announce what happened to an invoice item."""
    await notice.add(
        tx,
        environment=item.environment,
        customer_id=item.customer_id,
        type=type,
        subject=item,
        previous=previous,
        now=now,
    )
