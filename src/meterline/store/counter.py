"""Writing the usage counters: adding what new events say, recounting an hour from its events, comparing both.

Additions are deltas on rows in key order; whatever takes something away recounts the whole hour under its
row's lock. A batch that has stored events of that hour and waits for the lock adds its delta to the recount,
which did not see its events: so either order gives the same counter.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Context, Decimal, Inexact
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import msgspec

from meterline.store.event import NewEvent, instant, micros

EXACT = Context(prec=100, traps=[Inexact])
"""Sums of event values are exact or an error, never rounded."""


_HOUR = 3_600_000_000
"""Microseconds."""


class Hour(msgspec.Struct, gc=False):
    """What is added to a counter row; instants as `store.event.micros`."""

    count: int
    sum: Decimal
    max: Decimal
    last: Decimal
    last_occurred: int
    last_received: int
    recent: Decimal
    recent_received: int


Hours: TypeAlias = "Mapping[tuple[UUID, str, int, UUID, str], Hour]"
"""Counters by (customer, meter, the hour's first microsecond, dimensions, environment)."""


class Key(msgspec.Struct, frozen=True, gc=False):
    """One counter: of a customer on a meter, for one set of dimension values, in one UTC hour."""

    environment: str
    customer_id: UUID
    meter: str
    hour: datetime
    dimensions16: UUID


def fold(events: Iterable[NewEvent]) -> Hours:
    """The counters of a set of events."""
    hours: dict[tuple[UUID, str, int, UUID, str], Hour] = {}
    add, get = EXACT.add, hours.get
    for event in events:
        occurred, value = micros(event.occurred_at), event.value
        received = occurred if event.received_at is event.occurred_at else micros(event.received_at)
        key = (event.customer_id, event.meter, occurred - occurred % _HOUR, event.dimensions16, event.environment)
        counter = get(key)
        if counter is None:
            hours[key] = Hour(1, value, value, value, occurred, received, value, received)
            continue
        counter.count += 1
        counter.sum = add(counter.sum, value)
        if value > counter.max:
            counter.max = value
        if (occurred, received, value) > (counter.last_occurred, counter.last_received, counter.last):
            counter.last, counter.last_occurred, counter.last_received = value, occurred, received
        if (received, value) > (counter.recent_received, counter.recent):
            counter.recent, counter.recent_received = value, received
    return hours


ON_COUNTED_BEFORE = """\
ON CONFLICT (customer_id, meter, hour, dimensions16) DO UPDATE SET
  count = h.count + excluded.count,
  sum = h.sum + excluded.sum,
  max = greatest(h.max, excluded.max),
  last = CASE WHEN h.last_occurred IS NULL
                OR (excluded.last_occurred, excluded.last_received, excluded.last)
                  > (h.last_occurred, h.last_received, h.last)
              THEN excluded.last ELSE h.last END,
  last_received = CASE WHEN h.last_occurred IS NULL
                OR (excluded.last_occurred, excluded.last_received, excluded.last)
                  > (h.last_occurred, h.last_received, h.last)
              THEN excluded.last_received ELSE h.last_received END,
  last_occurred = greatest(h.last_occurred, excluded.last_occurred),
  recent = CASE WHEN h.recent_received IS NULL
                OR (excluded.recent_received, excluded.recent) > (h.recent_received, h.recent)
              THEN excluded.recent ELSE h.recent END,
  recent_received = greatest(h.recent_received, excluded.recent_received)
"""
"""What is done to the counter rows `h` that are there already."""

HOURS_TOLD = f"""\
customer_id, meter, {instant("hour")}, dimensions16, environment, count, sum::numeric, max::numeric, last::numeric,
       {instant("last_occurred")}, {instant("last_received")}, recent::numeric, {instant("recent_received")}"""
"""The columns of counter rows, made of what `hour_columns` gives under the same names."""

_ADD_HOURS = f"""
INSERT INTO usage_hour AS h (customer_id, meter, hour, dimensions16, environment, count, sum, max, last,
                             last_occurred, last_received, recent, recent_received)
SELECT {HOURS_TOLD}
FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::uuid[], $5::text[], $6::bigint[], $7::text[],
            $8::text[], $9::text[], $10::bigint[], $11::bigint[], $12::text[], $13::bigint[])
  AS n(customer_id, meter, hour, dimensions16, environment, count, sum, max, last, last_occurred,
       last_received, recent, recent_received)
{ON_COUNTED_BEFORE}"""

_ADD_UNIQUE = """
INSERT INTO usage_unique AS u (customer_id, meter, hour, dimensions16, value16, environment, count)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::uuid[], $5::uuid[], $6::text[], $7::bigint[])
ON CONFLICT (customer_id, meter, hour, dimensions16, value16) DO UPDATE SET count = u.count + excluded.count
"""

_ADD_DIMENSIONS = """
INSERT INTO usage_dimension (customer_id, meter, dimensions16, environment, dimensions)
SELECT customer_id, meter, dimensions16, environment, dimensions::jsonb
FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::text[])
  AS n(customer_id, meter, dimensions16, environment, dimensions)
ON CONFLICT DO NOTHING
"""


def hour_columns(hours: Hours) -> list[list[Any]]:
    """The counters in key order, column by column, as `_ADD_HOURS` takes them."""
    rows = sorted(hours.items(), key=_hour_order)
    keys = [key for key, _ in rows]
    told = [hour for _, hour in rows]
    return [
        *([key[n] for key in keys] for n in range(5)),
        [hour.count for hour in told],
        [format(hour.sum, "f") for hour in told],
        [format(hour.max, "f") for hour in told],
        [format(hour.last, "f") for hour in told],
        [hour.last_occurred for hour in told],
        [hour.last_received for hour in told],
        [format(hour.recent, "f") for hour in told],
        [hour.recent_received for hour in told],
    ]


def _hour_order(row: "tuple[tuple[UUID, str, int, UUID, str], Hour]") -> tuple[bytes, str, int, bytes]:
    customer_id, meter, hour, dimensions16, _ = row[0]
    return customer_id.bytes, meter, hour, dimensions16.bytes


async def add(connection: "asyncpg.Connection[asyncpg.Record]", events: Sequence[NewEvent]) -> None:
    """Count events that were just stored, in the transaction that stored them."""
    await connection.execute(_ADD_HOURS, *hour_columns(fold(events)))
    await _add_members(connection, [event for event in events if event.value16 is not None])
    await describe(connection, events)


async def describe(connection: "asyncpg.Connection[asyncpg.Record]", events: Sequence[NewEvent]) -> None:
    """Keep the sets of dimension values that these events have."""
    if any(event.dimensions is not None for event in events):
        await connection.execute(_ADD_DIMENSIONS, *dimension_columns(events))


async def _add_members(connection: "asyncpg.Connection[asyncpg.Record]", events: list[NewEvent]) -> None:
    if not events:
        return
    counts: dict[tuple[Any, ...], int] = {}
    for event in events:
        hour = event.occurred_at.replace(minute=0, second=0, microsecond=0)
        key = (event.customer_id, event.meter, hour, event.dimensions16, event.value16, event.environment)
        counts[key] = counts.get(key, 0) + 1
    rows = sorted(counts.items(), key=_in_order)
    columns = [[key[n] for key, _ in rows] for n in range(6)]
    await connection.execute(_ADD_UNIQUE, *columns, [count for _, count in rows])


def dimension_columns(events: Iterable[NewEvent]) -> list[list[Any]]:
    """The sets of dimension values that these events have, in key order, as `_ADD_DIMENSIONS` takes them."""
    seen = {
        (e.customer_id, e.meter, e.dimensions16): (e.environment, e.dimensions)
        for e in events
        if e.dimensions is not None
    }
    rows = sorted(seen.items(), key=_in_order)
    return [
        [key[0] for key, _ in rows],
        [key[1] for key, _ in rows],
        [key[2] for key, _ in rows],
        [environment for _, (environment, _) in rows],
        [dimensions for _, (_, dimensions) in rows],
    ]


def _in_order(row: tuple[tuple[Any, ...], Any]) -> tuple[Any, ...]:
    return tuple(part.bytes if isinstance(part, UUID) else part for part in row[0])


# ── taking away, and comparing: always from the events ───────────────────────────────────────────────────

_FROM_EVENTS = """
  SELECT e.customer_id, e.meter, date_bin('1 hour', e.occurred_at, 'epoch'::timestamptz) AS hour,
         e.dimensions16, e.environment,
         count(*) AS count, sum(e.value) AS sum, max(e.value) AS max,
         (array_agg(e.value ORDER BY e.occurred_at DESC, e.received_at DESC, e.value DESC))[1] AS last,
         max(e.occurred_at) AS last_occurred,
         (array_agg(e.received_at ORDER BY e.occurred_at DESC, e.received_at DESC, e.value DESC))[1] AS last_received,
         (array_agg(e.value ORDER BY e.received_at DESC, e.value DESC))[1] AS recent,
         max(e.received_at) AS recent_received
  FROM usage_event e
  WHERE {scope} AND e.voided_at IS NULL
  GROUP BY 1, 2, 3, 4, 5
"""

_ONE_HOUR = (
    "e.customer_id = $1 AND e.meter = $2 AND e.occurred_at >= $3 AND e.occurred_at < $3 + interval '1 hour'"
    " AND e.dimensions16 = $4"
)


_LOCK = """
INSERT INTO usage_hour AS h (customer_id, meter, hour, dimensions16, environment, count, sum)
SELECT customer_id, meter, hour, dimensions16, environment, 0, 0
FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::uuid[], $5::text[])
  AS n(customer_id, meter, hour, dimensions16, environment)
ON CONFLICT (customer_id, meter, hour, dimensions16) DO UPDATE SET count = h.count
"""


async def lock(connection: "asyncpg.Connection[asyncpg.Record]", keys: Iterable[Key]) -> None:
    """Lock these counters in key order until the transaction ends; those that are missing are made, at nothing."""
    rows = _ordered(keys)
    columns = [[getattr(key, name) for key in rows] for name in _KEY_COLUMNS]
    await connection.execute(_LOCK, *columns)


_KEY_COLUMNS = ("customer_id", "meter", "hour", "dimensions16", "environment")


def _ordered(keys: Iterable[Key]) -> list[Key]:
    return sorted(set(keys), key=lambda k: (k.customer_id.bytes, k.meter, k.hour, k.dimensions16.bytes))


async def recount(connection: "asyncpg.Connection[asyncpg.Record]", keys: Iterable[Key]) -> None:
    """Make the counters of these hours what their events say, after events of them were voided."""
    for key in _ordered(keys):
        where = (key.customer_id, key.meter, key.hour, key.dimensions16)
        await connection.execute(
            "SELECT FROM usage_hour WHERE customer_id = $1 AND meter = $2 AND hour = $3 AND dimensions16 = $4"
            " FOR UPDATE",
            *where,
        )
        found = await connection.fetchrow(_FROM_EVENTS.format(scope=_ONE_HOUR), *where)
        values = tuple(found)[5:] if found is not None else (0, Decimal(0), *(None,) * 6)
        await connection.execute(
            "UPDATE usage_hour SET count = $5, sum = $6, max = $7, last = $8, last_occurred = $9,"
            " last_received = $10, recent = $11, recent_received = $12"
            " WHERE customer_id = $1 AND meter = $2 AND hour = $3 AND dimensions16 = $4",
            *where,
            *values,
        )
        await _recount_members(connection, where)


async def _recount_members(connection: "asyncpg.Connection[asyncpg.Record]", where: tuple[Any, ...]) -> None:
    await connection.execute(
        "UPDATE usage_unique u SET count = ("
        f"  SELECT count(*) FROM usage_event e WHERE {_ONE_HOUR} AND e.value16 = u.value16 AND e.voided_at IS NULL)"
        " WHERE u.customer_id = $1 AND u.meter = $2 AND u.hour = $3 AND u.dimensions16 = $4",
        *where,
    )


class Difference(msgspec.Struct, frozen=True):
    """A counter that is not what its events say: which, and (count, sum) as counted and as recounted."""

    environment: str
    customer_id: UUID
    meter: str
    hour: datetime
    dimensions16: UUID
    counted: tuple[int, Decimal]
    recounted: tuple[int, Decimal]


_COMPARE = (
    """
WITH recounted AS ("""
    + _FROM_EVENTS.format(scope="e.occurred_at >= $1 AND e.occurred_at < $2")
    + """),
counted AS (SELECT * FROM usage_hour WHERE hour >= $1 AND hour < $2)
SELECT coalesce(c.environment, r.environment), coalesce(c.customer_id, r.customer_id),
       coalesce(c.meter, r.meter), coalesce(c.hour, r.hour), coalesce(c.dimensions16, r.dimensions16),
       coalesce(c.count, 0), coalesce(c.sum, 0), coalesce(r.count, 0), coalesce(r.sum, 0)
FROM counted c FULL JOIN recounted r
  ON r.customer_id = c.customer_id AND r.meter = c.meter AND r.hour = c.hour AND r.dimensions16 = c.dimensions16
WHERE (coalesce(c.count, 0), coalesce(c.sum, 0), c.max, c.last, c.recent)
      IS DISTINCT FROM (coalesce(r.count, 0), coalesce(r.sum, 0), r.max, r.last, r.recent)
ORDER BY 2, 3, 4, 5
"""
)

_COMPARE_MEMBERS = """
WITH recounted AS (
  SELECT e.environment, e.customer_id, e.meter, date_bin('1 hour', e.occurred_at, 'epoch'::timestamptz) AS hour,
         e.dimensions16, e.value16, count(*) AS count
  FROM usage_event e
  WHERE e.occurred_at >= $1 AND e.occurred_at < $2 AND e.value16 IS NOT NULL AND e.voided_at IS NULL
  GROUP BY 1, 2, 3, 4, 5, 6
), counted AS (SELECT * FROM usage_unique WHERE hour >= $1 AND hour < $2)
SELECT coalesce(c.environment, r.environment), coalesce(c.customer_id, r.customer_id),
       coalesce(c.meter, r.meter), coalesce(c.hour, r.hour), coalesce(c.dimensions16, r.dimensions16),
       sum(coalesce(c.count, 0))::bigint, 0::numeric, sum(coalesce(r.count, 0))::bigint, 0::numeric
FROM counted c FULL JOIN recounted r
  ON r.customer_id = c.customer_id AND r.meter = c.meter AND r.hour = c.hour
 AND r.dimensions16 = c.dimensions16 AND r.value16 = c.value16
WHERE coalesce(c.count, 0) <> coalesce(r.count, 0)
GROUP BY 1, 2, 3, 4, 5 ORDER BY 2, 3, 4, 5
"""


async def compare(
    connection: "asyncpg.Connection[asyncpg.Record]", *, start: datetime, end: datetime
) -> list[Difference]:
    """Every counter of the hours in [start, end) that differs from its events. Both are whole UTC hours.

    Each statement reads counters and events from one snapshot, so ingest may go on meanwhile.
    """
    start, end = start.astimezone(UTC), end.astimezone(UTC)
    rows = [*await connection.fetch(_COMPARE, start, end), *await connection.fetch(_COMPARE_MEMBERS, start, end)]
    return [Difference(row[0], row[1], row[2], row[3], row[4], (row[5], row[6]), (row[7], row[8])) for row in rows]
