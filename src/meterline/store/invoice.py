"""Invoices and their lines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Index,
    Integer,
    Numeric,
    PrimaryKeyConstraint,
    Row,
    Table,
    Text,
    delete,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.catalog import TaxRate
from meterline.invoice.line import InvoiceLine
from meterline.invoice.model import Invoice
from meterline.period import Period
from meterline.refusal import Missing
from meterline.store import public_id, schema, tax_rate
from meterline.store.identifier import uuid7
from meterline.store.key import among, insert_all, update_all
from meterline.store.page import Cursor, Page, Span, during, page
from meterline.store.row import load, values
from meterline.store.search import Searchable
from meterline.store.side_by_side import ask

KIND = "invoice"

invoice = Table(
    "invoice",
    schema.metadata,
    schema.environment(),
    schema.customer_id(),
    schema.public_id(),
    schema.sequence(),
    Column("customer", Text, nullable=False),
    Column("test_clock", Text),
    schema.instant("created", nullable=False),
    Column("currency", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("billing_reason", Text, nullable=False),
    Column("collection_method", Text, nullable=False),
    Column("auto_advance", Boolean, nullable=False),
    schema.instant("period_start", nullable=False),
    schema.instant("period_end", nullable=False),
    schema.document("discounts"),
    schema.document("amounts"),
    Column("total", BigInteger, nullable=False),
    Column("amount_due", BigInteger, nullable=False),
    Column("amount_remaining", BigInteger, nullable=False),
    schema.document("bill_to"),
    Column("number", Text),
    Column("subscription", Text),
    schema.document("subscription_metadata"),
    schema.instant("subscription_proration_date"),
    Column("default_payment_method", Text),
    schema.document("default_tax_rates"),
    Column("days_until_due", Integer),
    schema.instant("due_date"),
    schema.instant("effective_at"),
    schema.instant("automatically_finalizes_at"),
    schema.instant("next_payment_attempt"),
    Column("attempted", Boolean, nullable=False),
    Column("attempt_count", Integer, nullable=False),
    schema.instant("finalized_at"),
    schema.instant("usage_counted_at"),
    schema.instant("paid_at"),
    schema.instant("voided_at"),
    schema.instant("marked_uncollectible_at"),
    Column("uncollectible_reason", Text),
    Column("description", Text),
    Column("footer", Text),
    Column("statement_descriptor", Text),
    Column("custom_fields", JSONB(none_as_null=True)),
    Column("rendering", JSONB(none_as_null=True)),
    Column("payment_method_types", JSONB(none_as_null=True)),
    schema.document("metadata"),
    Column("deleted", Boolean, nullable=False, server_default="false"),
    PrimaryKeyConstraint("customer_id", "id"),
    Index("ix_invoice_sequence", "environment", "sequence"),
    Index("ix_invoice_customer", "customer_id", "sequence"),
    Index("ix_invoice_subscription", "customer_id", "subscription", "sequence"),
    Index("ix_invoice_number", "customer_id", "number", unique=True, postgresql_where=text("number IS NOT NULL")),
    Index("ix_invoice_test_clock", "environment", "test_clock", postgresql_where=text("test_clock IS NOT NULL")),
)

invoice_line = Table(
    "invoice_line",
    schema.metadata,
    schema.environment(),
    schema.customer_id(),
    schema.public_id(),
    schema.sequence(),
    Column("invoice", Text, nullable=False),
    Column("position", Integer, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("description", Text),
    schema.instant("period_start", nullable=False),
    schema.instant("period_end", nullable=False),
    Column("quantity", Numeric),
    Column("discountable", Boolean, nullable=False),
    Column("price", Text),
    Column("product", Text),
    Column("unit_amount", Numeric),
    Column("subscription", Text),
    Column("subscription_item", Text),
    Column("invoice_item", Text),
    Column("proration", Boolean, nullable=False),
    Column("credited", JSONB(none_as_null=True)),
    schema.instant("usage_start"),
    schema.instant("usage_end"),
    Column("tier", Integer),
    Column("flat", Boolean, nullable=False),
    Column("late", Boolean, nullable=False, server_default="false"),
    schema.document("metadata"),
    Column("tax_rates", JSONB(none_as_null=True)),
    schema.document("discounts"),
    schema.document("credits"),
    schema.document("taxes"),
    PrimaryKeyConstraint("customer_id", "id"),
    Index("ix_invoice_line_invoice", "customer_id", "invoice", "position"),
    Index("ix_invoice_line_subscription_item", "customer_id", "subscription_item", "period_start"),
    Index("ix_invoice_line_invoice_item", "customer_id", "invoice_item"),
)


SEARCH = Searchable(
    resource="invoices",
    table=invoice,
    fields={
        "created": (invoice.c.created, "instant"),
        "currency": (invoice.c.currency, "token"),
        "customer": (invoice.c.customer, "token"),
        "number": (invoice.c.number, "token"),
        "status": (invoice.c.status, "token"),
        "subscription": (invoice.c.subscription, "token"),
        "total": (invoice.c.total, "number"),
    },
    hidden=invoice.c.deleted | invoice.c.test_clock.is_not(None),
)


async def add(tx: AsyncConnection, new: Invoice) -> None:
    """Store a new invoice with its lines and make its id known."""
    await public_id.add(tx, environment=new.environment, customer_id=new.customer_id, kind=KIND, ids=[new.id])
    await ask(_add_all, tx, new)


async def _add_all(tx: AsyncConnection, new: Sequence[Invoice]) -> list[None]:
    await insert_all(tx, invoice, [_row(each) | {"sequence": uuid7()} for each in new])
    await _insert_lines(tx, new)
    return [None] * len(new)


async def save(tx: AsyncConnection, changed: Invoice) -> None:
    """Store a changed invoice; its lines are left alone."""
    await ask(_save_all, tx, changed)


async def _save_all(tx: AsyncConnection, changed: Sequence[Invoice]) -> list[None]:
    await update_all(tx, invoice, [_row(each) for each in changed])
    return [None] * len(changed)


async def save_with_lines(tx: AsyncConnection, changed: Invoice) -> None:
    """Store a changed draft together with its lines, in their order."""
    await save(tx, changed)
    await ask(_replace_lines, tx, changed)


async def _replace_lines(tx: AsyncConnection, changed: Sequence[Invoice]) -> list[None]:
    line = invoice_line.c
    keys = [(each.customer_id, each.id) for each in changed]
    await tx.execute(delete(invoice_line).where(among((line.customer_id, line.invoice), keys)))
    await _insert_lines(tx, changed)
    return [None] * len(changed)


async def remove(tx: AsyncConnection, gone: Invoice) -> None:
    """Delete a draft and its lines. The row stays, unseen, so that its id is still a valid cursor."""
    await tx.execute(delete(invoice_line).where(*_lines_of(gone)))
    await tx.execute(update(invoice).where(*_is(gone)).values(deleted=True))


async def find(tx: AsyncConnection, environment: str, ids: Sequence[str]) -> dict[str, Invoice]:
    """The invoices with those ids; unknown ones are left out."""
    owners = await public_id.owners(tx, environment=environment, kind=KIND, ids=ids)
    return await ask(_find_each, tx, tuple((customer_id, id) for id, customer_id in owners.items()))


async def _find_each(tx: AsyncConnection, asked: Sequence[tuple[tuple[UUID, str], ...]]) -> list[dict[str, Invoice]]:
    found = await _found(tx, [key for keys in asked for key in keys])
    return [{id: found[customer_id, id] for customer_id, id in keys if (customer_id, id) in found} for keys in asked]


async def _found(
    tx: AsyncConnection, keys: Sequence[tuple[UUID, str]], *, lock: bool = False
) -> dict[tuple[UUID, str], Invoice]:
    if not keys:
        return {}
    key = (invoice.c.customer_id, invoice.c.id)
    query = select(invoice).where(among(key, keys), ~invoice.c.deleted)
    if lock:
        query = query.order_by(*key).with_for_update()
    return {(each.customer_id, each.id): each for each in await assemble(tx, (await tx.execute(query)).all())}


async def get(tx: AsyncConnection, environment: str, id: str, *, param: str = "invoice") -> Invoice:
    """The invoice that a call is about. Raises Missing."""
    found = (await find(tx, environment, [id])).get(id)
    if found is None:
        raise Missing("invoice", id, param=param, subject=True)
    return found


async def lock(tx: AsyncConnection, *, customer_id: UUID, id: str) -> Invoice | None:
    """The invoice, locked until the transaction ends; None when it was deleted meanwhile."""
    return await ask(_lock_all, tx, (customer_id, id))


async def _lock_all(tx: AsyncConnection, keys: Sequence[tuple[UUID, str]]) -> list[Invoice | None]:
    found = await _found(tx, keys, lock=True)
    return [found.get(each) for each in keys]


async def assemble(tx: AsyncConnection, rows: Sequence[Row[Any]]) -> list[Invoice]:
    """The invoices of rows of `invoice`, in the same order, each with its lines in theirs."""
    if not rows:
        return []
    query = (
        select(invoice_line)
        .where(among((invoice_line.c.customer_id, invoice_line.c.invoice), [(row.customer_id, row.id) for row in rows]))
        .order_by(invoice_line.c.invoice, invoice_line.c.position)
    )
    found = (await tx.execute(query)).all()
    lines: dict[str, list[InvoiceLine]] = {row.id: [] for row in rows}
    for row, line in zip(found, await lines_of(tx, found), strict=True):
        lines[row.invoice].append(line)
    default = await tax_rate.named_in(tx, rows, "default_tax_rates")
    return [
        load(
            Invoice,
            row,
            lines=tuple(lines[row.id]),
            default_tax_rates=tax_rate.of(row.default_tax_rates, default),
        )
        for row in rows
    ]


async def debit_lines(
    tx: AsyncConnection, *, customer_id: UUID, subscription_item: str, price: str, period: Period
) -> list[tuple[str, InvoiceLine]]:
    """What an item was debited at a price for exactly that period, with the invoices that did, newest first.

    Lines of void invoices are left out.
    """
    query = (
        select(invoice_line)
        .join(
            invoice,
            (invoice.c.customer_id == invoice_line.c.customer_id) & (invoice.c.id == invoice_line.c.invoice),
        )
        .where(
            invoice_line.c.customer_id == customer_id,
            invoice_line.c.subscription_item == subscription_item,
            invoice_line.c.price == price,
            invoice_line.c.period_start == period.start,
            invoice_line.c.period_end == period.end,
            invoice_line.c.amount >= 0,
            invoice_line.c.usage_start.is_(None),
            invoice.c.status != "void",
        )
        .order_by(invoice.c.sequence.desc(), invoice_line.c.position)
    )
    rows = (await tx.execute(query)).all()
    return [(row.invoice, line) for row, line in zip(rows, await lines_of(tx, rows), strict=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What a list of invoices is narrowed to. Without `customer_id` what lives on a test clock is hidden."""

    customer_id: UUID | None = None
    subscription: str | None = None
    status: str | None = None
    collection_method: str | None = None
    created: Span | None = None
    due: Span | None = None


