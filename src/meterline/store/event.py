"""Usage events, and the identifiers that keep one from being counted twice.

Two constraints say what a duplicate is:
- `recent_identifier` (by UTC day of receipt): the same identifier within 24 hours of receipt, whatever the
  timestamps say. A claim made close to midnight is written to both days, and yesterday's claims are looked
  up by the exact 24 hours; transactions end long before the margin does, so no claim can slip between days.
- `usage_event`: the same identifier at the same timestamp, for as long as the event is kept.

An `Idempotency-Key` is claimed in the same table, under the environment's own id in place of a customer.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from hashlib import blake2b
from uuid import UUID

import asyncpg
import msgspec
from asyncpg.pgproto import pgproto
from sqlalchemy import Boolean, Column, Date, Index, Numeric, PrimaryKeyConstraint, Table, Text
from sqlalchemy.dialects.postgresql import UUID as UUID_COLUMN

from meterline.store import schema

WINDOW = timedelta(hours=24)
MIDNIGHT_MARGIN = timedelta(minutes=10)

usage_event = Table(
    "usage_event",
    schema.metadata,
    schema.customer_id(),
    schema.instant("occurred_at", nullable=False),
    Column("identifier16", UUID_COLUMN(as_uuid=True), nullable=False),
    schema.environment(),
    Column("meter", Text, nullable=False),
    Column("identifier", Text, nullable=False),
    Column("value", Numeric, nullable=False),
    Column("dimensions16", UUID_COLUMN(as_uuid=True), nullable=False),
    Column("value16", UUID_COLUMN(as_uuid=True)),
    Column("body16", UUID_COLUMN(as_uuid=True), nullable=False),
    schema.instant("received_at", nullable=False),
    schema.instant("voided_at"),
    Column("voided_by", Text),
    Column("made_by", Text),
    Column("through_stripe", Boolean, nullable=False, server_default="false"),
    PrimaryKeyConstraint("customer_id", "occurred_at", "identifier16"),
    postgresql_partition_by="RANGE (occurred_at)",
)
"""`value16` is the digest of the value of a meter that counts distinct ones. `voided_by` and `made_by` are the
corrections that took an event out of what counts, or put it in. `through_stripe` says that it came through one of
Stripe's routes, whose late usage no invoice bills."""

recent_identifier = Table(
    "recent_identifier",
    schema.metadata,
    schema.customer_id(),
    Column("identifier16", UUID_COLUMN(as_uuid=True), nullable=False),
    Column("day", Date, nullable=False),
    schema.instant("received_at", nullable=False),
    schema.instant("occurred_at", nullable=False),
    Column("body16", UUID_COLUMN(as_uuid=True), nullable=False),
    PrimaryKeyConstraint("customer_id", "identifier16", "day"),
    Index(
        "ix_recent_identifier_anyone",
        "identifier16",
        postgresql_using="brin",
        postgresql_ops={"identifier16": "uuid_bloom_ops (n_distinct_per_range = 3200, false_positive_rate = 0.001)"},
        postgresql_with={"pages_per_range": 32},
    ),
    postgresql_partition_by="RANGE (day)",
)
"""The filters (one for every 32 pages, made by VACUUM) find an identifier whoever's it is: a cancellation on Stripe's
route names no customer. Writing a claim costs them nothing."""


def uuid16(raw: bytes) -> UUID:
    """16 bytes in the form that the driver encodes fastest."""
    made: UUID = pgproto.UUID(raw)
    return made


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(at: datetime) -> int:
    """Microseconds since 1970, exact: an instant in the form that the driver encodes fastest, by some 1.5 µs each."""
    return (at - _EPOCH) // _MICROSECOND


def instant(column: str) -> str:
    """The SQL that makes an instant of a column of `micros`: exact, as seconds and what is over them are told apart.

    Multiplied as one number, microseconds are beyond what a float holds from the year 2255 on and before 1685.
    """
    seconds, rest = f"{column} / 1000000", f"{column} % 1000000"
    return f"'epoch'::timestamptz + {seconds} * interval '1 second' + {rest} * interval '1 microsecond'"


