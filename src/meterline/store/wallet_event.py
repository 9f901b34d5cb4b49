"""Events as the wallet dialect told them: what they were about, what they cost the seller, what was answered."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy import Column, Index, PrimaryKeyConstraint, Table, Text

from meterline.store import schema
from meterline.store.ledger import AMOUNT, Connection

wallet_event = Table(
    "wallet_event",
    schema.metadata,
    schema.environment(),
    schema.customer_id(),
    schema.public_id(),
    schema.sequence(),
    Column("event_type", Text, nullable=False),
    Column("subject", Text),
    Column("description", Text),
    schema.instant("occurred_at", nullable=False),
    schema.document("data"),
    schema.document("costs"),
    schema.document("receipt"),
    Column("asset", Text),
    Column("fee", AMOUNT, nullable=False),
    Column("cost", AMOUNT, nullable=False),
    PrimaryKeyConstraint("customer_id", "id"),
    Index("ix_wallet_event_sequence", "customer_id", "sequence"),
    Index("ix_wallet_event_subject", "customer_id", "subject"),
)

vendor = Table(
    "vendor",
    schema.metadata,
    schema.environment(),
    schema.public_id(),
    schema.sequence(),
    Column("name", Text, nullable=False),
    Column("external_id", Text),
    schema.instant("created", nullable=False),
    PrimaryKeyConstraint("environment", "id"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletEvent:
    """One event as told. `fee` is what the wallet paid for it in `asset`, `cost` what the seller paid, in money.

    `receipt` is what was answered when it was first told.
    """

    id: str
    sequence: UUID
    event_type: str
    subject: str | None
    description: str | None
    occurred_at: datetime
    data: dict[str, Any]
    costs: list[dict[str, Any]]
    receipt: dict[str, Any]
    asset: str | None
    fee: Decimal
    cost: Decimal


_COLUMNS = (
    "id, sequence, event_type, subject, description, occurred_at, data::text AS data, costs::text AS costs,"
    " receipt::text AS receipt, asset, fee, cost"
)


async def keep(connection: Connection, *, environment: str, customer_id: UUID, events: Sequence[WalletEvent]) -> None:
    """Keep them; what was kept before stays as it was."""
    rows = [
        (
            each.id,
            each.sequence,
            each.event_type,
            each.subject,
            each.description,
            each.occurred_at,
            msgspec.json.encode(each.data).decode(),
            msgspec.json.encode(each.costs).decode(),
            msgspec.json.encode(each.receipt).decode(),
            each.asset,
            each.fee,
            each.cost,
        )
        for each in sorted(events, key=lambda each: each.id)
    ]
    if not rows:
        return
    await connection.execute(
        "INSERT INTO wallet_event (environment, customer_id, id, sequence, event_type, subject, description,"
        " occurred_at, data, costs, receipt, asset, fee, cost)"
        " SELECT $1, $2, id, sequence, event_type, subject, description, occurred_at, data::jsonb, costs::jsonb,"
        " receipt::jsonb, asset, fee, cost FROM unnest($3::text[], $4::uuid[], $5::text[], $6::text[], $7::text[],"
        " $8::timestamptz[], $9::text[], $10::text[], $11::text[], $12::text[], $13::numeric[], $14::numeric[])"
        " AS new (id, sequence, event_type, subject, description, occurred_at, data, costs, receipt, asset, fee, cost)"
        " ON CONFLICT DO NOTHING",
        environment,
        customer_id,
        *zip(*rows, strict=True),
    )


async def find(connection: Connection, customer_id: UUID, ids: Sequence[str]) -> dict[str, WalletEvent]:
    """The customer's events with those ids."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM wallet_event WHERE customer_id = $1 AND id = ANY($2::text[])", customer_id, list(ids)
    )
    return {row["id"]: _load(row) for row in rows}