async def listed(tx: AsyncConnection, environment: str, cursor: Cursor, narrowed: Filter) -> Page:
    """A page of invoices, newest first."""
    scope = invoice.c.environment == environment
    query = select(invoice).where(
        scope,
        ~invoice.c.deleted,
        *during(invoice.c.created, narrowed.created),
        *during(invoice.c.due_date, narrowed.due),
    )
    if narrowed.customer_id is not None:
        query = query.where(invoice.c.customer_id == narrowed.customer_id)
    elif narrowed.subscription is None:
        query = query.where(invoice.c.test_clock.is_(None))
    for column, wanted in (
        (invoice.c.subscription, narrowed.subscription),
        (invoice.c.status, narrowed.status),
        (invoice.c.collection_method, narrowed.collection_method),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    return await page(tx, query, invoice, kind="invoice", scope=scope, cursor=cursor)


async def newest_of_subscription(tx: AsyncConnection, *, customer_id: UUID, subscription: str) -> Invoice | None:
    """The subscription's newest invoice that is not void."""
    query = (
        select(invoice)
        .where(
            invoice.c.customer_id == customer_id,
            invoice.c.subscription == subscription,
            invoice.c.status != "void",
            ~invoice.c.deleted,
        )
        .order_by(invoice.c.sequence.desc())
        .limit(1)
    )
    found = await assemble(tx, (await tx.execute(query)).all())
    return found[0] if found else None


async def of_subscription(
    tx: AsyncConnection, *, customer_id: UUID, subscription: str, status: Sequence[str]
) -> list[Invoice]:
    """The subscription's invoices in any of those states, oldest first."""
    query = (
        select(invoice)
        .where(
            invoice.c.customer_id == customer_id,
            invoice.c.subscription == subscription,
            invoice.c.status.in_(status),
            ~invoice.c.deleted,
        )
        .order_by(invoice.c.sequence)
    )
    return await assemble(tx, (await tx.execute(query)).all())


async def number_taken(tx: AsyncConnection, *, customer_id: UUID, number: str, other_than: str | None = None) -> bool:
    """Whether the customer has another invoice of that number already."""
    return await ask(_taken, tx, (customer_id, number, other_than))


async def _taken(tx: AsyncConnection, asked: Sequence[tuple[UUID, str, str | None]]) -> list[bool]:
    key = (invoice.c.customer_id, invoice.c.number)
    query = select(*key, invoice.c.id).where(among(key, [each[:2] for each in asked]))
    holders = {(row.customer_id, row.number): row.id for row in await tx.execute(query)}
    return [holders.get(each[:2], each[2]) != each[2] for each in asked]


async def lines_of(tx: AsyncConnection, rows: Sequence[Row[Any]]) -> list[InvoiceLine]:
    """The lines in rows of `invoice_line`, in their order."""
    known = await tax_rate.named_in(tx, rows, "tax_rates")
    return [_line_of(row, known) for row in rows]


def _line_of(row: Row[Any], known: Mapping[str, TaxRate]) -> InvoiceLine:
    usage = None if row.usage_start is None else Period(start=row.usage_start, end=row.usage_end)
    period = Period(start=row.period_start, end=row.period_end)
    return load(InvoiceLine, row, period=period, usage=usage, tax_rates=tax_rate.own(row.tax_rates, known))


async def _insert_lines(tx: AsyncConnection, owners: Sequence[Invoice]) -> None:
    rows = [
        values(
            line,
            invoice_line,
            environment=owner.environment,
            customer_id=owner.customer_id,
            sequence=sequence,
            invoice=owner.id,
            position=position,
            period_start=line.period.start,
            period_end=line.period.end,
            usage_start=None if line.usage is None else line.usage.start,
            usage_end=None if line.usage is None else line.usage.end,
            tax_rates=tax_rate.own_names(line.tax_rates),
        )
        for owner in owners
        for position, (line, sequence) in enumerate(zip(owner.lines, _falling(len(owner.lines)), strict=True))
    ]
    await insert_all(tx, invoice_line, rows)


def _falling(count: int) -> list[UUID]:
    """Sequences that go down, since pages run from the highest: the first line is first on the first page."""
    return [uuid7() for _ in range(count)][::-1]


def _row(thing: Invoice) -> dict[str, Any]:
    return values(
        thing,
        invoice,
        total=thing.amounts.total,
        amount_due=thing.amounts.due,
        amount_remaining=thing.amounts.remaining,
        default_tax_rates=tax_rate.names(thing.default_tax_rates),
    )


def _is(thing: Invoice) -> tuple[ColumnElement[bool], ...]:
    return (invoice.c.customer_id == thing.customer_id, invoice.c.id == thing.id)


def _lines_of(thing: Invoice) -> tuple[ColumnElement[bool], ...]:
    return (invoice_line.c.customer_id == thing.customer_id, invoice_line.c.invoice == thing.id)