def digest16(text: str, *, of: bytes = b"") -> UUID:
    """16 bytes that stand for a text; `of` keeps kinds of text apart."""
    return uuid16(blake2b(text.encode(), digest_size=16, person=of).digest())


@cache
def key_owner(environment: str) -> UUID:
    """The id under which an environment's idempotency keys are claimed."""
    return digest16(environment, of=b"environment")


class NewEvent(msgspec.Struct, frozen=True, gc=False):
    """An event about to be stored; `dimensions` is canonical JSON.

    `key16` claims its Idempotency-Key, if it came with one.
    """

    customer_id: UUID
    occurred_at: datetime
    identifier16: UUID
    environment: str
    meter: str
    identifier: str
    value: Decimal
    dimensions16: UUID
    value16: UUID | None
    body16: UUID
    received_at: datetime
    dimensions: str | None = None
    key16: UUID | None = None
    key_body16: UUID | None = None
    through_stripe: bool = False


class Outcome(msgspec.Struct, frozen=True):
    """What became of a batch: positions of events that were not stored, and the catalog it met."""

    refused: list[int]
    versions: dict[str, int]


class Kept(msgspec.Struct, frozen=True):
    """What is stored under an identifier or a key that was claimed before."""

    received_at: datetime
    occurred_at: datetime
    body16: UUID


class Past(msgspec.Struct, frozen=True):
    """What stands in the way of an event: what its identifier and its key were claimed for."""

    event: Kept | None
    key: Kept | None


def days_of(received_at: datetime) -> tuple[list[date], date]:
    """The days that a claim received now is written to, and the day whose claims are looked up."""
    received_at = received_at.astimezone(UTC)
    today = received_at.date()
    before, after = (received_at - MIDNIGHT_MARGIN).date(), (received_at + MIDNIGHT_MARGIN).date()
    return sorted({before, today, after}), today - timedelta(days=1)


# ── storing a batch ─────────────────────────────────────────────────────────────────────────────────────

_INCOMING = f"""
WITH incoming AS (
  SELECT customer_id, {instant("occurred")} AS occurred_at, identifier16, environment, meter, identifier, value,
         dimensions16, value16, body16, {instant("received")} AS received_at, key_owner, key16, key_body16,
         through_stripe, n
  FROM unnest(
    $1::uuid[], $2::bigint[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::uuid[],
    $9::uuid[], $10::uuid[], $11::bigint[], $12::uuid[], $13::uuid[], $14::uuid[],
    $18::bool[]
  ) WITH ORDINALITY AS i(
    customer_id, occurred, identifier16, environment, meter, identifier, value, dimensions16,
    value16, body16, received, key_owner, key16, key_body16, through_stripe, n)
)"""

_KEY_CLAIMS = """
  UNION ALL
  SELECT key_owner, key16, received_at, occurred_at, key_body16 FROM incoming WHERE key16 IS NOT NULL"""

_KEY_HELD = """
    AND (i.key16 IS NULL OR ((i.key_owner, i.key16) IN (SELECT k.customer_id, k.identifier16 FROM held k)) IS TRUE)"""


