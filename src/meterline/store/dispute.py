"""Disputes."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.payment.dispute import CLOSED, Dispute
from meterline.store import schema
from meterline.store.kept import Kept
from meterline.store.page import Cursor, Page, Span
from meterline.store.payment import CHARGE
from meterline.store.payment import KIND as PAYMENT
from meterline.store.row import load

KIND = "dispute"

dispute = Table(
    "dispute",
    schema.metadata,
    schema.environment(),
    schema.customer_id(),
    schema.public_id(),
    schema.sequence(),
    Column("charge", Text, nullable=False),
    Column("payment", Text, nullable=False),
    Column("processor", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("status", Text, nullable=False),
    schema.instant("created", nullable=False),
    schema.instant("due_by", nullable=False),
    schema.document("evidence"),
    Column("submissions", Integer, nullable=False),
    Column("taken", JSONB(none_as_null=True)),
    Column("reference", Text),
    Column("unsent", Text),
    Column("brand", Text),
    schema.document("balance_transactions"),
    schema.document("metadata"),
    PrimaryKeyConstraint("customer_id", "id"),
    UniqueConstraint("customer_id", "processor", "reference", name="uq_dispute_reference"),
    Index("ix_dispute_sequence", "environment", "sequence"),
    Index("ix_dispute_charge", "customer_id", "charge", "sequence"),
    Index("ix_dispute_payment", "customer_id", "payment", "sequence"),
)


_disputes = Kept(dispute, Dispute, KIND, param="dispute")
add, save, find, get, lock = _disputes.add, _disputes.save, _disputes.find, _disputes.get, _disputes.lock


async def listed(
    tx: AsyncConnection,
    environment: str,
    cursor: Cursor,
    *,
    charge: str | None = None,
    payment: str | None = None,
    created: Span | None = None,
) -> Page:
    """A page of disputes, newest first: all of them, or those of a charge or a payment."""
    of = {"charge": (CHARGE, charge), "payment": (PAYMENT, payment)}
    return await _disputes.listed(tx, environment, cursor, created=created, of=of)


async def by_reference(tx: AsyncConnection, *, customer_id: UUID, processor: str, reference: str) -> Dispute | None:
    """The dispute that a processor knows by that name, locked; None where it was never heard of."""
    key = dispute.c
    query = select(dispute).where(
        key.customer_id == customer_id, key.processor == processor, key.reference == reference
    )
    row = (await tx.execute(query.with_for_update())).one_or_none()
    return None if row is None else load(Dispute, row)


async def oldest_open(tx: AsyncConnection, processor: str) -> datetime | None:
    """When the oldest dispute began that is not decided yet; None where there is none."""
    query = select(func.min(dispute.c.created)).where(dispute.c.processor == processor, dispute.c.status.notin_(CLOSED))
    found: datetime | None = await tx.scalar(query)
    return found
