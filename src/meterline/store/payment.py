"""Payments, the attempts on them, and their link to invoices."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
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
from meterline.refusal import Missing
from meterline.store import public_id, schema
from meterline.store.identifier import uuid7
from meterline.store.page import Cursor, Page, Span, during, page
from meterline.store.row import load, values

KIND = "payment_intent"
CHARGE = "charge"

payment = Table(
    "payment",
    schema.metadata,
    schema.environment(),
    schema.customer_id(),
    schema.public_id(),
    schema.sequence(),
    Column("customer", Text),
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
    Column("amount_received", BigInteger, nullable=False),
    Column("amount_capturable", BigInteger, nullable=False),
    Column("capture_method", Text, nullable=False),
    Column("setup_future_usage", Text),
    Column("cancellation_reason", Text),
    Column("latest_charge", Text),
    Column("description", Text),
    Column("receipt_email", Text),
    Column("statement_descriptor", Text),
    Column("return_url", Text),
    schema.document("metadata"),
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
    Column("customer", Text),
    Column("processor", Text, nullable=False),
    Column("automatic", Boolean, nullable=False),
    Column("off_session", Boolean, nullable=False),
    Column("captured", Boolean, nullable=False),
    Column("amount_captured", BigInteger, nullable=False),
    Column("amount_refunded", BigInteger, nullable=False),
    Column("disputed", Boolean, nullable=False),
    PrimaryKeyConstraint("customer_id", "id"),
    Index("ix_payment_attempt_payment", "customer_id", "payment", "sequence"),
    Index("ix_payment_attempt_sequence", "environment", "sequence"),
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
    await add_payment(tx, new)
    await tx.execute(insert(invoice_payment).values(values(link, invoice_payment, sequence=uuid7())))
    await public_id.add(
        tx, environment=new.environment, customer_id=new.customer_id, kind="invoice_payment", ids=[link.id]
    )


async def add_payment(tx: AsyncConnection, new: Payment) -> None:
    """Store a payment."""
    await tx.execute(insert(payment).values(values(new, payment, sequence=uuid7())))
    await public_id.add(tx, environment=new.environment, customer_id=new.customer_id, kind=KIND, ids=[new.id])


async def find(tx: AsyncConnection, environment: str, ids: Sequence[str]) -> dict[str, Payment]:
    """The payments with those ids; unknown ones are left out."""
    owners = await public_id.owners(tx, environment=environment, kind=KIND, ids=ids)
    query = select(payment).where(payment.c.customer_id.in_(owners.values()), payment.c.id.in_(owners))
    return {row.id: load(Payment, row) for row in await tx.execute(query)}


async def get(
    tx: AsyncConnection, environment: str, id: str, *, param: str = "intent", subject: bool = True
) -> Payment:
    """The payment that a call is about. Raises Missing."""
    found = (await find(tx, environment, [id])).get(id)
    if found is None:
        raise Missing(KIND, id, param=param, subject=subject)
    return found


async def lock(tx: AsyncConnection, *, customer_id: UUID, id: str) -> Payment:
    """A payment that is known to exist, locked until the transaction ends."""
    query = select(payment).where(payment.c.customer_id == customer_id, payment.c.id == id)
    return load(Payment, (await tx.execute(query.with_for_update())).one())


async def listed(
    tx: AsyncConnection,
    environment: str,
    cursor: Cursor,
    *,
    customer_id: UUID | None = None,
    created: Span | None = None,
) -> Page:
    """A page of payments, newest first."""
    scope = payment.c.environment == environment
    query = select(payment).where(scope, *during(payment.c.created, created))
    if customer_id is not None:
        query = query.where(payment.c.customer_id == customer_id)
    return await page(tx, query, payment, kind=KIND, scope=scope, cursor=cursor)


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
    await public_id.add(tx, environment=new.environment, customer_id=new.customer_id, kind=CHARGE, ids=[new.id])


async def save_attempt(tx: AsyncConnection, changed: Attempt) -> None:
    """Store an attempt whose answer came, or whose money was captured, refunded or disputed."""
    await tx.execute(
        update(payment_attempt)
        .where(payment_attempt.c.customer_id == changed.customer_id, payment_attempt.c.id == changed.id)
        .values(values(changed, payment_attempt))
    )


async def lock_attempt(tx: AsyncConnection, *, customer_id: UUID, id: str) -> Attempt:
    """An attempt that is known to exist, locked until the transaction ends."""
    query = select(payment_attempt).where(payment_attempt.c.customer_id == customer_id, payment_attempt.c.id == id)
    return load(Attempt, (await tx.execute(query.with_for_update())).one())


async def find_charges(tx: AsyncConnection, environment: str, ids: Sequence[str]) -> dict[str, Attempt]:
    """The charges with those ids; unknown ones are left out."""
    owners = await public_id.owners(tx, environment=environment, kind=CHARGE, ids=ids)
    query = select(payment_attempt).where(
        payment_attempt.c.customer_id.in_(owners.values()), payment_attempt.c.id.in_(owners)
    )
    return {row.id: load(Attempt, row) for row in await tx.execute(query)}


async def listed_charges(
    tx: AsyncConnection,
    environment: str,
    cursor: Cursor,
    *,
    customer_id: UUID | None = None,
    payment_id: str | None = None,
    created: Span | None = None,
) -> Page:
    """A page of charges, newest first. An attempt that only asked for the card's holder made none."""
    table = payment_attempt.c
    scope = table.environment == environment
    query = select(payment_attempt).where(scope, *during(table.created, created))
    query = query.where(table.outcome.is_distinct_from("action_needed"))
    if customer_id is not None:
        query = query.where(table.customer_id == customer_id)
    if payment_id is not None:
        query = query.where(table.payment == payment_id)
    return await page(tx, query, payment_attempt, kind=CHARGE, scope=scope, cursor=cursor)


async def unanswered(tx: AsyncConnection, *, before: datetime) -> list[Attempt]:
    """Attempts made before an instant to which no answer is known yet, oldest first."""
    query = (
        select(payment_attempt)
        .where(payment_attempt.c.outcome.is_(None), payment_attempt.c.created < before)
        .order_by(payment_attempt.c.sequence)
    )
    return [load(Attempt, row) for row in await tx.execute(query)]


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
