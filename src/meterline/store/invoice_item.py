"""Invoice items, pending or on an invoice."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Index,
    Numeric,
    PrimaryKeyConstraint,
    Row,
    Table,
    Text,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.invoice.item import InvoiceItem
from meterline.period import Period
from meterline.refusal import Missing
from meterline.store import public_id, schema, tax_rate
from meterline.store.identifier import uuid7
from meterline.store.key import numbered
from meterline.store.page import Cursor, Page, Span, during, page
from meterline.store.row import load, values
from meterline.store.side_by_side import ask

KIND = "invoiceitem"

invoice_item = Table(
    "invoice_item",
    schema.metadata,
    schema.environment(),
    schema.customer_id(),
    schema.public_id(),
    schema.sequence(),
    Column("customer", Text, nullable=False),
    Column("test_clock", Text),
    schema.instant("date", nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("quantity", Numeric, nullable=False),
    schema.instant("period_start", nullable=False),
    schema.instant("period_end", nullable=False),
    Column("description", Text),
    Column("discountable", Boolean, nullable=False),
    schema.document("discounts"),
    Column("price", Text),
    Column("product", Text),
    Column("unit_amount", Numeric),
    Column("subscription", Text),
    Column("subscription_item", Text),
    Column("proration", Boolean, nullable=False),
    Column("credited", JSONB(none_as_null=True)),
    Column("invoice", Text),
    Column("tax_rates", JSONB(none_as_null=True)),
    schema.document("metadata"),
    Column("deleted", Boolean, nullable=False, server_default="false"),
    PrimaryKeyConstraint("customer_id", "id"),
    Index("ix_invoice_item_sequence", "environment", "sequence"),
    Index("ix_invoice_item_invoice", "customer_id", "invoice"),
    Index(
        "ix_invoice_item_pending",
        "customer_id",
        "sequence",
        postgresql_where=text("invoice IS NULL AND NOT deleted"),
    ),
)


async def add(tx: AsyncConnection, items: Sequence[InvoiceItem]) -> None:
    """Store new items of one customer, in this order, and make their ids known."""
    if not items:
        return
    await tx.execute(insert(invoice_item), [_row(item) | {"sequence": uuid7()} for item in items])
    await public_id.add(
        tx,
        environment=items[0].environment,
        customer_id=items[0].customer_id,
        kind=KIND,
        ids=[item.id for item in items],
    )


async def save(tx: AsyncConnection, changed: InvoiceItem) -> None:
    """Store a changed item."""
    await tx.execute(update(invoice_item).where(*_is(changed)).values(_row(changed)))


async def assign(tx: AsyncConnection, items: Sequence[InvoiceItem], invoice: str) -> None:
    """Put items on an invoice."""
    if items:
        await tx.execute(
            update(invoice_item)
            .where(
                invoice_item.c.customer_id == items[0].customer_id,
                invoice_item.c.id.in_([item.id for item in items]),
            )
            .values(invoice=invoice)
        )


async def remove(tx: AsyncConnection, items: Sequence[InvoiceItem]) -> None:
    """Delete items of one customer; their rows stay as cursors."""
    if items:
        await tx.execute(
            update(invoice_item)
            .where(
                invoice_item.c.customer_id == items[0].customer_id,
                invoice_item.c.id.in_([item.id for item in items]),
            )
            .values(deleted=True)
        )


async def find(tx: AsyncConnection, environment: str, ids: Sequence[str]) -> dict[str, InvoiceItem]:
    """The items with those ids; unknown and deleted ones are left out."""
    owners = await public_id.owners(tx, environment=environment, kind=KIND, ids=ids)
    query = select(invoice_item).where(
        invoice_item.c.customer_id.in_(owners.values()), invoice_item.c.id.in_(owners), ~invoice_item.c.deleted
    )
    return {item.id: item for item in await items_of(tx, (await tx.execute(query)).all())}


async def get(tx: AsyncConnection, environment: str, id: str) -> InvoiceItem:
    """The item that a call is about. Raises Missing."""
    found = (await find(tx, environment, [id])).get(id)
    if found is None:
        raise Missing("invoiceitem", id, param="invoiceitem", subject=True)
    return found


async def lock(tx: AsyncConnection, *, customer_id: UUID, id: str) -> InvoiceItem:
    """The item that a call is about, locked until the transaction ends. Raises Missing."""
    query = select(invoice_item).where(
        invoice_item.c.customer_id == customer_id, invoice_item.c.id == id, ~invoice_item.c.deleted
    )
    row = (await tx.execute(query.with_for_update())).one_or_none()
    if row is None:
        raise Missing("invoiceitem", id, param="invoiceitem", subject=True)
    [item] = await items_of(tx, [row])
    return item


async def pending(
    tx: AsyncConnection, *, customer_id: UUID, currency: str, subscription: str | None = None
) -> list[InvoiceItem]:
    """What waits for an invoice in that currency, newest first, locked until the transaction ends.

    With `subscription`, what belongs to it or to no subscription; without, everything of the customer.
    """
    return await ask(_pending, tx, (customer_id, currency, subscription))


async def _pending(tx: AsyncConnection, questions: Sequence[tuple[UUID, str, str | None]]) -> list[list[InvoiceItem]]:
    item = invoice_item.c
    asked = numbered((item.customer_id, item.currency, item.subscription), questions)
    of_any = asked.c.subscription.is_(None) | item.subscription.is_(None)
    query = (
        select(asked.c.n, invoice_item)
        .select_from(
            asked.join(invoice_item, (item.customer_id == asked.c.customer_id) & (item.currency == asked.c.currency))
        )
        .where(of_any | (item.subscription == asked.c.subscription), item.invoice.is_(None), ~item.deleted)
        .order_by(item.customer_id, item.sequence.desc())
        .with_for_update(of=invoice_item)
    )
    rows = (await tx.execute(query)).all()
    found: list[list[InvoiceItem]] = [[] for _ in questions]
    for row, each in zip(rows, await items_of(tx, rows), strict=True):
        found[row.n].append(each)
    return found


async def pending_prorations(tx: AsyncConnection, *, customer_id: UUID, subscription: str) -> list[InvoiceItem]:
    """The prorations of a subscription that wait for an invoice, newest first."""
    query = (
        select(invoice_item)
        .where(
            invoice_item.c.customer_id == customer_id,
            invoice_item.c.subscription == subscription,
            invoice_item.c.proration,
            invoice_item.c.invoice.is_(None),
            ~invoice_item.c.deleted,
        )
        .order_by(invoice_item.c.sequence.desc())
    )
    return await items_of(tx, (await tx.execute(query)).all())


async def pending_debit(
    tx: AsyncConnection, *, customer_id: UUID, subscription_item: str, price: str, period: Period
) -> InvoiceItem | None:
    """What a subscription item is still to be debited at a price for exactly that period: the newest such item."""
    query = (
        select(invoice_item)
        .where(
            invoice_item.c.customer_id == customer_id,
            invoice_item.c.subscription_item == subscription_item,
            invoice_item.c.price == price,
            invoice_item.c.period_start == period.start,
            invoice_item.c.period_end == period.end,
            invoice_item.c.amount >= 0,
            invoice_item.c.invoice.is_(None),
            ~invoice_item.c.deleted,
        )
        .order_by(invoice_item.c.sequence.desc())
        .limit(1)
    )
    found = await items_of(tx, (await tx.execute(query)).all())
    return found[0] if found else None


async def of_invoice(tx: AsyncConnection, *, customer_id: UUID, invoice: str) -> list[InvoiceItem]:
    """The items on an invoice, oldest first."""
    query = (
        select(invoice_item)
        .where(
            invoice_item.c.customer_id == customer_id,
            invoice_item.c.invoice == invoice,
            ~invoice_item.c.deleted,
        )
        .order_by(invoice_item.c.sequence)
    )
    return await items_of(tx, (await tx.execute(query)).all())


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What a list of items is narrowed to. Without `customer_id` what lives on a test clock is hidden."""

    customer_id: UUID | None = None
    invoice: str | None = None
    pending: bool | None = None
    created: Span | None = None


