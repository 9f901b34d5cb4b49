"""Payouts. They belong to no customer, so they are the house's: see `identifier.house`."""

from sqlalchemy import BigInteger, Boolean, Column, Index, PrimaryKeyConstraint, Table, Text, UniqueConstraint, select
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.payment.statement import Payout
from meterline.store import schema
from meterline.store.kept import Kept
from meterline.store.page import Cursor, Page, Span
from meterline.store.row import load

KIND = "payout"

payout = Table(
    "payout",
    schema.metadata,
    schema.environment(),
    schema.customer_id(),
    schema.public_id(),
    schema.sequence(),
    Column("processor", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("automatic", Boolean, nullable=False),
    Column("status", Text, nullable=False),
    schema.instant("created", nullable=False),
    schema.instant("arrival_date", nullable=False),
    Column("explained", BigInteger, nullable=False),
    Column("reference", Text),
    Column("balance_transaction", Text),
    Column("description", Text),
    Column("statement_descriptor", Text),
    Column("method", Text, nullable=False),
    schema.document("metadata"),
    PrimaryKeyConstraint("customer_id", "id"),
    UniqueConstraint("customer_id", "processor", "reference", name="uq_payout_reference"),
    Index("ix_payout_sequence", "environment", "sequence"),
)

_payouts = Kept(payout, Payout, KIND, param="payout")
add, find, get, lock, save = _payouts.add, _payouts.find, _payouts.get, _payouts.lock, _payouts.save


async def listed(
    tx: AsyncConnection, environment: str, cursor: Cursor, *, status: str | None = None, created: Span | None = None
) -> Page:
    """A page of payouts, newest first."""
    return await _payouts.listed(tx, environment, cursor, created=created, status=status)


async def by_reference(tx: AsyncConnection, environment: str, processor: str, reference: str) -> Payout | None:
    """The payout that a processor knows by that name, locked; None where it was never heard of."""
    key = payout.c
    query = select(payout).where(key.environment == environment, key.processor == processor, key.reference == reference)
    row = (await tx.execute(query.with_for_update())).one_or_none()
    return None if row is None else load(Payout, row)
