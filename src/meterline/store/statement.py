"""The statement of a processor's account, line by line."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import BigInteger, Column, Index, PrimaryKeyConstraint, Table, Text, UniqueConstraint, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.payment.statement import NOT_PAID_OUT, StatementLine
from meterline.store import schema
from meterline.store.kept import Kept
from meterline.store.page import Cursor, Page, Span
from meterline.store.row import load

KIND = "balance_transaction"

statement_line = Table(
    "statement_line",
    schema.metadata,
    schema.environment(),
    schema.customer_id(),
    schema.public_id(),
    schema.sequence(),
    Column("type", Text, nullable=False),
    Column("source", Text),
    Column("processor", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("fee", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    schema.instant("created", nullable=False),
    schema.instant("available_on", nullable=False),
    Column("reference", Text),
    Column("payout", Text),
    Column("paid_out", BigInteger, nullable=False),
    Column("description", Text),
    PrimaryKeyConstraint("customer_id", "id"),
    UniqueConstraint("customer_id", "processor", "reference", name="uq_statement_line_reference"),
    Index("ix_statement_line_sequence", "environment", "sequence"),
    Index("ix_statement_line_payout", "environment", "payout", "sequence"),
    Index("ix_statement_line_source", "environment", "source"),
    Index("ix_statement_line_reference", "environment", "processor", "reference"),
)

_lines = Kept(statement_line, StatementLine, KIND)
add, find, get, save = _lines.add, _lines.find, _lines.get, _lines.save


async def listed(
    tx: AsyncConnection,
    environment: str,
    cursor: Cursor,
    *,
    created: Span | None = None,
    currency: str | None = None,
    payout: str | None = None,
    source: str | None = None,
    type: str | None = None,
) -> Page:
    """A page of lines, newest first, narrowed by currency, payout, source or type."""
    return await _lines.listed(
        tx,
        environment,
        cursor,
        created=created,
        currency=currency,
        payout=payout,
        source=source,
        type=type,
    )


async def known(tx: AsyncConnection, environment: str, processor: str, references: Sequence[str]) -> set[str]:
    """Which of these lines of a processor are recorded already."""
    key = statement_line.c
    query = select(key.reference).where(
        key.environment == environment, key.processor == processor, key.reference.in_(references)
    )
    return {str(found) for found in await tx.scalars(query)}


async def lock_left(
    tx: AsyncConnection, environment: str, processor: str, currency: str, *, available_by: datetime | None = None
) -> list[StatementLine]:
    """The lines that have not gone to the bank, oldest first, locked; one payout at a time takes them."""
    key = statement_line.c
    query = select(statement_line).where(
        key.environment == environment,
        key.processor == processor,
        key.currency == currency,
        key.amount - key.fee != key.paid_out,
        key.type.notin_(NOT_PAID_OUT),
    )
    if available_by is not None:
        query = query.where(key.available_on <= available_by)
    rows = await tx.execute(query.order_by(key.sequence).with_for_update())
    return [load(StatementLine, row) for row in rows]


async def lock_by_reference(
    tx: AsyncConnection, environment: str, processor: str, references: Sequence[str]
) -> list[StatementLine]:
    """The lines that a processor knows by these names, oldest first, locked."""
    key = statement_line.c
    query = (
        select(statement_line)
        .where(key.environment == environment, key.processor == processor, key.reference.in_(references))
        .order_by(key.sequence)
    )
    return [load(StatementLine, row) for row in await tx.execute(query.with_for_update())]


async def lock_paid_by(tx: AsyncConnection, environment: str, payout: str) -> list[StatementLine]:
    """The lines that a payout brought to the bank, locked."""
    key = statement_line.c
    query = select(statement_line).where(
        key.environment == environment, key.payout == payout, key.type.notin_(NOT_PAID_OUT)
    )
    return [load(StatementLine, row) for row in await tx.execute(query.order_by(key.sequence).with_for_update())]


async def balances(tx: AsyncConnection, environment: str, *, now: datetime) -> list[tuple[str, int, int]]:
    """What is at the processors: (currency, available, pending), in minor units."""
    key = statement_line.c
    left = key.amount - key.fee - key.paid_out
    query = (
        select(
            key.currency,
            func.coalesce(func.sum(left).filter(key.available_on <= now), 0),
            func.coalesce(func.sum(left).filter(key.available_on > now), 0),
        )
        .where(key.environment == environment, key.type.notin_(NOT_PAID_OUT))
        .group_by(key.currency)
        .order_by(key.currency)
    )
    return [(str(row[0]), int(row[1]), int(row[2])) for row in await tx.execute(query)]


async def latest(tx: AsyncConnection, environment: str, processor: str) -> datetime | None:
    """When the newest recorded line was made; None before the first."""
    key = statement_line.c
    query = select(func.max(key.created)).where(key.environment == environment, key.processor == processor)
    found: datetime | None = await tx.scalar(query)
    return found
