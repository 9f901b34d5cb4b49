"""Refunds."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Column, Index, PrimaryKeyConstraint, Table, Text, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.payment.refund import Refund
from meterline.store import schema
from meterline.store.kept import Kept
from meterline.store.page import Cursor, Page, Span
from meterline.store.payment import CHARGE
from meterline.store.payment import KIND as PAYMENT
from meterline.store.row import load

KIND = "refund"

refund = Table(
    "refund",
    schema.metadata,
    schema.environment(),
    schema.customer_id(),
    schema.public_id(),
    schema.sequence(),
    Column("customer", Text),
    Column("charge", Text, nullable=False),
    Column("payment", Text, nullable=False),
    Column("payment_method", Text, nullable=False),
    Column("processor", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    schema.instant("created", nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text),
    Column("failure_reason", Text),
    Column("taken", JSONB(none_as_null=True)),
    Column("balance_transaction", Text),
    Column("failure_balance_transaction", Text),
    schema.document("metadata"),
    PrimaryKeyConstraint("customer_id", "id"),
    Index("ix_refund_sequence", "environment", "sequence"),
    Index("ix_refund_charge", "customer_id", "charge", "sequence"),
    Index("ix_refund_payment", "customer_id", "payment", "sequence"),
)


_refunds = Kept(refund, Refund, KIND, param="refund")
add, save, find, get, lock = _refunds.add, _refunds.save, _refunds.find, _refunds.get, _refunds.lock


async def of_charges(tx: AsyncConnection, *, customer_id: UUID, charges: Sequence[str]) -> list[Refund]:
    """Every refund of those charges, oldest first."""
    query = (
        select(refund)
        .where(refund.c.customer_id == customer_id, refund.c.charge.in_(charges))
        .order_by(refund.c.sequence)
    )
    return [load(Refund, row) for row in await tx.execute(query)]


async def listed(
    tx: AsyncConnection,
    environment: str,
    cursor: Cursor,
    *,
    charge: str | None = None,
    payment: str | None = None,
    created: Span | None = None,
) -> Page:
    """A page of refunds, newest first: all of them, or those of a charge or a payment."""
    of = {"charge": (CHARGE, charge), "payment": (PAYMENT, payment)}
    return await _refunds.listed(tx, environment, cursor, created=created, of=of)


async def oldest_pending(tx: AsyncConnection, processor: str) -> datetime | None:
    """When the oldest refund was made that a processor is still busy with; None where there is none."""
    query = select(func.min(refund.c.created)).where(refund.c.processor == processor, refund.c.status == "pending")
    found: datetime | None = await tx.scalar(query)
    return found
