"""Add, change and remove several lines of a draft at once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.invoice import state
from meterline.invoice.discount import named, own_of
from meterline.invoice.item import InvoiceItem, line_of
from meterline.invoice.line import InvoiceLine
from meterline.invoice.model import Invoice
from meterline.refusal import Missing, Refusal
from meterline.store import invoice as invoices
from meterline.store import invoice_item
from meterline.store import price as prices
from meterline.usecase.create_invoice_item import AskedItem, asked_rates, new_item
from meterline.usecase.edit_draft import edit_lines, tell_item, with_item
from meterline.usecase.lock_invoice import Locked, lock_invoice
from meterline.usecase.redeem_coupon import purchase_for, redeem
from meterline.usecase.update_invoice_item import changed_item
from meterline.usecase.use_discounts import ids_of

Merge = Callable[[Mapping[str, str]], Mapping[str, str]]
"""From the metadata there is to the metadata there shall be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedLine:
    """A line to add: a pending item by its id, or a new one as asked for."""

    param: str
    item: str | None
    asked: AskedItem


@dataclass(frozen=True, slots=True, kw_only=True)
class AlteredLine:
    """A line to change. `asked.metadata` is not used, `metadata` merges; `described` as in `update_invoice_item`."""

    param: str
    id: str
    asked: AskedItem
    metadata: Merge
    described: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DroppedLine:
    """A line to take away: `unassign` makes its item pending again, `delete` deletes it."""

    param: str
    id: str
    behavior: Literal["delete", "unassign"]


async def add_lines(
    tx: AsyncConnection,
    *,
    environment: str,
    id: str,
    added: Sequence[AddedLine],
    metadata: Merge,
    now: datetime,
) -> Invoice:
    """The draft with more lines at its end. `now` is the customer's time, UTC. Raises Missing, Refusal."""
    locked = await _editable(tx, environment=environment, id=id, metadata=metadata)
    lines = locked.invoice.lines
    for each in added:
        item = await _to_add(tx, locked, each, now=now)
        if item.currency != locked.invoice.currency:
            raise Refusal(
                f"The currency of the line ({item.currency}) does not match the currency of the invoice"
                f" ({locked.invoice.currency}).",
                param=each.param,
            )
        lines = with_item(lines, item)
    return await edit_lines(tx, locked, lines, now=now)


async def _to_add(tx: AsyncConnection, locked: Locked, added: AddedLine, *, now: datetime) -> InvoiceItem:
    invoice = locked.invoice
    if added.item is None:
        reuse = {*invoice.discounts, *ids_of(locked.customer)}
        made = await new_item(
            tx,
            locked.customer,
            added.asked,
            currency=invoice.currency,
            default_rates=invoice.default_tax_rates,
            now=now,
            reuse=reuse,
        )
        made = replace(made, invoice=invoice.id)
        await invoice_item.add(tx, [made])
        await tell_item(tx, "invoiceitem.created", made, now=now)
        return made
    found = (await invoice_item.find(tx, invoice.environment, [added.item])).get(added.item)
    if found is None or found.customer_id != invoice.customer_id:
        raise Missing("invoiceitem", added.item, param=f"{added.param}[invoice_item]")
    item = await invoice_item.lock(tx, customer_id=found.customer_id, id=found.id)
    if item.invoice is not None:
        raise Refusal("The invoice item is already on an invoice.", param=f"{added.param}[invoice_item]")
    await invoice_item.assign(tx, [item], invoice.id)
    return replace(item, invoice=invoice.id)


async def update_lines(
    tx: AsyncConnection,
    *,
    environment: str,
    id: str,
    altered: Sequence[AlteredLine],
    metadata: Merge,
    now: datetime,
) -> Invoice:
    """The draft with changed lines. What a subscription or its usage is billed cannot be re-priced by hand."""
    locked = await _editable(tx, environment=environment, id=id, metadata=metadata)
    lines = list(locked.invoice.lines)
    for each in altered:
        place = _place(lines, each.id, each.param)
        lines[place] = await _altered(tx, lines[place], each, locked, now=now)
    return await edit_lines(tx, locked, lines, now=now)


async def _altered(
    tx: AsyncConnection, line: InvoiceLine, altered: AlteredLine, locked: Locked, *, now: datetime
) -> InvoiceLine:
    environment = locked.invoice.environment
    asked = replace(altered.asked, metadata=altered.metadata(line.metadata))
    if line.invoice_item is not None:
        customer_id = locked.invoice.customer_id
        item = await invoice_item.lock(tx, customer_id=customer_id, id=line.invoice_item)
        after = await changed_item(
            tx, item, asked, described=altered.described, now=now, reuse=locked.invoice.discounts
        )
        await invoice_item.save(tx, after)
        return replace(line_of(after), id=line.id)
    if asked.amount.says_anything:
        raise Refusal(
            "The amount of a line that bills a subscription cannot be changed; add a line instead.",
            param=f"{altered.param}[amount]",
        )
    own = line.discounts
    if asked.discounts is not None:
        purchase = purchase_for(locked.invoice, amount=line.amount, invoice_item=line.id, now=now)
        reuse = {*own_of(line), *locked.invoice.discounts}
        own = named(await redeem(tx, asked.discounts, purchase, reuse=reuse))
    environment = locked.invoice.environment
    priced_by = None if line.price is None else (await prices.find(tx, environment, [line.price]))[line.price]
    return replace(
        line,
        discounts=own,
        tax_rates=await asked_rates(tx, environment, asked, priced_by, already=line.tax_rates),
        description=asked.description if altered.described else line.description,
        period=asked.period or line.period,
        discountable=line.discountable if asked.discountable is None else asked.discountable,
        metadata=asked.metadata,
    )


async def remove_lines(
    tx: AsyncConnection,
    *,
    environment: str,
    id: str,
    dropped: Sequence[DroppedLine],
    metadata: Merge,
    now: datetime,
) -> Invoice:
    """The draft without some of its lines. `now` is the customer's time, UTC. Raises Missing, Refusal."""
    locked = await _editable(tx, environment=environment, id=id, metadata=metadata)
    lines = list(locked.invoice.lines)
    for each in dropped:
        line = lines.pop(_place(lines, each.id, each.param))
        if line.invoice_item is None:
            if each.behavior == "unassign":
                raise Refusal("Only lines of invoice items can be unassigned.", param=f"{each.param}[behavior]")
            continue
        item = await invoice_item.lock(tx, customer_id=locked.invoice.customer_id, id=line.invoice_item)
        if each.behavior == "delete":
            await invoice_item.remove(tx, [item])
            await tell_item(tx, "invoiceitem.deleted", item, now=now)
        else:
            await invoice_item.save(tx, replace(item, invoice=None))
    return await edit_lines(tx, locked, lines, now=now)


async def _editable(tx: AsyncConnection, *, environment: str, id: str, metadata: Merge) -> Locked:
    locked = await lock_invoice(tx, environment=environment, id=id)
    state.require_editable(locked.invoice)
    merged = replace(locked.invoice, metadata=metadata(locked.invoice.metadata))
    if merged != locked.invoice:
        await invoices.save(tx, merged)
    return replace(locked, invoice=merged)


def _place(lines: Sequence[InvoiceLine], id: str, param: str) -> int:
    for place, line in enumerate(lines):
        if line.id == id:
            return place
    raise Missing("line_item", id, param=f"{param}[id]")
