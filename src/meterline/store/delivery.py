"""Deliveries: one notice on its way to one endpoint, and the log of every attempt.

Publishing gives new notices their `position` and makes the deliveries of endpoints that want them, in one
transaction under one row lock. A delivery is `pending` until it is `delivered`, has `failed` for good, or is
`withdrawn` because its endpoint was deleted. Claiming a delivery moves its `due_at` to the end of a lease, so
one whose worker died comes up again by itself. Of one object only the earliest pending delivery to an endpoint
can be claimed: that is the order that endpoints are promised.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

import asyncpg
from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    Update,
    func,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.notice.topic import TOPICS
from meterline.store import schema
from meterline.store.notice import CHANNEL, Notice, notice
from meterline.store.page import Cursor, Page, page
from meterline.store.row import load, values

PUBLISHED = "meterline_published"
"""The channel that hints at newly published notices."""

Status = Literal["pending", "delivered", "failed", "withdrawn"]

delivery = Table(
    "delivery",
    schema.metadata,
    schema.environment(),
    Column("endpoint", Text, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("notice", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    Column("object_sequence", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    schema.instant("due_at", nullable=False),
    schema.instant("settled_at"),
    PrimaryKeyConstraint("endpoint", "position"),
    Index("ix_delivery_due", "endpoint", "due_at", "position", postgresql_where=text("status = 'pending'")),
    Index(
        "ix_delivery_order",
        "endpoint",
        "object_id",
        "object_sequence",
        postgresql_where=text("status = 'pending'"),
    ),
    Index("ix_delivery_position", "position"),
)

delivery_attempt = Table(
    "delivery_attempt",
    schema.metadata,
    schema.environment(),
    schema.public_id(),
    schema.sequence(),
    Column("endpoint", Text, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("notice", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    schema.instant("started_at", nullable=False),
    Column("duration_ms", Integer, nullable=False),
    Column("url", Text, nullable=False),
    schema.document("request_headers"),
    Column("request_body", Text, nullable=False),
    Column("response_status", Integer),
    Column("response_headers", JSONB(none_as_null=True)),
    Column("response_body", Text),
    Column("error", Text),
    PrimaryKeyConstraint("endpoint", "position", "sequence"),
    Index("ix_delivery_attempt_sequence", "environment", "endpoint", "sequence"),
    Index("ix_delivery_attempt_notice", "environment", "notice"),
    Index("ix_delivery_attempt_position", "position"),
)

publisher = Table(
    "publisher",
    schema.metadata,
    Column("one", SmallInteger, nullable=False, autoincrement=False),
    Column("position", BigInteger, nullable=False),
    PrimaryKeyConstraint("one"),
)

_PUBLISH = """
WITH fresh AS (
    SELECT lane, sequence, $1 + row_number() OVER (ORDER BY recorded_at, sequence) AS position
    FROM (SELECT lane, sequence, recorded_at FROM notice WHERE position IS NULL
          ORDER BY recorded_at, sequence LIMIT $2) AS waiting
), told AS (
    UPDATE notice SET position = fresh.position FROM fresh
    WHERE notice.lane = fresh.lane AND notice.sequence = fresh.sequence
    RETURNING notice.environment, notice.id, notice.type, notice.object_id, notice.object_sequence,
        notice.position, notice.recorded_at, notice.snapshot
), sent AS (
    INSERT INTO delivery (environment, endpoint, position, notice, object_id, object_sequence, status,
        attempts, due_at)
    SELECT told.environment, wanting.id, told.position, told.id, told.object_id, told.object_sequence,
        'pending', 0, $3
    FROM told JOIN webhook_endpoint AS wanting ON wanting.environment = told.environment
    WHERE wanting.status = 'enabled' AND told.recorded_at >= wanting.created - interval '5 seconds' AND CASE
        WHEN told.type = 'v2.core.event_destination.ping' THEN wanting.id = told.object_id
        WHEN told.type = 'v2.core.webhook.test' THEN wanting.payload = 'wallet' AND (wanting.id = told.object_id
            OR (told.object_id = 'webhooks' AND wanting.enabled_events ?| ARRAY['*', told.snapshot->>'topic']))
        WHEN wanting.payload = 'wallet'
            THEN told.type = ANY($4) AND wanting.enabled_events ?| ARRAY['*', told.type]
        WHEN wanting.payload = 'thin'
            THEN wanting.enabled_events ?| ARRAY['*', told.type, 'v1.' || told.type]
        ELSE wanting.enabled_events ?| ARRAY['*', told.type] AND told.type !~ '^v[12][.]' END
)
SELECT count(*) AS count, coalesce(max(position), $1) AS position FROM told
"""

_CLAIM = """
WITH ready AS (
    SELECT waiting.endpoint, waiting.position FROM delivery AS waiting
    WHERE waiting.endpoint = $1 AND waiting.status = 'pending' AND waiting.due_at <= $2
      AND NOT EXISTS (
        SELECT FROM delivery AS earlier
        WHERE earlier.endpoint = waiting.endpoint AND earlier.object_id = waiting.object_id
          AND earlier.object_sequence < waiting.object_sequence AND earlier.status = 'pending')
    ORDER BY waiting.due_at, waiting.position LIMIT $3
    FOR UPDATE SKIP LOCKED
)
UPDATE delivery SET due_at = $4, attempts = attempts + 1 FROM ready
WHERE delivery.endpoint = ready.endpoint AND delivery.position = ready.position
RETURNING delivery.*
"""

_ENDPOINTS_WITH_WORK = """
SELECT environment, id FROM webhook_endpoint AS serving
WHERE status = 'enabled' AND EXISTS (
    SELECT FROM delivery WHERE endpoint = serving.id AND status = 'pending' AND due_at <= $1)
