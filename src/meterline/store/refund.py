"""Refunds."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import BigInteger, Column, Index, PrimaryKeyConstraint, Table, Text, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.payment.refund import Refund
from meterline.store import public_id, schema
from meterline.store.identifier import uuid7
from meterline.store.page import Cursor, Page, Span, during, page
from meterline.store.row import load, values

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
    schema.document("metadata"),
    PrimaryKeyConstraint("customer_id", "id"),
    Index("ix_refund_sequence", "environment", "sequence"),
    Index("ix_refund_charge", "customer_id", "charge"),
)


async def add(tx: AsyncConnection, new: Refund) -> None:
    """Store a new refund and make its id known."""
    await tx.execute(insert(refund).values(values(new, refund, sequence=uuid7())))
    await public_id.add(tx, environment=new.environment, customer_id=new.customer_id, kind=KIND, ids=[new.id])


async def save(tx: AsyncConnection, changed: Refund) -> None:
    """Store a changed refund."""
    await tx.execute(
        update(refund)
        .where(refund.c.customer_id == changed.customer_id, refund.c.id == changed.id)
        .values(values(changed, refund))
    )


async def find(tx: AsyncConnection, environment: str, ids: Sequence[str]) -> dict[str, Refund]:
    """The refunds with those ids; unknown ones are left out."""
    owners = await public_id.owners(tx, environment=environment, kind=KIND, ids=ids)
    query = select(refund).where(refund.c.customer_id.in_(owners.values()), refund.c.id.in_(owners))
    return {row.id: load(Refund, row) for row in await tx.execute(query)}


async def lock(tx: AsyncConnection, *, customer_id: UUID, id: str) -> Refund:
    """A refund that is known to exist, locked until the transaction ends."""
    query = select(refund).where(refund.c.customer_id == customer_id, refund.c.id == id).with_for_update()
    return load(Refund, (await tx.execute(query)).one())


async def listed(
    tx: AsyncConnection,
    environment: str,
    cursor: Cursor,
    *,
    charge: str | None = None,
    payment: str | None = None,
    created: Span | None = None,
) -> Page:
    """A page of refunds, newest first."""
    scope = refund.c.environment == environment
    query = select(refund).where(scope, *during(refund.c.created, created))
    if charge is not None:
        query = query.where(refund.c.charge == charge)
    if payment is not None:
        query = query.where(refund.c.payment == payment)
    return await page(tx, query, refund, kind=KIND, scope=scope, cursor=cursor)
