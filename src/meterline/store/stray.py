"""Events that were not counted: rejected for good, or parked until their cause is gone. None is dropped.

Telling the same event again finds its row again: it is counted there, with when it was first and last seen.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy import Column, Index, Integer, PrimaryKeyConstraint, Table, Text, select, text
from sqlalchemy.dialects.postgresql import UUID as UUID_COLUMN
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.store import schema
from meterline.store.identifier import public, uuid7
from meterline.store.page import Cursor, Page, page

stray_event = Table(
    "stray_event",
    schema.metadata,
    schema.environment(),
    Column("key16", UUID_COLUMN(as_uuid=True), nullable=False),
    schema.public_id(),
    schema.sequence(),
    Column("fate", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("field", Text),
    Column("origin", Text, nullable=False),
    Column("event_name", Text),
    Column("identifier", Text),
    Column("request_key", Text),
    schema.document("told"),
    schema.instant("received_at", nullable=False),
    schema.instant("last_seen", nullable=False),
    Column("seen", Integer, nullable=False),
    schema.instant("reported_at"),
    PrimaryKeyConstraint("environment", "key16"),
    Index("ix_stray_event_fate", "environment", "fate", "sequence"),
    Index("ix_stray_event_identifier", "environment", "identifier"),
    Index("ix_stray_event_unreported", "environment", postgresql_where=text("reported_at IS NULL")),
)
"""`told` is the event in our own JSON form; `received_at` is when it was first seen."""


class Stray(msgspec.Struct, frozen=True, gc=False):
    """One event that was not counted, and why. `told` is JSON.

    `customer` is whom it names, if anybody; kept within `told` alone.
    """

    environment: str
    key16: UUID
    fate: str
    code: str
    message: str
    field: str | None
    origin: str
    event_name: str | None
    identifier: str | None
    request_key: str | None
    told: str
    received_at: datetime
    customer: str | None = None


def storable(stray: Stray) -> Stray:
    """The event with the character zero, which no database keeps, shown as one that stands for what is unknown."""
    texts = {name: value for name in _TOLD if "\0" in (value := getattr(stray, name) or "")}
    if not texts:
        return stray
    return msgspec.structs.replace(stray, **{name: value.replace("\0", "\ufffd") for name, value in texts.items()})


_TOLD = ("message", "field", "event_name", "identifier", "request_key", "customer")
"""What is in the caller's words."""


async def record(
    connection: "asyncpg.Connection[asyncpg.Record]", strays: Sequence[Stray]
) -> dict[tuple[str, UUID], str]:
    """Keep them; those kept before are seen once more and show their latest reason. The ids, by environment and key."""
    rows = sorted({(s.environment, s.key16): s for s in strays}.values(), key=lambda s: (s.environment, s.key16.bytes))
    times: dict[tuple[str, UUID], int] = {}
    for stray in strays:
        times[stray.environment, stray.key16] = times.get((stray.environment, stray.key16), 0) + 1
    kept = await connection.fetch(
        """
        INSERT INTO stray_event AS s (environment, key16, id, sequence, fate, code, message, field, origin, event_name,
                                      identifier, request_key, told, received_at, last_seen, seen)
        SELECT environment, key16, id, sequence, fate, code, message, field, origin, event_name,
               identifier, request_key, told::jsonb, received_at, received_at, seen
        FROM unnest($1::text[], $2::uuid[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[],
                    $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::timestamptz[], $15::int[])
          AS n(environment, key16, id, sequence, fate, code, message, field, origin, event_name,
               identifier, request_key, told, received_at, seen)
        ON CONFLICT (environment, key16) DO UPDATE SET
          fate = excluded.fate, code = excluded.code, message = excluded.message, field = excluded.field,
          last_seen = greatest(s.last_seen, excluded.last_seen), seen = s.seen + excluded.seen
        RETURNING environment, key16, id
        """,
        [s.environment for s in rows],
        [s.key16 for s in rows],
        [public("stray") for _ in rows],
        [uuid7() for _ in rows],
        [s.fate for s in rows],
        [s.code for s in rows],
        [s.message for s in rows],
        [s.field for s in rows],
        [s.origin for s in rows],
        [s.event_name for s in rows],
        [s.identifier for s in rows],
        [s.request_key for s in rows],
        [s.told for s in rows],
        [s.received_at for s in rows],
        [times[s.environment, s.key16] for s in rows],
    )
    await _plan_reports(connection, sorted({s.environment for s in rows}), rows[0].received_at)
    return {(row["environment"], row["key16"]): row["id"] for row in kept}