@cache
def _store_statement(*, keyed: bool) -> str:
    """Claims, events and the versions in one round trip. Rows are written in key order: no deadlocks.

    The planner cannot know how many rows the arrays hold. So yesterday's claim is looked up by a scalar subquery,
    which stays an index probe per row, and `IN … IS TRUE` keeps the look-ups among the rows themselves hashed.
    A claim made just before midnight is in today's partition too; after 24 hours it is taken over.
    """
    return f"""{_INCOMING}, claims AS (
  SELECT customer_id, identifier16, received_at, occurred_at, body16 FROM incoming
  {_KEY_CLAIMS if keyed else ""}
), claimed AS (
  INSERT INTO recent_identifier AS r (customer_id, identifier16, day, received_at, occurred_at, body16)
  SELECT c.customer_id, c.identifier16, d.day, c.received_at, c.occurred_at, c.body16
  FROM claims c CROSS JOIN unnest($15::date[]) AS d(day)
  WHERE (SELECT true FROM recent_identifier y
         WHERE y.customer_id = c.customer_id AND y.identifier16 = c.identifier16 AND y.day = $16::date
           AND y.received_at > c.received_at - interval '24 hours') IS NULL
  ORDER BY c.customer_id, c.identifier16, d.day
  ON CONFLICT (customer_id, identifier16, day) DO UPDATE
  SET received_at = excluded.received_at, occurred_at = excluded.occurred_at, body16 = excluded.body16
  WHERE r.received_at <= excluded.received_at - interval '24 hours'
  RETURNING customer_id, identifier16
), held AS (
  SELECT customer_id, identifier16 FROM claimed
  GROUP BY customer_id, identifier16 HAVING count(*) = cardinality($15::date[])
), stored AS (
  INSERT INTO usage_event (customer_id, occurred_at, identifier16, environment, meter, identifier, value,
                           dimensions16, value16, body16, received_at, through_stripe)
  SELECT i.customer_id, i.occurred_at, i.identifier16, i.environment, i.meter, i.identifier,
         i.value::numeric, i.dimensions16, i.value16, i.body16, i.received_at, i.through_stripe
  FROM incoming i
  WHERE ((i.customer_id, i.identifier16) IN (SELECT h.customer_id, h.identifier16 FROM held h)) IS TRUE
  {_KEY_HELD if keyed else ""}
  ORDER BY i.n
  ON CONFLICT DO NOTHING
  RETURNING customer_id, identifier16
)
SELECT array(SELECT (i.n - 1)::int FROM incoming i
             WHERE (i.customer_id, i.identifier16) NOT IN (SELECT s.customer_id, s.identifier16 FROM stored s)),
       array(SELECT v.environment FROM catalog_version v WHERE v.environment = ANY($17::text[]) ORDER BY 1),
       array(SELECT v.version FROM catalog_version v WHERE v.environment = ANY($17::text[])
             ORDER BY v.environment)"""


async def store(
    connection: "asyncpg.Connection[asyncpg.Record]",
    events: Sequence[NewEvent],
    *,
    environments: Sequence[str],
) -> Outcome:
    """Store the events that are new; `events` are sorted by (customer, identifier16), each pair once.

    Runs inside the caller's transaction, in which nothing else was written before.
    """
    keyed = any(event.key16 is not None for event in events)
    days, yesterday = days_of(events[0].received_at)
    row = await connection.fetchrow(
        _store_statement(keyed=keyed),
        [e.customer_id for e in events],
        [micros(e.occurred_at) for e in events],
        [e.identifier16 for e in events],
        [e.environment for e in events],
        [e.meter for e in events],
        [e.identifier for e in events],
        [str(e.value) for e in events],
        [e.dimensions16 for e in events],
        [e.value16 for e in events],
        [e.body16 for e in events],
        [micros(e.received_at) for e in events],
        [key_owner(e.environment) for e in events] if keyed else [],
        [e.key16 for e in events] if keyed else [],
        [e.key_body16 for e in events] if keyed else [],
        days,
        yesterday,
        environments,
        [e.through_stripe for e in events],
    )
    assert row is not None
    return Outcome(refused=sorted(row[0]), versions=dict(zip(row[1], row[2], strict=True)))


# The event of that very timestamp is the one meant; else a claim of the last 24 hours, whatever was claimed before.
_PAST = """
SELECT i.n, p.received_at, p.occurred_at, p.body16
FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $5::timestamptz[])
  WITH ORDINALITY AS i(customer_id, identifier16, occurred_at, received_at, n)
CROSS JOIN LATERAL (
    SELECT r.received_at, r.occurred_at, r.body16,
           CASE WHEN r.received_at > i.received_at - interval '24 hours' THEN 1 ELSE 2 END AS rank
    FROM recent_identifier r
    WHERE r.customer_id = i.customer_id AND r.identifier16 = i.identifier16
      AND r.day BETWEEN $4::date AND $6::date
  UNION ALL
    SELECT e.received_at, e.occurred_at, e.body16, 0 FROM usage_event e
    WHERE e.customer_id = i.customer_id AND e.occurred_at = i.occurred_at AND e.identifier16 = i.identifier16
  ORDER BY rank, received_at LIMIT 1
) p"""


