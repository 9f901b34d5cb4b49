"""The outbox: every change of an object is told by a row written in the transaction that made the change.

A notice holds the object as plain data (the frozen dataclass, field by field) and, for a change, what it was
before. How it looks to an API client is decided when it is read, so one notice serves every API version.

Two orders matter. `object_sequence` counts the notices of one object without gaps: it is taken under a row
lock that the writing transaction keeps until it commits, so a later number was committed later. `position`
counts all published notices: it is null until the worker publishes the row (and makes its deliveries), so a
reader that remembers the last position it saw never misses a transaction that committed late.
"""

import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Index,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    not_,
    or_,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import UUID as UUID_COLUMN
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.refusal import Missing
from meterline.store import schema
from meterline.store.database import driver
from meterline.store.identifier import public, uuid7
from meterline.store.page import Cursor, Page, page
from meterline.store.row import load
from meterline.store.side_by_side import write_last

_encoder = msgspec.json.Encoder()

LANES = 16
CHANNEL = "meterline_notice"

notice = Table(
    "notice",
    schema.metadata,
    Column("lane", SmallInteger, nullable=False),
    schema.sequence(),
    schema.environment(),
    schema.public_id(),
    Column("customer_id", UUID_COLUMN(as_uuid=True)),
    Column("type", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    Column("object_sequence", BigInteger, nullable=False),
    schema.document("snapshot"),
    Column("previous", JSONB(none_as_null=True)),
    schema.instant("created", nullable=False),
    schema.instant("recorded_at", nullable=False),
    Column("request_id", Text),
    Column("idempotency_key", Text),
    Column("position", BigInteger),
    PrimaryKeyConstraint("lane", "sequence"),
    UniqueConstraint("lane", "environment", "object_id", "object_sequence"),
    Index("ix_notice_sequence", "environment", "sequence"),
    Index("ix_notice_id", "environment", "id"),
    Index("ix_notice_object", "environment", "object_id", "object_sequence"),
    Index("ix_notice_recorded", "recorded_at"),
    Index("ix_notice_position", "position", postgresql_where=text("position IS NOT NULL")),
    Index("ix_notice_unpublished", "recorded_at", "sequence", postgresql_where=text("position IS NULL")),
)

notice_object = Table(
    "notice_object",
    schema.metadata,
    Column("lane", SmallInteger, nullable=False),
    schema.environment(),
    Column("object_id", Text, nullable=False),
    Column("last", BigInteger, nullable=False),
    PrimaryKeyConstraint("lane", "environment", "object_id"),
)

_NEXT = "ON CONFLICT (lane, environment, object_id) DO UPDATE SET last = known.last + 1"
_FIRST = "ON CONFLICT (lane, environment, object_id) DO NOTHING"


def _adding(on_conflict: str) -> str:
    return f"""
WITH counter AS (
    INSERT INTO notice_object AS known (lane, environment, object_id, last) VALUES ($1, $2, $3, 1)
    {on_conflict}
    RETURNING last
)
INSERT INTO notice (lane, environment, object_id, object_sequence, sequence, id, customer_id, type, kind,
    snapshot, previous, created, recorded_at, request_id, idempotency_key)
SELECT $1, $2, $3, counter.last, $4, $5, $6, $7, $8, $9::jsonb, $10::jsonb, $11, clock_timestamp(), $12, $13
FROM counter
RETURNING pg_notify('{CHANNEL}', '')
"""


_ADD = _adding(_NEXT)
_ADD_ONCE = _adding(_FIRST)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A notice as it was recorded. `kind` names the dataclass that `snapshot` and `previous` are made of.

    `created` is the time of the change as its customer lives it, `recorded_at` the wall clock's, both UTC.
    `position` is null until the notice is published.
    """

    lane: int
    sequence: UUID
    environment: str
    id: str
    customer_id: UUID | None
    type: str
    kind: str
    object_id: str
    object_sequence: int
    snapshot: Mapping[str, Any]
    previous: Mapping[str, Any] | None
    created: datetime
    recorded_at: datetime
    request_id: str | None
    idempotency_key: str | None
    position: int | None


class Subject(Protocol):
    """What a notice can be about: a frozen dataclass that knows its public id."""

    @property
    def id(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """The API request that brought a change about."""

    request_id: str
    idempotency_key: str | None


cause: ContextVar[Cause | None] = ContextVar("cause", default=None)
"""Set by the door for the length of a request; unset where the system acts by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One thing to tell: made by the decision, written by `add` or `add_all`.

    `object_id` orders the notices of one object; it is the subject's id unless the subject has none.
    `now` is the time of the change as its customer lives it, UTC.
    """

    environment: str
    customer_id: UUID | None
    type: str
    subject: object
    object_id: str
    previous: object | None = None
    now: datetime

    @property
    def changes_something(self) -> bool:
        """False when the object is as it was before."""
        return self.previous is None or self.subject != self.previous


async def add(
    tx: AsyncConnection,
    *,
    environment: str,
    customer_id: UUID | None,
    type: str,
    subject: Subject,
    previous: Subject | None = None,
    now: datetime,
) -> str | None:
    """Tell a change in the transaction that makes it; the new notice's id.

    `subject` is the complete aggregate after the change, `previous` the same before it (for `*.updated`).
    Writes nothing and returns None when they are equal. `now` is the customer's time, UTC.
    """
    fact = Fact(
        environment=environment,
        customer_id=customer_id,
        type=type,
        subject=subject,
        object_id=subject.id,
        previous=previous,
        now=now,
    )
    if not fact.changes_something:
        return None
    [id] = await add_several(tx, [fact])
    return id


async def add_several(tx: AsyncConnection, facts: Iterable[Fact]) -> list[str]:
    """Tell what changes something, in the order given; the ids of the new notices."""
    rows = _all_values([fact for fact in facts if fact.changes_something])
    await write_last(_add_each, tx, rows)
    return [str(row[4]) for row in rows]


# Sorted before `clock_timestamp()` is read, so that they are published in the order in which they were told.
_ADD_EACH = f"""
WITH told AS (
    SELECT *, row_number() OVER same AS place, count(*) OVER (PARTITION BY lane, environment, object_id) AS times
    FROM unnest($1::int2[], $2::text[], $3::text[], $4::uuid[], $5::text[], $6::uuid[], $7::text[], $8::text[],
        $9::text[], $10::text[], $11::timestamptz[], $12::text[], $13::text[]) WITH ORDINALITY
        AS told (lane, environment, object_id, sequence, id, customer_id, type, kind, snapshot, previous, created,
            request_id, idempotency_key, n)
    WINDOW same AS (PARTITION BY lane, environment, object_id ORDER BY n)
), counter AS (
    INSERT INTO notice_object AS known (lane, environment, object_id, last)
    SELECT lane, environment, object_id, times FROM told WHERE place = 1 ORDER BY lane, environment, object_id
    ON CONFLICT (lane, environment, object_id) DO UPDATE SET last = known.last + excluded.last
    RETURNING lane, environment, object_id, last
), added AS (
    INSERT INTO notice (lane, environment, object_id, object_sequence, sequence, id, customer_id, type, kind,
        snapshot, previous, created, recorded_at, request_id, idempotency_key)
    SELECT lane, environment, object_id, counter.last - told.times + told.place, sequence, id, customer_id, type, kind,
        snapshot::jsonb, previous::jsonb, created, clock_timestamp(), request_id, idempotency_key
    FROM told JOIN counter USING (lane, environment, object_id)
    ORDER BY n
)
SELECT pg_notify('{CHANNEL}', '')
"""


MOST_AT_ONCE = 4_000_000
"""Characters in one statement."""


async def _add_each(tx: AsyncConnection, new: Sequence[Sequence[tuple[object, ...]]]) -> list[None]:
    for rows in _written_at_once(row for each in new for row in each):
        await (await driver(tx)).execute(_ADD_EACH, *zip(*rows, strict=True))
    return [None] * len(new)


def _written_at_once(rows: Iterable[tuple[object, ...]]) -> Iterator[list[tuple[object, ...]]]:
    """The rows in order, as many as are not too long together; a chunk of due work may tell of long invoices."""
    some: list[tuple[object, ...]] = []
    length = 0
    for row in rows:
        some.append(row)
        length += sum(len(each) for each in row if isinstance(each, str))
        if length > MOST_AT_ONCE:
            yield some
            some, length = [], 0
    if some:
        yield some


async def add_all(connection: "asyncpg.Connection[asyncpg.Record]", facts: Iterable[Fact]) -> None:
    """As `add`, for many facts on a bare connection inside a transaction; rows are locked in key order."""
    real = sorted((fact for fact in facts if fact.changes_something), key=lambda fact: fact.object_id)
    if real:
        await connection.executemany(_ADD, _all_values(real))


async def add_once(connection: "asyncpg.Connection[asyncpg.Record]", facts: Iterable[Fact]) -> None:
    """As `add_all`, but of an object that was ever told of nothing more is told, whoever did it."""
    new = sorted(facts, key=lambda fact: fact.object_id)
    if new:
        await connection.executemany(_ADD_ONCE, _all_values(new))


def _all_values(facts: Sequence[Fact]) -> list[tuple[object, ...]]:
    """The rows of facts; an object that several of them are about is encoded once."""
    subjects = {id(each): each for fact in facts for each in (fact.subject, fact.previous) if each is not None}
    encoded = {key: _encoded(each) for key, each in subjects.items()}
    return [_values(fact, encoded) for fact in facts]


def _values(fact: Fact, encoded: Mapping[int, str]) -> tuple[object, ...]:
    why = cause.get()
    return (
        lane_of(fact.object_id),
        fact.environment,
        fact.object_id,
        uuid7(),
        public("evt"),
        fact.customer_id,
        fact.type,
        kind_of(type(fact.subject)),
        encoded[id(fact.subject)],
        None if fact.previous is None else encoded[id(fact.previous)],
        fact.now,
        None if why is None else why.request_id,
        None if why is None else why.idempotency_key,
    )


def _encoded(subject: object) -> str:
    return _encoder.encode(subject).decode()


def lane_of(object_id: str) -> int:
    """The lane that all notices of an object share."""
    return zlib.crc32(object_id.encode()) % LANES


_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")


def kind_of(cls: type) -> str:
    """The stored name of a dataclass: `TestClock` → `test_clock`."""
    return _CAPITAL.sub("_", cls.__name__).lower()


RETENTION = timedelta(days=30)
"""How long a notice can be listed, resent and replayed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What a list of notices is narrowed to. `types` may end in `*` (`invoice.*`).

    `snapshot` leaves out those that exist as thin events only. `delivered` True: every endpoint has it; False:
    some endpoint has not.
    """

    types: Sequence[str] | None = None
    object_id: str | None = None
    customer_id: UUID | None = None
    snapshot: bool = False
    delivered: bool | None = None
    bounds: Sequence[ColumnElement[bool]] = ()


_UNDELIVERED = (
    "EXISTS (SELECT FROM delivery WHERE delivery.position = notice.position"
    " AND delivery.status IN ('pending', 'failed'))"
)
_DELIVERED = f"notice.position IS NOT NULL AND NOT {_UNDELIVERED}"


async def find(tx: AsyncConnection, environment: str, id: str, *, now: datetime) -> Notice:
    """The notice of that id, if it is at most 30 days old. Raises Missing (the call's own subject)."""
    query = select(notice).where(
        notice.c.environment == environment, notice.c.id == id, notice.c.recorded_at >= now - RETENTION
    )
    found = (await tx.execute(query)).one_or_none()
    if found is None:
        raise Missing("event", id, param="id", subject=True)
    return load(Notice, found)


async def listed(tx: AsyncConnection, environment: str, cursor: Cursor, wanted: Filter, *, now: datetime) -> Page:
    """A page of notices of the last 30 days, newest first."""
    scope = (notice.c.environment == environment) & (notice.c.recorded_at >= now - RETENTION)
    query = select(notice).where(scope, *wanted.bounds)
    if wanted.types:
        query = query.where(or_(*(_of_type(each) for each in wanted.types)))
    if wanted.object_id is not None:
        query = query.where(notice.c.object_id == wanted.object_id)
    if wanted.customer_id is not None:
        query = query.where(notice.c.customer_id == wanted.customer_id)
    if wanted.snapshot:
        query = query.where(not_(notice.c.type.startswith("v1.")), not_(notice.c.type.startswith("v2.")))
    if wanted.delivered is not None:
        query = query.where(text(_DELIVERED if wanted.delivered else _UNDELIVERED))
    return await page(tx, query, notice, kind="event", scope=scope, cursor=cursor)


def _of_type(pattern: str) -> ColumnElement[bool]:
    if pattern.endswith("*"):
        return notice.c.type.startswith(pattern[:-1], autoescape=True)
    return notice.c.type == pattern


async def published(
    tx: AsyncConnection,
    environment: str,
    *,
    after: int,
    limit: int,
    customer_id: UUID | None = None,
) -> list[Notice]:
    """The notices published after a position, in order; of one customer, or of the whole environment."""
    query = select(notice).where(notice.c.environment == environment, notice.c.position > after)
    if customer_id is not None:
        query = query.where(notice.c.customer_id == customer_id)
    return [load(Notice, each) for each in await tx.execute(query.order_by(notice.c.position).limit(limit))]
