"""What wallets were spent on by day: sums kept beside the books, so that a chart costs days and never events.

A row says what left a customer's wallet for the house on one day (of the business time, UTC) for one thing: a price,
where usage was debited by it, or the kind of cause (`fee`, `capture`, `subscription_fee`) of anything else.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TypeAlias
from uuid import UUID

from sqlalchemy import Column, Date, PrimaryKeyConstraint, Table, Text

from meterline.ledger.account import WALLET
from meterline.ledger.transaction import LedgerTransaction
from meterline.money import EXACT
from meterline.store import schema
from meterline.store.ledger import AMOUNT, Connection

wallet_spending = Table(
    "wallet_spending",
    schema.metadata,
    schema.environment(),
    schema.customer_id(),
    Column("asset", Text, nullable=False),
    Column("day", Date, nullable=False),
    Column("spent_on", Text, nullable=False),
    Column("amount", AMOUNT, nullable=False),
    PrimaryKeyConstraint("customer_id", "asset", "day", "spent_on"),
    postgresql_with={"fillfactor": 50},
)

BY_EVENT = "event"
"""The cause of debits for usage: their fees say which price they were for, so they are counted from those."""

Part: TypeAlias = tuple[UUID, str, date, str, Decimal]
"""(customer, asset, day, spent on, amount)."""


def parts_of(customer_id: UUID, transaction: LedgerTransaction) -> Iterable[Part]:
    """What a transaction other than a debit for usage spends of the wallet; what it gives back is negative."""
    if transaction.cause.kind == BY_EVENT:
        return
    day = transaction.business_at.astimezone(UTC).date()
    for each in transaction.transfers:
        if each.debit.kind in WALLET and each.credit.kind == "revenue":
            yield customer_id, each.debit.asset, day, transaction.cause.kind, each.amount
        elif each.debit.kind == "revenue" and each.credit.kind in WALLET:
            yield customer_id, each.debit.asset, day, transaction.cause.kind, each.amount.copy_negate()


def sums(parts: Iterable[Part]) -> dict[tuple[UUID, str, date, str], Decimal]:
    """What the parts come to by (customer, asset, day, spent on), in that order; what cancels out is left out."""
    found: dict[tuple[UUID, str, date, str], Decimal] = {}
    for customer_id, asset, day, spent_on, amount in parts:
        key = (customer_id, asset, day, spent_on)
        known = found.get(key)
        found[key] = amount if known is None else EXACT.add(known, amount)
    return {key: found[key] for key in sorted(found) if found[key]}


async def add(connection: Connection, *, environment: str, parts: Iterable[Part]) -> None:
    """Count what was spent. Nobody else writes the rows of these customers meanwhile: their books are locked."""
    rows = [(*key, amount) for key, amount in sums(parts).items()]
    if rows:
        await connection.execute(_ADD, environment, *zip(*rows, strict=True))


_ADD = """
INSERT INTO wallet_spending AS spending (environment, customer_id, asset, day, spent_on, amount)
SELECT $1, * FROM unnest($2::uuid[], $3::text[], $4::date[], $5::text[], $6::numeric[])
ON CONFLICT (customer_id, asset, day, spent_on) DO UPDATE SET amount = spending.amount + excluded.amount
"""


@dataclass(frozen=True, slots=True)
class Spent:
    """What one day's spending on one thing came to, in major units of the asset."""

    asset: str
    day: date
    spent_on: str
    amount: Decimal


async def between(connection: Connection, customer_id: UUID, *, start: datetime, end: datetime) -> Sequence[Spent]:
    """A customer's spending by day, UTC, in the days from `start` until before `end`."""
    rows = await connection.fetch(
        "SELECT asset, day, spent_on, amount FROM wallet_spending"
        " WHERE customer_id = $1 AND day >= $2 AND day < $3 ORDER BY asset, day, spent_on",
        customer_id,
        start.astimezone(UTC).date(),
        end.astimezone(UTC).date(),
    )
    return [Spent(*row) for row in rows]
