"""Change an invoice item, and the draft that it is on."""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.invoice.discount import named
from meterline.invoice.item import InvoiceItem, priced, require_own_price
from meterline.invoice.state import require_editable
from meterline.refusal import Refusal
from meterline.store import customer as customers
from meterline.store import invoice_item
from meterline.store import price as prices
from meterline.usecase.create_invoice_item import AskedItem, asked_rates, one_time_price
from meterline.usecase.edit_draft import edit_lines, tell_item, with_item
from meterline.usecase.lock_invoice import Locked, lock_invoice
from meterline.usecase.redeem_coupon import redeem_for_item


async def update_invoice_item(
    tx: AsyncConnection, *, environment: str, id: str, asked: AskedItem, now: datetime, described: bool = False
) -> InvoiceItem:
    """The changed item. What `asked` does not say stays; `described` says that an empty description is meant.

    `asked.metadata` is the whole metadata as it shall be; `now` is the customer's time, UTC. Raises Missing, or
    Refusal for an item on a finalized invoice and for another price of a proration.
    """
    seen = await invoice_item.get(tx, environment, id)
    locked = await _locked_draft(tx, seen)
    before = await invoice_item.lock(tx, customer_id=seen.customer_id, id=id)
    reuse = () if locked is None else locked.invoice.discounts
    after = await changed_item(tx, before, asked, described=described, now=now, reuse=reuse)
    if after == before:
        return before
    await invoice_item.save(tx, after)
    if locked is not None:
        await edit_lines(tx, locked, with_item(locked.invoice.lines, after), now=now)
    return after


async def changed_item(
    tx: AsyncConnection,
    item: InvoiceItem,
    asked: AskedItem,
    *,
    described: bool,
    now: datetime,
    reuse: Collection[str] = (),
) -> InvoiceItem:
    """The item as `update_invoice_item` would make it, not stored.

    It may name its own discounts and those in `reuse`.
    """
    if asked.discounts is not None or asked.discountable:
        require_own_price(item)
    sized = await _sized_anew(tx, item, asked, now=now)
    discounts = item.discounts
    if asked.discounts is not None:
        own = [each.discount for each in item.discounts]
        discounts = named(await redeem_for_item(tx, sized, asked.discounts, reuse={*own, *reuse}, now=now))
    priced_by = None if sized.price is None else (await prices.find(tx, item.environment, [sized.price]))[sized.price]
    return replace(
        sized,
        discounts=discounts,
        tax_rates=await asked_rates(tx, item.environment, asked, priced_by, already=item.tax_rates),
        description=asked.description if described else item.description,
        period=asked.period or item.period,
        discountable=item.discountable if asked.discountable is None else asked.discountable,
        metadata=asked.metadata,
    )


async def _sized_anew(tx: AsyncConnection, item: InvoiceItem, asked: AskedItem, *, now: datetime) -> InvoiceItem:
    said = asked.amount
    if not said.says_anything:
        return item
    require_own_price(item)
    price = await one_time_price(tx, item.environment, said, now=now)
    if price is not None and price.currency != item.currency:
        raise Refusal("The price's currency differs from the invoice item's.", param="pricing[price]")
    unit_amount = said.unit_amount
    if price is None and said.amount is None and unit_amount is None:
        unit_amount = item.unit_amount
    sized = priced(
        item,
        amount=said.amount,
        price=price,
        unit_amount=unit_amount,
        quantity=item.quantity if said.quantity is None and said.amount is None else said.quantity,
        param=said.param,
    )
    keeps_price = price is None and said.amount is None and said.unit_amount is None
    return replace(sized, price=item.price, product=item.product) if keeps_price else sized


async def delete_invoice_item(tx: AsyncConnection, *, environment: str, id: str, now: datetime) -> InvoiceItem:
    """The item, deleted, and off the draft that it was on. Raises Missing, or Refusal on a finalized invoice."""
    seen = await invoice_item.get(tx, environment, id)
    locked = await _locked_draft(tx, seen)
    item = await invoice_item.lock(tx, customer_id=seen.customer_id, id=id)
    await invoice_item.remove(tx, [item])
    if locked is not None:
        left = [line for line in locked.invoice.lines if line.invoice_item != id]
        await edit_lines(tx, locked, left, now=now)
    await tell_item(tx, "invoiceitem.deleted", item, now=now)
    return item


async def _locked_draft(tx: AsyncConnection, item: InvoiceItem) -> Locked | None:
    """The draft that the item is on, locked; for a pending item its customer is, and there is none."""
    if item.invoice is None:
        await customers.lock(tx, item.customer_id)
        return None
    locked = await lock_invoice(tx, environment=item.environment, id=item.invoice)
    require_editable(locked.invoice)
    return locked
