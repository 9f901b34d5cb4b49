"""The history of customer balances. The balance itself is on the customer's row, changed in the same transaction."""

from uuid import UUID

from sqlalchemy import BigInteger, Column, Index, PrimaryKeyConstraint, Table, Text, select
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.invoice.balance import BalanceTransaction
from meterline.store import schema
from meterline.store.kept import Kept
from meterline.store.page import Cursor, Page, Span, during, page

KIND = "customer_balance_transaction"

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


_entries = Kept(balance_transaction, BalanceTransaction, KIND, param="transaction")
add, save, find = _entries.add, _entries.save, _entries.find


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
    return await page(tx, query, balance_transaction, kind=KIND, scope=scope, cursor=cursor)