"""

_REPLAY = """
INSERT INTO delivery AS known (environment, endpoint, position, notice, object_id, object_sequence, status,
    attempts, due_at)
SELECT environment, $2, position, id, object_id, object_sequence, 'pending', 0, $3
FROM notice
WHERE environment = $1 AND position IS NOT NULL AND recorded_at >= $4 AND recorded_at < $5
  AND ($6::text[] IS NULL OR type = ANY($6))
ON CONFLICT (endpoint, position) DO UPDATE
SET status = 'pending', attempts = 0, due_at = $3, settled_at = NULL
"""

_PURGE = """
DELETE FROM notice WHERE (lane, sequence) IN (
    SELECT lane, sequence FROM notice AS old
    WHERE position IS NOT NULL AND recorded_at < $1 AND NOT EXISTS (
        SELECT FROM delivery WHERE delivery.position = old.position AND delivery.status = 'pending')
    ORDER BY recorded_at LIMIT $2)
RETURNING position
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One notice (`position`, its public id in `notice`) on its way to one endpoint.

    `due_at` is the next attempt, or the end of the claim of the attempt under way.
    """

    environment: str
    endpoint: str
    position: int
    notice: str
    object_id: str
    object_sequence: int
    status: Status
    attempts: int
    due_at: datetime
    settled_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What was sent and what came back; bodies are cut to a bound. `error` is why nothing came back."""

    environment: str
    id: str
    sequence: UUID
    endpoint: str
    position: int
    notice: str
    attempt: int
    started_at: datetime
    duration_ms: int
    url: str
    request_headers: Mapping[str, str]
    request_body: str
    response_status: int | None
    response_headers: Mapping[str, str] | None
    response_body: str | None
    error: str | None

    @property
    def acknowledged(self) -> bool:
        """Any 2xx answer means that the endpoint has the notice."""
        return self.response_status is not None and 200 <= self.response_status < 300


async def publish(connection: "asyncpg.Connection[asyncpg.Record]", *, now: datetime, limit: int) -> int:
    """Publish up to `limit` waiting notices, earliest first; how many. Zero when another worker is at it."""
    async with connection.transaction():
        await connection.execute("INSERT INTO publisher VALUES (1, 0) ON CONFLICT DO NOTHING")
        last = await connection.fetchval("SELECT position FROM publisher WHERE one = 1 FOR UPDATE SKIP LOCKED")
        if last is None:
            return 0
        done = await connection.fetchrow(_PUBLISH, last, limit, now, list(TOPICS))
        assert done is not None
        if done["count"]:
            await connection.execute("UPDATE publisher SET position = $1 WHERE one = 1", done["position"])
            await connection.execute("SELECT pg_notify($1, '')", PUBLISHED)
        return int(done["count"])


async def endpoints_with_work(
    connection: "asyncpg.Connection[asyncpg.Record]", *, now: datetime
) -> list[tuple[str, str]]:
    """The (environment, id) of enabled endpoints that have a delivery due."""
    return [(found["environment"], found["id"]) for found in await connection.fetch(_ENDPOINTS_WITH_WORK, now)]


async def claim(
    connection: "asyncpg.Connection[asyncpg.Record]",
    *,
    endpoint: str,
    now: datetime,
    lease: timedelta,
    limit: int,
) -> list[Delivery]:
    """Take up to `limit` deliveries of an endpoint that are due and first of their objects."""
    rows = await connection.fetch(_CLAIM, endpoint, now, limit, now + lease)
    return sorted((load(Delivery, dict(found)) for found in rows), key=lambda each: each.position)


async def record(
    tx: AsyncConnection, outcomes: Sequence[tuple[Delivery, Attempt, datetime | None]], *, now: datetime
) -> None:
    """Log attempts at one endpoint and move their deliveries: delivered, due again, or (null) failed for good.

    An attempt that outlived its claim changes nothing but the log, unless it was acknowledged.
    """
    if not outcomes:
        return
    await tx.execute(delivery_attempt.insert(), [values(attempt, delivery_attempt) for _, attempt, _ in outcomes])
    endpoint = outcomes[0][0].endpoint
    reached = [claimed.position for claimed, attempt, _ in outcomes if attempt.acknowledged]
    if reached:
        these = (delivery.c.endpoint == endpoint, delivery.c.position.in_(reached))
        change = update(delivery).where(*these, delivery.c.status != "delivered")
        await tx.execute(change.values(status="delivered", settled_at=now))
    for claimed, attempt, retry_at in outcomes:
        if not attempt.acknowledged:
            await tx.execute(_failed(claimed, retry_at, now))


