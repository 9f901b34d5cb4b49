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
from meterline.store.identifier import made_at
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
    Index("ix_wallet_event_id", "environment", "id"),
    Index("ix_wallet_event_environment", "environment", "sequence"),
)

_encode = msgspec.json.Encoder(decimal_format="number").encode
_decode = msgspec.json.Decoder(float_hook=Decimal).decode


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

    @property
    def received_at(self) -> datetime:
        """When it was told, by the wall clock, UTC: as its sequence says, to the millisecond."""
        return made_at(self.sequence)


_COLUMNS = (
    "id, sequence, event_type, subject, description, occurred_at, data::text AS data, costs::text AS costs,"
    " receipt::text AS receipt, asset, fee, cost"
)


async def keep(connection: Connection, *, environment: str, customer_id: UUID, events: Sequence[WalletEvent]) -> None:
    """Keep them; what was kept before stays as it was, unless it was parked."""
    rows = [
        (
            each.id,
            each.sequence,
            each.event_type,
            each.subject,
            each.description,
            each.occurred_at,
            _encode(each.data).decode(),
            _encode(each.costs).decode(),
            _encode(each.receipt).decode(),
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
        " ON CONFLICT (customer_id, id) DO UPDATE SET occurred_at = excluded.occurred_at,"
        " receipt = excluded.receipt, asset = excluded.asset, fee = excluded.fee"
        " WHERE wallet_event.receipt->>'status' = 'parked'",
        environment,
        customer_id,
        *zip(*rows, strict=True),
    )


async def settle(connection: Connection, customer_id: UUID, settled: Sequence[WalletEvent]) -> None:
    """What was parked is counted: when it happened, what it came to, and the receipt that says so."""
    rows = [
        (each.id, each.occurred_at, _encode(each.receipt).decode(), each.asset, each.fee)
        for each in sorted(settled, key=lambda each: each.id)
    ]
    await connection.executemany(
        "UPDATE wallet_event SET occurred_at = $3, receipt = $4::text::jsonb, asset = $5, fee = $6"
        " WHERE customer_id = $1 AND id = $2",
        [(customer_id, *row) for row in rows],
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What a list of events is narrowed to. `until` is not part of the period."""

    customer_id: UUID | None = None
    id: str | None = None
    subject: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    types: Sequence[str] | None = None
    has_fees: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPage:
    """Some events with their customers, newest first; how many there are in all, older ones, and newer ones."""

    events: list[tuple[UUID, WalletEvent]]
    count: int
    more: bool
    earlier: bool


_WANTED = (
    " FROM wallet_event WHERE environment = $1 AND ($2::uuid IS NULL OR customer_id = $2)"
    " AND ($3::text IS NULL OR id = $3) AND ($4::text IS NULL OR subject = $4)"
    " AND ($5::timestamptz IS NULL OR occurred_at >= $5) AND ($6::timestamptz IS NULL OR occurred_at < $6)"
    " AND ($7::text[] IS NULL OR event_type = ANY($7))"
    " AND ($8::bool IS NULL OR (coalesce(jsonb_array_length(receipt->'fees'), 0) > 0) = $8)"
)


async def listed(
    connection: Connection,
    environment: str,
    wanted: Filter,
    *,
    older_than: UUID | None,
    newer_than: UUID | None,
    offset: int,
    limit: int,
) -> EventPage:
    """Events, newest first: by offset, or those next to the one of that sequence."""
    scope = (
        environment,
        wanted.customer_id,
        wanted.id,
        wanted.subject,
        wanted.since,
        wanted.until,
        wanted.types,
        wanted.has_fees,
    )
    count = await connection.fetchval(f"SELECT count(*){_WANTED}", *scope)
    order = "DESC" if newer_than is None else "ASC"
    rows = await connection.fetch(
        f"SELECT customer_id, {_COLUMNS}{_WANTED} AND ($9::uuid IS NULL OR sequence < $9)"
        f" AND ($10::uuid IS NULL OR sequence > $10) ORDER BY sequence {order} OFFSET $11 LIMIT $12",
        *scope,
        older_than,
        newer_than,
        offset,
        limit + 1,
    )
    found = [(row["customer_id"], _load(row)) for row in rows[:limit]]
    beyond = len(rows) > limit
    if newer_than is not None:
        return EventPage(events=found[::-1], count=count, more=True, earlier=beyond)
    return EventPage(events=found, count=count, more=beyond, earlier=offset > 0 or older_than is not None)


async def fitting(
    connection: Connection,
    customer_id: UUID,
    *,
    ids: Sequence[str] | None,
    subject: str | None,
    event_type: str | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
) -> list[tuple[str, datetime]]:
    """The ids of a customer's events that fit everything that is said, and when they happened, earliest first."""
    rows = await connection.fetch(
        "SELECT id, occurred_at FROM wallet_event WHERE customer_id = $1 AND ($2::text[] IS NULL OR id = ANY($2))"
        " AND ($3::text IS NULL OR subject = $3) AND ($4::text IS NULL OR event_type = $4)"
        " AND ($5::timestamptz IS NULL OR occurred_at >= $5) AND ($6::timestamptz IS NULL OR occurred_at < $6)"
        " ORDER BY occurred_at, id LIMIT $7",
        customer_id,
        None if ids is None else list(ids),
        subject,
        event_type,
        since,
        until,
        limit,
    )
    return [(row[0], row[1]) for row in rows]


def _load(row: asyncpg.Record) -> WalletEvent:
    nested = {name: _decode(row[name]) for name in ("data", "costs", "receipt")}
    plain = {name: value for name, value in row.items() if name != "customer_id"}
    return WalletEvent(**(plain | nested))