async def past(connection: "asyncpg.Connection[asyncpg.Record]", events: Sequence[NewEvent]) -> list[Past]:
    """For events that were refused: what is stored under their identifiers and keys."""
    days, yesterday = days_of(events[0].received_at)
    own = await connection.fetch(
        _PAST,
        [e.customer_id for e in events],
        [e.identifier16 for e in events],
        [e.occurred_at for e in events],
        yesterday,
        [e.received_at for e in events],
        days[-1],
    )
    by_event = {row[0] - 1: Kept(row[1], row[2], row[3]) for row in own}
    keyed = [n for n, e in enumerate(events) if e.key16 is not None]
    found = await connection.fetch(
        _PAST,
        [key_owner(events[n].environment) for n in keyed],
        [events[n].key16 for n in keyed],
        [events[n].occurred_at for n in keyed],
        yesterday,
        [events[n].received_at for n in keyed],
        days[-1],
    )
    by_key = {keyed[row[0] - 1]: Kept(row[1], row[2], row[3]) for row in found}
    return [Past(by_event.get(n), by_key.get(n)) for n in range(len(events))]


async def release(connection: "asyncpg.Connection[asyncpg.Record]", events: Sequence[NewEvent]) -> None:
    """Give back what refused events claimed in this transaction before they were refused."""
    owners = [e.customer_id for e in events] + [key_owner(e.environment) for e in events if e.key16]
    claims = [e.identifier16 for e in events] + [e.key16 for e in events if e.key16]
    received = [e.received_at for e in events] + [e.received_at for e in events if e.key16]
    days, _ = days_of(events[0].received_at)
    await connection.execute(
        "DELETE FROM recent_identifier r USING unnest($1::uuid[], $2::uuid[], $3::timestamptz[])"
        " AS c(customer_id, identifier16, received_at)"
        " WHERE r.customer_id = c.customer_id AND r.identifier16 = c.identifier16"
        " AND r.received_at = c.received_at AND r.day BETWEEN $4::date AND $5::date",
        owners,
        claims,
        received,
        days[0],
        days[-1],
    )


class Stored(msgspec.Struct, frozen=True):
    """An event as it is kept."""

    environment: str
    customer_id: UUID
    occurred_at: datetime
    identifier16: UUID
    identifier: str
    meter: str
    value: Decimal
    dimensions16: UUID
    value16: UUID | None
    body16: UUID
    received_at: datetime
    voided_at: datetime | None
    voided_by: str | None
    made_by: str | None
    through_stripe: bool


_STORED = (
    "environment, customer_id, occurred_at, identifier16, identifier, meter, value, dimensions16, value16, body16,"
    " received_at, voided_at, voided_by, made_by, through_stripe"
)


async def find(
    connection: "asyncpg.Connection[asyncpg.Record]",
    *,
    customer_id: UUID,
    identifier16: UUID,
    occurred_at: datetime | None = None,
) -> Stored | None:
    """The event of that identifier, the one received last when a later one was accepted under it again.

    Found at once with `occurred_at`; without, the customer's index is read.
    """
    row = await connection.fetchrow(
        f"SELECT {_STORED} FROM usage_event WHERE customer_id = $1 AND identifier16 = $2"
        + (" AND occurred_at = $3" if occurred_at is not None else "")
        + " ORDER BY received_at DESC LIMIT 1",
        customer_id,
        identifier16,
        *((occurred_at,) if occurred_at is not None else ()),
    )
    return None if row is None else Stored(*row)