def _failed(claimed: Delivery, retry_at: datetime | None, now: datetime) -> Update:
    change = update(delivery).where(
        delivery.c.endpoint == claimed.endpoint,
        delivery.c.position == claimed.position,
        delivery.c.status == "pending",
        delivery.c.attempts == claimed.attempts,
    )
    return change.values(status="failed", settled_at=now) if retry_at is None else change.values(due_at=retry_at)


async def notices(tx: AsyncConnection, positions: Sequence[int]) -> dict[int, Notice]:
    """The published notices at those positions."""
    found = await tx.execute(select(notice).where(notice.c.position.in_(positions)))
    return {each.position: load(Notice, each) for each in found}


async def pending(tx: AsyncConnection, positions: Sequence[int]) -> dict[int, int]:
    """How many endpoints have not acknowledged the notice at each position yet (given up ones included)."""
    unsettled = delivery.c.status.in_(("pending", "failed"))
    found = await tx.execute(
        select(delivery.c.position, func.count().label("waiting"))
        .where(delivery.c.position.in_(positions), unsettled)
        .group_by(delivery.c.position)
    )
    return {each.position: each.waiting for each in found}


async def withdraw(tx: AsyncConnection, *, endpoint: str, now: datetime) -> None:
    """The endpoint is deleted: nothing more is sent to it."""
    waiting = (delivery.c.endpoint == endpoint, delivery.c.status == "pending")
    await tx.execute(update(delivery).where(*waiting).values(status="withdrawn", settled_at=now))


async def resend(tx: AsyncConnection, *, endpoint: str, told: Notice, now: datetime) -> None:
    """Send one published notice to an endpoint again, or for the first time, with all attempts before it."""
    assert told.position is not None
    row = {
        "environment": told.environment,
        "endpoint": endpoint,
        "position": told.position,
        "notice": told.id,
        "object_id": told.object_id,
        "object_sequence": told.object_sequence,
        "status": "pending",
        "attempts": 0,
        "due_at": now,
    }
    again = {"status": "pending", "attempts": 0, "due_at": now, "settled_at": None}
    statement = insert(delivery).values(row)
    await tx.execute(statement.on_conflict_do_update(index_elements=["endpoint", "position"], set_=again))
    await kick(tx)


async def replay(
    tx: AsyncConnection,
    *,
    environment: str,
    endpoint: str,
    since: datetime,
    until: datetime,
    types: Sequence[str] | None,
    now: datetime,
) -> int:
    """Send every notice recorded in `[since, until)` to an endpoint again, in order; how many.

    `types` limits it (null: all types). Instants are of the wall clock, UTC.
    """
    wanted = None if types is None else list(types)
    done = await tx.exec_driver_sql(_REPLAY, (environment, endpoint, now, since, until, wanted))
    await kick(tx)
    return done.rowcount


async def kick(tx: AsyncConnection) -> None:
    """Hint to the workers, when this transaction commits, that there is something to send."""
    await tx.execute(select(func.pg_notify(CHANNEL, "")))


async def listed(
    tx: AsyncConnection, environment: str, endpoint: str, *, status: str | None, limit: int, before: int | None
) -> list[Delivery]:
    """Deliveries of an endpoint, newest notice first; `before` is the position to page on from."""
    query = select(delivery).where(delivery.c.environment == environment, delivery.c.endpoint == endpoint)
    if status is not None:
        query = query.where(delivery.c.status == status)
    if before is not None:
        query = query.where(delivery.c.position < before)
    found = await tx.execute(query.order_by(delivery.c.position.desc()).limit(limit))
    return [load(Delivery, each) for each in found]


async def attempts(
    tx: AsyncConnection,
    environment: str,
    cursor: Cursor,
    *,
    endpoint: str | None = None,
    notice_id: str | None = None,
) -> Page:
    """A page of the delivery log, newest first."""
    scope = delivery_attempt.c.environment == environment
    query = select(delivery_attempt).where(scope)
    if endpoint is not None:
        query = query.where(delivery_attempt.c.endpoint == endpoint)
    if notice_id is not None:
        query = query.where(delivery_attempt.c.notice == notice_id)
    return await page(tx, query, delivery_attempt, kind="delivery attempt", scope=scope, cursor=cursor)


async def purge(connection: "asyncpg.Connection[asyncpg.Record]", *, before: datetime, limit: int) -> int:
    """Forget up to `limit` notices recorded before an instant, with their deliveries and log; how many.

    Notices still waiting to be published or delivered are kept.
    """
    async with connection.transaction():
        gone = await connection.fetch(_PURGE, before, limit)
        positions = [found["position"] for found in gone]
        await connection.execute("DELETE FROM delivery_attempt WHERE position = ANY($1)", positions)
        await connection.execute("DELETE FROM delivery WHERE position = ANY($1)", positions)
    return len(positions)