async def listed(
    tx: AsyncConnection,
    environment: str,
    cursor: Cursor,
    *,
    fate: str,
    code: str | None = None,
    event_name: str | None = None,
) -> Page:
    """A page of stray events, newest first."""
    scope = stray_event.c.environment == environment
    query = select(stray_event).where(scope, stray_event.c.fate == fate)
    if code is not None:
        query = query.where(stray_event.c.code == code)
    if event_name is not None:
        query = query.where(stray_event.c.event_name == event_name)
    return await page(tx, query, stray_event, kind="stray event", scope=scope, cursor=cursor)


async def summary(tx: AsyncConnection, environment: str, *, fate: str) -> list[dict[str, Any]]:
    """Stray events by reason and event name: how many, first and last seen, a sample of ids. Most frequent first."""
    rows = await tx.exec_driver_sql(
        """
        SELECT code, event_name, count(*) AS events, sum(seen)::bigint AS seen, min(received_at) AS first_seen,
               max(last_seen) AS last_seen, (array_agg(message ORDER BY sequence DESC))[1] AS message,
               (array_agg(id ORDER BY sequence DESC))[1:3] AS sample
        FROM stray_event WHERE environment = $1 AND fate = $2
        GROUP BY code, event_name ORDER BY events DESC, code, event_name
        """,
        (environment, fate),
    )
    return [dict(row) for row in rows.mappings()]


class Parked(msgspec.Struct, frozen=True):
    """A parked event that is about to be tried again."""

    key16: UUID
    told: str
    identifier: str | None
    received_at: datetime
    code: str


async def claim_parked(
    connection: "asyncpg.Connection[asyncpg.Record]",
    *,
    environment: str,
    code: str | None,
    event_name: str | None,
    after: UUID | None,
    limit: int,
) -> tuple[list[Parked], UUID | None]:
    """Parked events in the order they came, after a position, locked; and the position of the last one."""
    rows = await connection.fetch(
        "SELECT key16, told::text, identifier, received_at, code, sequence FROM stray_event"
        " WHERE environment = $1 AND fate = 'parked' AND ($2::text IS NULL OR code = $2)"
        "   AND ($3::text IS NULL OR event_name = $3) AND ($4::uuid IS NULL OR sequence > $4)"
        " ORDER BY sequence LIMIT $5 FOR UPDATE SKIP LOCKED",
        environment,
        code,
        event_name,
        after,
        limit,
    )
    return [Parked(*tuple(row)[:5]) for row in rows], rows[-1]["sequence"] if rows else None


async def park_again(
    connection: "asyncpg.Connection[asyncpg.Record]", environment: str, reasons: Sequence[tuple[UUID, str, str]]
) -> None:
    """Events that were tried stay parked for another reason: their keys, with its code and message."""
    await connection.executemany(
        "UPDATE stray_event SET code = $3, message = $4 WHERE environment = $1 AND key16 = $2",
        [(environment, *each) for each in reasons],
    )


async def forget(connection: "asyncpg.Connection[asyncpg.Record]", environment: str, keys: Sequence[UUID]) -> None:
    """Drop events that are counted now."""
    await connection.execute(
        "DELETE FROM stray_event WHERE environment = $1 AND key16 = ANY($2::uuid[])", environment, list(keys)
    )


async def find(tx: AsyncConnection, environment: str, identifier: str) -> list[dict[str, Any]]:
    """The stray events told under an identifier."""
    query = select(stray_event).where(stray_event.c.environment == environment, stray_event.c.identifier == identifier)
    return [dict(row) for row in (await tx.execute(query)).mappings()]


class Unreported(msgspec.Struct, frozen=True):
    """A stray event that nobody was told about yet."""

    code: str
    message: str
    event_name: str | None
    identifier: str | None
    request_key: str | None
    received_at: datetime


REPORT = "usage_report"
REPORT_EVERY = timedelta(seconds=10)


async def _plan_reports(
    connection: "asyncpg.Connection[asyncpg.Record]", environments: Sequence[str], now: datetime
) -> None:
    """See to it that a worker tells of them, once per ten seconds and environment."""
    boundary = datetime.fromtimestamp(now.timestamp() // 10 * 10, UTC) + REPORT_EVERY
    await connection.execute(
        "INSERT INTO due (environment, customer_id, kind, subject, boundary, due_at, sequence, attempts)"
        " SELECT e, $2, $3, e, $4, $4, $5, 0 FROM unnest($1::text[]) AS e ON CONFLICT DO NOTHING",
        environments,
        UUID(int=0),
        REPORT,
        boundary,
        uuid7(),
    )


async def take_unreported(
    connection: "asyncpg.Connection[asyncpg.Record]", *, environment: str, now: datetime
) -> list[Unreported]:
    """The stray events not told about yet, oldest first, which from now on are."""
    rows = await connection.fetch(
        "UPDATE stray_event SET reported_at = $2 WHERE environment = $1 AND reported_at IS NULL"
        " RETURNING code, message, event_name, identifier, request_key, received_at",
        environment,
        now,
    )
    return sorted((Unreported(*row) for row in rows), key=lambda each: each.received_at)