RECENT = (
    f"SELECT {', '.join('e.' + name for name in _STORED.split(', '))}"
    " FROM (SELECT DISTINCT r.customer_id, r.occurred_at FROM recent_identifier r"
    "       WHERE r.identifier16 = $2 AND r.day BETWEEN $3::date AND $4::date AND r.received_at > $5) k"
    " CROSS JOIN LATERAL ("
    "   SELECT * FROM usage_event u WHERE u.customer_id = k.customer_id AND u.occurred_at = k.occurred_at"
    "     AND u.identifier16 = $2 OFFSET 0) e"
    " WHERE e.environment = $1 ORDER BY e.received_at DESC LIMIT 2"
)


async def recent(
    connection: "asyncpg.Connection[asyncpg.Record]", *, environment: str, identifier16: UUID, now: datetime
) -> list[Stored]:
    """The events received under that identifier in the last 24 hours, whoever's they are: the latest two.

    Costs a look at the filters of two days, a read of what these leave over, and a probe per customer who used it.
    """
    today, day = now.astimezone(UTC).date(), timedelta(days=1)
    async with connection.transaction():
        # The planner takes a filter over random values for one that holds nothing back, and would read all instead.
        await connection.execute("SET LOCAL enable_seqscan = off")
        rows = await connection.fetch(RECENT, environment, identifier16, today - day, today + day, now - WINDOW)
        await connection.execute("SET LOCAL enable_seqscan = DEFAULT")
    return [Stored(*row) for row in rows]


async def within(
    connection: "asyncpg.Connection[asyncpg.Record]",
    *,
    customer_id: UUID,
    meter: str,
    start: datetime,
    end: datetime,
) -> list[Stored]:
    """The events that count, of a customer on a meter, that occurred in [start, end)."""
    rows = await connection.fetch(
        f"SELECT {_STORED} FROM usage_event WHERE customer_id = $1 AND meter = $2 AND occurred_at >= $3"
        " AND occurred_at < $4 AND voided_at IS NULL ORDER BY occurred_at, identifier16",
        customer_id,
        meter,
        start,
        end,
    )
    return [Stored(*row) for row in rows]


async def undebited(
    connection: "asyncpg.Connection[asyncpg.Record]",
    *,
    customer_id: UUID,
    meters: Sequence[str],
    subscription: str,
    start: datetime,
    limit: int,
) -> list[Stored]:
    """The events that count on these meters since an instant and cost nothing by a subscription, earliest first.

    `limit` of them, and what else happened at the instant of the last one.
    """
    rows = await connection.fetch(
        f"SELECT {_STORED} FROM usage_event e WHERE customer_id = $1 AND meter = ANY($2::text[]) AND occurred_at >= $4"
        " AND voided_at IS NULL AND NOT EXISTS ("
        "   SELECT FROM usage_fee f WHERE f.customer_id = e.customer_id AND f.occurred_at = e.occurred_at"
        "     AND f.identifier16 = e.identifier16 AND f.subscription = $3)"
        " ORDER BY occurred_at FETCH FIRST $5 ROWS WITH TIES",
        customer_id,
        list(meters),
        subscription,
        start,
        limit,
    )
    return [Stored(*row) for row in rows]


async def parts_of(
    connection: "asyncpg.Connection[asyncpg.Record]", *, customer_id: UUID, told: Sequence[tuple[str, datetime]]
) -> list[Stored]:
    """The events that count of those that the wallet dialect told, by id and time: one for each thing counted of it."""
    rows = await connection.fetch(
        f"SELECT {_STORED} FROM usage_event WHERE customer_id = $1 AND occurred_at = ANY($2::timestamptz[])"
        " AND (identifier = ANY($3::text[]) OR regexp_replace(identifier, ':[^:]*$', '') = ANY($3::text[]))"
        " AND voided_at IS NULL ORDER BY occurred_at, identifier16",
        customer_id,
        sorted({at for _, at in told}),
        [id for id, _ in told],
    )
    return [Stored(*row) for row in rows]