async def anywhere(connection: Connection, environment: str, id: str) -> tuple[UUID, WalletEvent] | None:
    """An event by id alone, whoever's it is."""
    row = await connection.fetchrow(
        f"SELECT customer_id, {_COLUMNS} FROM wallet_event WHERE environment = $1 AND id = $2 LIMIT 1",
        environment,
        id,
    )
    return None if row is None else (row["customer_id"], _load(row))


async def listed(
    connection: Connection,
    customer_id: UUID,
    *,
    subject: str | None,
    since: datetime | None,
    until: datetime | None,
    before: UUID | None,
    limit: int,
) -> list[WalletEvent]:
    """A customer's events, newest first, of those told before `before`."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM wallet_event WHERE customer_id = $1 AND ($2::text IS NULL OR subject = $2)"
        " AND ($3::timestamptz IS NULL OR occurred_at >= $3) AND ($4::timestamptz IS NULL OR occurred_at < $4)"
        " AND ($5::uuid IS NULL OR sequence < $5) ORDER BY sequence DESC LIMIT $6",
        customer_id,
        subject,
        since,
        until,
        before,
        limit,
    )
    return [_load(row) for row in rows]


def _load(row: asyncpg.Record) -> WalletEvent:
    nested = {name: msgspec.json.decode(row[name]) for name in ("data", "costs", "receipt")}
    plain = {name: value for name, value in row.items() if name != "customer_id"}
    return WalletEvent(**(plain | nested))


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """What some events brought in and cost, per asset."""

    asset: str | None
    events: int
    revenue: Decimal
    cost: Decimal


async def margin(
    connection: Connection,
    environment: str,
    *,
    customer_id: UUID | None,
    subject: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[Margin]:
    """Revenue and cost of the events told by wallets: of everybody, a customer, or a task of a customer."""
    rows = await connection.fetch(
        "SELECT asset, count(*) AS events, sum(fee) AS revenue, sum(cost) AS cost FROM wallet_event"
        " WHERE environment = $1 AND ($2::uuid IS NULL OR customer_id = $2) AND ($3::text IS NULL OR subject = $3)"
        " AND ($4::timestamptz IS NULL OR occurred_at >= $4) AND ($5::timestamptz IS NULL OR occurred_at < $5)"
        " GROUP BY asset ORDER BY asset",
        environment,
        customer_id,
        subject,
        since,
        until,
    )
    return [Margin(**dict(row)) for row in rows]


async def cost_by_vendor(
    connection: Connection, environment: str, *, customer_id: UUID | None, subject: str | None = None
) -> list[tuple[str | None, str | None, Decimal]]:
    """What was paid to whom, for what: (vendor, category, amount)."""
    rows = await connection.fetch(
        "SELECT paid->>'vendor' AS vendor, paid->>'category' AS category, sum((paid->>'amount')::numeric) AS amount"
        " FROM wallet_event CROSS JOIN LATERAL jsonb_array_elements(costs) AS one (paid)"
        " WHERE environment = $1 AND ($2::uuid IS NULL OR customer_id = $2) AND ($3::text IS NULL OR subject = $3)"
        " GROUP BY 1, 2 ORDER BY 3 DESC",
        environment,
        customer_id,
        subject,
    )
    return [(row[0], row[1], row[2]) for row in rows]


async def add_vendor(
    connection: Connection, *, environment: str, id: str, sequence: UUID, name: str, external: str | None, now: datetime
) -> None:
    """Store a new vendor."""
    await connection.execute(
        "INSERT INTO vendor (environment, id, sequence, name, external_id, created) VALUES ($1, $2, $3, $4, $5, $6)",
        environment,
        id,
        sequence,
        name,
        external,
        now,
    )


async def vendors(connection: Connection, environment: str) -> list[dict[str, Any]]:
    """Every vendor, oldest first."""
    rows = await connection.fetch(
        "SELECT id, name, external_id, created FROM vendor WHERE environment = $1 ORDER BY sequence", environment
    )
    return [dict(row) for row in rows]
