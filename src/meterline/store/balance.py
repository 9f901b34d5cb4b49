"""The history of customer balances. The balance itself is on the customer's row, changed in the same transaction."""

from uuid import UUID

from sqlalchemy import BigInteger, Column, Index, PrimaryKeyConstraint, Table, Text, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.invoice.balance import BalanceTransaction
from meterline.store import schema
from meterline.store.identifier import uuid7
from meterline.store.page import Cursor, Page, Span, during, page
from meterline.store.row import load, values

balance_transaction = Table(
    "balance_transaction",
    schema.metadata,
    schema.environment(),
    schema.customer_id(),
    schema.public_id(),
    schema.sequence(),
    Column("customer", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("ending_balance", BigInteger, nullable=False),
    Column("type", Text, nullable=False),
    schema.instant("created", nullable=False),
    Column("description", Text),
    Column("invoice", Text),
    Column("credit_note", Text),
    schema.document("metadata"),
    PrimaryKeyConstraint("customer_id", "id"),
    Index("ix_balance_transaction_customer", "customer_id", "sequence"),
)


async def add(tx: AsyncConnection, new: BalanceTransaction) -> None:
    """Store a change of a customer's balance."""
    await tx.execute(insert(balance_transaction).values(values(new, balance_transaction, sequence=uuid7())))


async def save(tx: AsyncConnection, changed: BalanceTransaction) -> None:
    """Store new words about a change; its amounts never change."""
    await tx.execute(
        update(balance_transaction)
        .where(balance_transaction.c.customer_id == changed.customer_id, balance_transaction.c.id == changed.id)
        .values(values(changed, balance_transaction))
    )


async def find(tx: AsyncConnection, *, customer_id: UUID, id: str) -> BalanceTransaction | None:
    """One change of a customer's balance."""
    query = select(balance_transaction).where(
        balance_transaction.c.customer_id == customer_id, balance_transaction.c.id == id
    )
    row = (await tx.execute(query)).one_or_none()
    return None if row is None else load(BalanceTransaction, row)


async def listed(
    tx: AsyncConnection,
    *,
    customer_id: UUID,
    cursor: Cursor,
    invoice: str | None = None,
    created: Span | None = None,
) -> Page:
    """A page of the changes of a customer's balance, newest first."""
    scope = balance_transaction.c.customer_id == customer_id
    query = select(balance_transaction).where(scope, *during(balance_transaction.c.created, created))
    if invoice is not None:
        query = query.where(balance_transaction.c.invoice == invoice)
    return await page(tx, query, balance_transaction, kind="customer_balance_transaction", scope=scope, cursor=cursor)
