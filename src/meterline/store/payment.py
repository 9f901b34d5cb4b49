"""Payments, the attempts on them, and their link to invoices."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    PrimaryKeyConstraint,
    Table,
    Text,
    func,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.invoice.model import Invoice
from meterline.payment.payment import Attempt, InvoicePayment, Payment
from meterline.store import public_id, schema
from meterline.store.identifier import uuid7
from meterline.store.page import Cursor, Page, Span, during, page
from meterline.store.row import load, values

payment = Table(
    "payment",
    schema.metadata,
    schema.environment(),
    schema.customer_id(),
    schema.public_id(),
    schema.sequence(),
    Column("customer", Text, nullable=False),
    Column("invoice", Text),
    Column("amount", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("client_secret", Text, nullable=False),
    schema.instant("created", nullable=False),
    Column("payment_method", Text),
    Column("last_refusal", JSONB(none_as_null=True)),
    schema.instant("succeeded_at"),
    schema.instant("canceled_at"),
    PrimaryKeyConstraint("customer_id", "id"),
    Index("ix_payment_sequence", "environment", "sequence"),
    Index("ix_payment_invoice", "customer_id", "invoice"),
)

payment_attempt = Table(
    "payment_attempt",
    schema.metadata,
    schema.environment(),
    schema.customer_id(),
    schema.public_id(),
    schema.sequence(),
    Column("payment", Text, nullable=False),
    Column("payment_method", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    schema.instant("created", nullable=False),
    Column("outcome", Text),
    Column("code", Text),
    Column("decline_code", Text),
    Column("message", Text),
    Column("reference", Text),
    PrimaryKeyConstraint("customer_id", "id"),
    Index("ix_payment_attempt_payment", "customer_id", "payment", "sequence"),
)

invoice_payment = Table(
    "invoice_payment",
    schema.metadata,
    schema.environment(),
    schema.customer_id(),
    schema.public_id(),
    schema.sequence(),
    Column("invoice", Text, nullable=False),
    Column("payment", Text, nullable=False),
    Column("amount_requested", BigInteger, nullable=False),
    Column("amount_paid", BigInteger),
    Column("currency", Text, nullable=False),
    Column("status", Text, nullable=False),
    schema.instant("created", nullable=False),
    schema.instant("paid_at"),
    schema.instant("canceled_at"),
    Column("is_default", Boolean, nullable=False),
    PrimaryKeyConstraint("customer_id", "id"),
    Index("ix_invoice_payment_sequence", "environment", "sequence"),
    Index("ix_invoice_payment_invoice", "customer_id", "invoice", "sequence"),
)


async def add(tx: AsyncConnection, new: Payment, link: InvoicePayment) -> None:
    """Store what is to be collected for an invoice."""
    await tx.execute(insert(payment).values(values(new, payment, sequence=uuid7())))
    await tx.execute(insert(invoice_payment).values(values(link, invoice_payment, sequence=uuid7())))
    for kind, id in (("payment_intent", new.id), ("invoice_payment", link.id)):
        await public_id.add(tx, environment=new.environment, customer_id=new.customer_id, kind=kind, ids=[id])


async def save(tx: AsyncConnection, changed: Payment) -> None:
    """Store a changed payment."""
    await tx.execute(
        update(payment)
        .where(payment.c.customer_id == changed.customer_id, payment.c.id == changed.id)
        .values(values(changed, payment))
    )


async def save_link(tx: AsyncConnection, changed: InvoicePayment) -> None:
    """Store a changed link."""
    await tx.execute(
        update(invoice_payment)
        .where(invoice_payment.c.customer_id == changed.customer_id, invoice_payment.c.id == changed.id)
        .values(values(changed, invoice_payment))
    )


async def of_invoice(tx: AsyncConnection, owner: Invoice) -> tuple[Payment, InvoicePayment] | None:
    """The invoice's default payment and its link, locked; None when nothing was ever to be collected."""
    query = (
        select(invoice_payment)
        .where(
            invoice_payment.c.customer_id == owner.customer_id,
            invoice_payment.c.invoice == owner.id,
            invoice_payment.c.is_default,
        )
        .order_by(invoice_payment.c.sequence.desc())
        .limit(1)
    )
    row = (await tx.execute(query.with_for_update())).one_or_none()
    if row is None:
        return None
    link = load(InvoicePayment, row)
    found = await tx.execute(
        select(payment)
        .where(payment.c.customer_id == owner.customer_id, payment.c.id == link.payment)
        .with_for_update()
    )
    return load(Payment, found.one()), link