async def void(
    connection: "asyncpg.Connection[asyncpg.Record]", events: Sequence[Stored], *, by: str, now: datetime
) -> list[Stored]:
    """Take events out of what counts: those of them that still counted. Recount their hours after this.

    `now` may be rounded to the second; what is kept is exact, to be compared with when invoices counted usage.
    """
    rows = await connection.fetch(
        "UPDATE usage_event e SET voided_at = greatest($4::timestamptz, clock_timestamp()), voided_by = $5"
        " FROM unnest($1::uuid[], $2::timestamptz[], $3::uuid[]) AS v(customer_id, occurred_at, identifier16)"
        " WHERE e.customer_id = v.customer_id AND e.occurred_at = v.occurred_at"
        " AND e.identifier16 = v.identifier16 AND e.voided_at IS NULL"
        " RETURNING e.customer_id, e.occurred_at, e.identifier16",
        [e.customer_id for e in events],
        [e.occurred_at for e in events],
        [e.identifier16 for e in events],
        now,
        by,
    )
    taken = {tuple(row) for row in rows}
    return [each for each in events if (each.customer_id, each.occurred_at, each.identifier16) in taken]


async def put(connection: "asyncpg.Connection[asyncpg.Record]", events: Sequence[NewEvent], *, by: str) -> None:
    """Store events that a correction makes. Their identifiers are new by construction."""
    await connection.execute(
        "INSERT INTO usage_event (customer_id, occurred_at, identifier16, environment, meter, identifier, value,"
        " dimensions16, value16, body16, received_at, made_by)"
        " SELECT customer_id, occurred_at, identifier16, environment, meter, identifier, value::numeric,"
        " dimensions16, value16, body16, received_at, $12"
        " FROM unnest($1::uuid[], $2::timestamptz[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[],"
        " $8::uuid[], $9::uuid[], $10::uuid[], $11::timestamptz[]) AS n(customer_id, occurred_at, identifier16,"
        " environment, meter, identifier, value, dimensions16, value16, body16, received_at)",
        [e.customer_id for e in events],
        [e.occurred_at for e in events],
        [e.identifier16 for e in events],
        [e.environment for e in events],
        [e.meter for e in events],
        [e.identifier for e in events],
        [str(e.value) for e in events],
        [e.dimensions16 for e in events],
        [e.value16 for e in events],
        [e.body16 for e in events],
        [e.received_at for e in events],
        by,
    )


async def of_correction(
    connection: "asyncpg.Connection[asyncpg.Record]",
    *,
    customer_id: UUID,
    correction: str,
    start: datetime,
    end: datetime,
) -> list[Stored]:
    """The events that a correction made or voided. [start, end) holds all of them."""
    rows = await connection.fetch(
        f"SELECT {_STORED} FROM usage_event WHERE customer_id = $1 AND occurred_at >= $3 AND occurred_at < $4"
        " AND (made_by = $2 OR voided_by = $2)",
        customer_id,
        correction,
        start,
        end,
    )
    return [Stored(*row) for row in rows]


async def undo(
    connection: "asyncpg.Connection[asyncpg.Record]",
    *,
    customer_id: UUID,
    correction: str,
    start: datetime,
    end: datetime,
    now: datetime,
) -> list[Stored]:
    """Void what a correction made and let count again what it voided; the events concerned.

    What it voided stays void where the correction that made it was itself reverted. [start, end) holds all of them.
    """
    rows = await connection.fetch(
        "UPDATE usage_event SET"
        " voided_at = CASE WHEN made_by = $2 THEN $5::timestamptz END,"
        " voided_by = CASE WHEN made_by = $2 THEN $2 END"
        " WHERE customer_id = $1 AND occurred_at >= $3 AND occurred_at < $4"
        "   AND ((made_by = $2 AND voided_at IS NULL) OR (voided_by = $2 AND NOT EXISTS ("
        "     SELECT FROM usage_correction c WHERE c.customer_id = usage_event.customer_id"
        "       AND c.id = usage_event.made_by AND c.status = 'reverted')))"
        f" RETURNING {_STORED}",
        customer_id,
        correction,
        start,
        end,
        now,
    )
    return [Stored(*row) for row in rows]