async def listed(tx: AsyncConnection, environment: str, cursor: Cursor, narrowed: Filter) -> Page:
    """A page of items, newest first."""
    scope = invoice_item.c.environment == environment
    query = select(invoice_item).where(scope, ~invoice_item.c.deleted, *during(invoice_item.c.date, narrowed.created))
    if narrowed.customer_id is not None:
        query = query.where(invoice_item.c.customer_id == narrowed.customer_id)
    elif narrowed.invoice is None:
        query = query.where(invoice_item.c.test_clock.is_(None))
    if narrowed.invoice is not None:
        query = query.where(invoice_item.c.invoice == narrowed.invoice)
    if narrowed.pending is not None:
        query = query.where(invoice_item.c.invoice.is_(None) == narrowed.pending)
    return await page(tx, query, invoice_item, kind="invoiceitem", scope=scope, cursor=cursor)


async def items_of(tx: AsyncConnection, rows: Sequence[Row[Any]]) -> list[InvoiceItem]:
    """The items in rows of `invoice_item`, in their order."""
    known = await tax_rate.named_in(tx, rows, "tax_rates")
    return [
        load(
            InvoiceItem,
            row,
            period=Period(start=row.period_start, end=row.period_end),
            tax_rates=tax_rate.own(row.tax_rates, known),
        )
        for row in rows
    ]


def _row(item: InvoiceItem) -> dict[str, Any]:
    return values(
        item,
        invoice_item,
        period_start=item.period.start,
        period_end=item.period.end,
        tax_rates=tax_rate.own_names(item.tax_rates),
    )


def _is(item: InvoiceItem) -> tuple[ColumnElement[bool], ...]:
    return (invoice_item.c.customer_id == item.customer_id, invoice_item.c.id == item.id)
