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
    exists,
    func,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.invoice.model import Invoice
from meterline.payment.payment import Attempt, InvoicePayment, Payment
from meterline.store import public_id, schema
from meterline.store.invoice import invoice
from meterline.store.kept import Kept
from meterline.store.key import among
from meterline.store.page import Cursor, Page, Span, during, page
from meterline.store.row import load
from meterline.store.side_by_side import ask

KIND = "payment_intent"
CHARGE = "charge"

_UNSETTLED_SQL = "payment.status IN ('processing', 'requires_action', 'requires_capture')"

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
    Column("tax", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("client_secret", Text, nullable=False),
    schema.instant("created", nullable=False),
    Column("payment_method", Text),
    Column("last_refusal", JSONB(none_as_null=True)),
    Column("refused_method", JSONB(none_as_null=True)),
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
    Column("statement_descriptor_suffix", Text),
    Column("shipping", JSONB(none_as_null=True)),
    Column("return_url", Text),
    Column("top_up", Text),
    Column("action_url", Text),
    schema.document("metadata"),
    PrimaryKeyConstraint("customer_id", "id"),
    Index("ix_payment_sequence", "environment", "sequence"),
    Index("ix_payment_customer", "customer_id", "sequence"),
    Index("ix_payment_unsettled", "customer_id", "id", postgresql_where=text(_UNSETTLED_SQL)),
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
    Column("capturing", BigInteger),
    Column("balance_transaction", Text),
    Column("authenticated", Boolean, nullable=False),
    Column("presented", JSONB(none_as_null=True)),
    Column("description", Text),
    Column("receipt_email", Text),
    Column("statement_descriptor", Text),
    Column("statement_descriptor_suffix", Text),
    Column("shipping", JSONB(none_as_null=True)),
    schema.document("metadata"),
    PrimaryKeyConstraint("customer_id", "id"),
    Index("ix_payment_attempt_payment", "customer_id", "payment", "sequence"),
    Index("ix_payment_attempt_customer", "customer_id", "sequence"),
    Index("ix_payment_attempt_reference", "environment", "processor", "reference"),
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
    Index("ix_invoice_payment_payment", "customer_id", "payment", "sequence"),
)


_UNSETTLED = text(_UNSETTLED_SQL)

_payments = Kept(payment, Payment, KIND, param="intent")
_attempts = Kept(payment_attempt, Attempt, CHARGE)
_links = Kept(invoice_payment, InvoicePayment, "invoice_payment")

add_payment, find, get, lock, save = _payments.add, _payments.find, _payments.get, _payments.lock, _payments.save
add_attempt, find_charges, lock_attempt, save_attempt = (
    _attempts.add, _attempts.find, _attempts.lock, _attempts.save
)  # fmt: skip
find_links, save_link = _links.find, _links.save


async def add(tx: AsyncConnection, new: Payment, link: InvoicePayment) -> None:
    """Store what is to be collected for an invoice."""
    await add_payment(tx, new)
    await _links.add(tx, link)


async def listed(
    tx: AsyncConnection,
    environment: str,
    cursor: Cursor,
    *,
    customer_id: UUID | None = None,
    created: Span | None = None,
) -> Page:
    """A page of payments, newest first."""
    return await _payments.listed(tx, environment, cursor, created=created, customer_id=customer_id)


async def of_invoice(tx: AsyncConnection, owner: Invoice) -> tuple[Payment, InvoicePayment] | None:
    """The invoice's default payment and its link, locked; None when nothing was ever to be collected."""
    link = await ask(_default_links, tx, (owner.customer_id, owner.id))
    return None if link is None else (await lock(tx, customer_id=link.customer_id, id=link.payment), link)


async def _default_links(tx: AsyncConnection, keys: Sequence[tuple[UUID, str]]) -> list[InvoicePayment | None]:
    link = invoice_payment.c
    query = (
        select(invoice_payment)
        .where(among((link.customer_id, link.invoice), keys), link.is_default)
        .order_by(link.customer_id, link.sequence)
    )
    newest = {(row.customer_id, row.invoice): row for row in await tx.execute(query.with_for_update())}
    return [load(InvoicePayment, newest[key]) if key in newest else None for key in keys]


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


async def taken_for(tx: AsyncConnection, owner: Invoice, *, lock: bool = False) -> list[Attempt]:
    """The charges that took money for an invoice, oldest first; with `lock` nobody else refunds them."""
    query = (
        select(payment_attempt)
        .join(
            payment,
            (payment.c.customer_id == payment_attempt.c.customer_id) & (payment.c.id == payment_attempt.c.payment),
        )
        .where(
            payment_attempt.c.customer_id == owner.customer_id,
            payment_attempt.c.captured,
            payment.c.invoice == owner.id,
        )
        .order_by(payment_attempt.c.sequence)
    )
    found = await tx.execute(query.with_for_update(of=payment_attempt) if lock else query)
    return [load(Attempt, row) for row in found]


async def cards_of(tx: AsyncConnection, owner: Invoice) -> dict[str, str]:
    """The payment methods that the payments of an invoice were taken with, by the payment's id."""
    return {charge.payment: charge.payment_method for charge in await taken_for(tx, owner)}


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
        owner = await public_id.owner(tx, environment=environment, kind=KIND, id=payment_id)
        query = query.where(table.customer_id == owner, table.payment == payment_id)
    return await page(tx, query, payment_attempt, kind=CHARGE, scope=scope, cursor=cursor)


async def by_reference(tx: AsyncConnection, environment: str, processor: str, reference: str) -> Attempt | None:
    """The attempt that a processor knows by that name; None for none of ours."""
    table = payment_attempt.c
    query = select(payment_attempt).where(
        table.environment == environment, table.processor == processor, table.reference == reference
    )
    row = (await tx.execute(query)).one_or_none()
    return None if row is None else load(Attempt, row)


async def oldest_unanswered(tx: AsyncConnection, processor: str) -> datetime | None:
    """When the oldest attempt was made whose payment is still open at a processor; None where there is none."""
    table = payment_attempt.c
    of = (payment.c.customer_id == table.customer_id) & (payment.c.id == table.payment)
    query = (
        select(func.min(table.created))
        .select_from(payment.join(payment_attempt, of))
        .where(_UNSETTLED, table.processor == processor)
    )
    found: datetime | None = await tx.scalar(query)
    return found


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


async def paid_before(tx: AsyncConnection, *, customer_id: UUID) -> bool:
    """Whether the customer ever had a payment that succeeded or an invoice that was paid."""
    paid = exists().where(payment.c.customer_id == customer_id, payment.c.status == "succeeded")
    settled = exists().where(invoice.c.customer_id == customer_id, invoice.c.status == "paid", ~invoice.c.deleted)
    return bool(await tx.scalar(select(paid | settled)))


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
    return await _links.listed(
        tx,
        environment,
        cursor,
        created=narrowed.created,
        of={"invoice": ("invoice", narrowed.invoice), "payment": (KIND, narrowed.payment)},
        customer_id=narrowed.customer_id,
        status=narrowed.status,
    )
