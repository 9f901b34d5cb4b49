"""Disputes."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import BigInteger, Column, Index, Integer, PrimaryKeyConstraint, Table, Text, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.payment.dispute import Dispute
from meterline.store import public_id, schema
from meterline.store.identifier import uuid7
from meterline.store.page import Cursor, Page, Span, during, page
from meterline.store.row import load, values

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
    schema.document("metadata"),
    PrimaryKeyConstraint("customer_id", "id"),
    Index("ix_dispute_sequence", "environment", "sequence"),
    Index("ix_dispute_charge", "customer_id", "charge"),
)


async def add(tx: AsyncConnection, new: Dispute) -> None:
    """Store a new dispute and make its id known."""
    await tx.execute(insert(dispute).values(values(new, dispute, sequence=uuid7())))
    await public_id.add(tx, environment=new.environment, customer_id=new.customer_id, kind=KIND, ids=[new.id])


async def save(tx: AsyncConnection, changed: Dispute) -> None:
    """Store a changed dispute."""
    await tx.execute(
        update(dispute)
        .where(dispute.c.customer_id == changed.customer_id, dispute.c.id == changed.id)
        .values(values(changed, dispute))
    )


async def find(tx: AsyncConnection, environment: str, ids: Sequence[str]) -> dict[str, Dispute]:
    """The disputes with those ids; unknown ones are left out."""
    owners = await public_id.owners(tx, environment=environment, kind=KIND, ids=ids)
    query = select(dispute).where(dispute.c.customer_id.in_(owners.values()), dispute.c.id.in_(owners))
    return {row.id: load(Dispute, row) for row in await tx.execute(query)}


async def lock(tx: AsyncConnection, *, customer_id: UUID, id: str) -> Dispute:
    """A dispute that is known to exist, locked until the transaction ends."""
    query = select(dispute).where(dispute.c.customer_id == customer_id, dispute.c.id == id).with_for_update()
    return load(Dispute, (await tx.execute(query)).one())


async def listed(
    tx: AsyncConnection,
    environment: str,
    cursor: Cursor,
    *,
    charge: str | None = None,
    payment: str | None = None,
    created: Span | None = None,
) -> Page:
    """A page of disputes, newest first."""
    scope = dispute.c.environment == environment
    query = select(dispute).where(scope, *during(dispute.c.created, created))
    if charge is not None:
        query = query.where(dispute.c.charge == charge)
    if payment is not None:
        query = query.where(dispute.c.payment == payment)
    return await page(tx, query, dispute, kind=KIND, scope=scope, cursor=cursor)