async def defaults(tx: AsyncConnection, owners: Sequence[Invoice]) -> dict[str, Payment]:
    """The default payment of each invoice that has one, by the invoice's id."""
    query = (
        select(payment)
        .where(
            payment.c.customer_id.in_({owner.customer_id for owner in owners}),
            payment.c.invoice.in_([owner.id for owner in owners]),
        )
        .order_by(payment.c.sequence)
    )
    return {row.invoice: load(Payment, row) for row in await tx.execute(query)}


async def links(tx: AsyncConnection, owners: Sequence[Invoice]) -> dict[str, list[InvoicePayment]]:
    """The payments of each invoice by its id, newest first."""
    query = (
        select(invoice_payment)
        .where(
            invoice_payment.c.customer_id.in_({owner.customer_id for owner in owners}),
            invoice_payment.c.invoice.in_([owner.id for owner in owners]),
        )
        .order_by(invoice_payment.c.sequence.desc())
    )
    found: dict[str, list[InvoicePayment]] = {owner.id: [] for owner in owners}
    for row in await tx.execute(query):
        found[row.invoice].append(load(InvoicePayment, row))
    return found


async def add_attempt(tx: AsyncConnection, new: Attempt) -> None:
    """Store that a processor was asked, with its answer."""
    await tx.execute(insert(payment_attempt).values(values(new, payment_attempt, sequence=uuid7())))


async def attempts(tx: AsyncConnection, of: Payment) -> list[Attempt]:
    """Every attempt on a payment, oldest first."""
    query = (
        select(payment_attempt)
        .where(payment_attempt.c.customer_id == of.customer_id, payment_attempt.c.payment == of.id)
        .order_by(payment_attempt.c.sequence)
    )
    return [load(Attempt, row) for row in await tx.execute(query)]


async def count_attempts(tx: AsyncConnection, of: Payment) -> int:
    """How often a processor was asked for this payment."""
    query = select(func.count()).where(
        payment_attempt.c.customer_id == of.customer_id, payment_attempt.c.payment == of.id
    )
    return int(await tx.scalar(query) or 0)


async def find_links(tx: AsyncConnection, environment: str, ids: Sequence[str]) -> dict[str, InvoicePayment]:
    """The invoice payments with those ids."""
    owners = await public_id.owners(tx, environment=environment, kind="invoice_payment", ids=ids)
    query = select(invoice_payment).where(
        invoice_payment.c.customer_id.in_(owners.values()), invoice_payment.c.id.in_(owners)
    )
    return {row.id: load(InvoicePayment, row) for row in await tx.execute(query)}


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFilter:
    """What a list of invoice payments is narrowed to."""

    customer_id: UUID | None = None
    invoice: str | None = None
    payment: str | None = None
    status: str | None = None
    created: Span | None = None


async def listed_links(tx: AsyncConnection, environment: str, cursor: Cursor, narrowed: LinkFilter) -> Page:
    """A page of invoice payments, newest first."""
    scope = invoice_payment.c.environment == environment
    query = select(invoice_payment).where(scope, *during(invoice_payment.c.created, narrowed.created))
    for column, wanted in (
        (invoice_payment.c.customer_id, narrowed.customer_id),
        (invoice_payment.c.invoice, narrowed.invoice),
        (invoice_payment.c.payment, narrowed.payment),
        (invoice_payment.c.status, narrowed.status),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    return await page(tx, query, invoice_payment, kind="invoice_payment", scope=scope, cursor=cursor)
