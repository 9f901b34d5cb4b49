"""What was used: counters per hour, and the one exact read that every number shown or billed comes from.

`usage_hour` holds, per (customer, meter, dimension values, hour), everything an aggregation can be folded
from; `usage_unique` the distinct values of meters that count those. A read of [start, end) takes the whole
hours from the counters and only the partial hours at its two edges from the events, in one statement, so
that both come from one snapshot. Its cost grows with hours, never with events.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any, Literal, TypeAlias
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy import BigInteger, Column, Numeric, PrimaryKeyConstraint, Table, Text
from sqlalchemy.dialects.postgresql import UUID as UUID_COLUMN
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.meter import Formula, Meter
from meterline.period import Period
from meterline.store import schema
from meterline.store.side_by_side import ask

HOUR = timedelta(hours=1)

usage_hour = Table(
    "usage_hour",
    schema.metadata,
    schema.customer_id(),
    Column("meter", Text, nullable=False),
    schema.instant("hour", nullable=False),
    Column("dimensions16", UUID_COLUMN(as_uuid=True), nullable=False),
    schema.environment(),
    Column("count", BigInteger, nullable=False),
    Column("sum", Numeric, nullable=False),
    Column("max", Numeric),
    Column("last", Numeric),
    schema.instant("last_occurred"),
    schema.instant("last_received"),
    Column("recent", Numeric),
    schema.instant("recent_received"),
    PrimaryKeyConstraint("customer_id", "meter", "hour", "dimensions16"),
    postgresql_partition_by="RANGE (hour)",
)
"""`last` is the value of the event that occurred last, `recent` of the one that was received last."""

usage_unique = Table(
    "usage_unique",
    schema.metadata,
    schema.customer_id(),
    Column("meter", Text, nullable=False),
    schema.instant("hour", nullable=False),
    Column("dimensions16", UUID_COLUMN(as_uuid=True), nullable=False),
    Column("value16", UUID_COLUMN(as_uuid=True), nullable=False),
    schema.environment(),
    Column("count", BigInteger, nullable=False),
    PrimaryKeyConstraint("customer_id", "meter", "hour", "dimensions16", "value16"),
    postgresql_partition_by="RANGE (hour)",
)

usage_dimension = Table(
    "usage_dimension",
    schema.metadata,
    schema.customer_id(),
    Column("meter", Text, nullable=False),
    Column("dimensions16", UUID_COLUMN(as_uuid=True), nullable=False),
    schema.environment(),
    schema.document("dimensions"),
    PrimaryKeyConstraint("customer_id", "meter", "dimensions16"),
)
"""Which dimension values a `dimensions16` stands for."""

NO_DIMENSIONS = UUID(int=0)

Fetch: TypeAlias = Callable[[str, tuple[Any, ...]], Awaitable[Iterable[Any]]]
"""Runs a statement with its arguments, on whichever connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One quantity to read: of a customer on a meter in [period.start, period.end).

    With `dimensions`, only events that carry all of these values; otherwise all events of the meter. With `in_time`
    (wall clock), without what came through Stripe's routes after that instant: neither its events nor its
    cancellations. That is read from the events alone, so it costs events, and needs them to be kept.
    """

    customer_id: UUID
    meter: Meter
    period: Period
    dimensions: Mapping[str, str] | None = None
    in_time: datetime | None = None


async def quantity(
    tx: AsyncConnection,
    *,
    customer_id: UUID,
    meter: Meter,
    period: Period,
    dimensions: Mapping[str, str] | None = None,
) -> Decimal:
    """The usage in [period.start, period.end), aggregated by the meter's formula. Zero where there is none.

    Exact at any boundary, as of one snapshot; a net-negative sum is returned as it is.
    """
    wanted = Wanted(customer_id=customer_id, meter=meter, period=period, dimensions=dimensions)
    return (await quantities(tx, [wanted]))[0]


async def quantities(tx: AsyncConnection, wanted: Sequence[Wanted]) -> list[Decimal]:
    """The quantities asked for, in order. Meters of one kind of aggregation share one statement."""
    return await ask(_quantities_each, tx, tuple(wanted))


async def _quantities_each(tx: AsyncConnection, asked: Sequence[tuple[Wanted, ...]]) -> list[list[Decimal]]:
    found = iter(await _quantities(tx.exec_driver_sql, [each for wanted in asked for each in wanted]))
    return [[next(found) for _ in wanted] for wanted in asked]


async def quantities_bare(
    connection: "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]",
    wanted: Sequence[Wanted],
) -> list[Decimal]:
    """As `quantities`, on a bare connection inside a transaction: sees what that transaction counted."""

    return await _quantities(_bare(connection), wanted)


def _bare(
    connection: "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]",
) -> Fetch:
    async def fetch(statement: str, arguments: tuple[Any, ...]) -> Iterable[Any]:
        rows: Iterable[Any] = await connection.fetch(statement, *arguments)
        return rows

    return fetch


async def _quantities(fetch: Fetch, wanted: Sequence[Wanted]) -> list[Decimal]:
    found = [Decimal(0)] * len(wanted)
    alike: dict[tuple[Kind, Formula, bool], list[int]] = {}
    for n, each in enumerate(wanted):
        alike.setdefault((_kind(each.meter), each.meter.formula, each.in_time is not None), []).append(n)
    for (kind, formula, in_time), chosen in alike.items():
        statement = _statement(kind, formula, grouped=False, in_time=in_time)
        for row in await fetch(statement, _arguments(kind, wanted, chosen, in_time=in_time)):
            found[row[0]] = _answer(wanted[row[0]].meter, row[1], row[2])
    return found


async def grouped(tx: AsyncConnection, wanted: Wanted) -> dict[tuple[tuple[str, str], ...], Decimal]:
    """One quantity per combination of dimension values seen, keyed by sorted (name, value) pairs."""
    return await _grouped(tx.exec_driver_sql, wanted)


async def grouped_bare(
    connection: "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]",
    wanted: Wanted,
) -> dict[tuple[tuple[str, str], ...], Decimal]:
    """As `grouped`, on a bare connection inside a transaction: sees what that transaction counted."""
    return await _grouped(_bare(connection), wanted)


async def _grouped(fetch: Fetch, wanted: Wanted) -> dict[tuple[tuple[str, str], ...], Decimal]:
    kind, in_time = _kind(wanted.meter), wanted.in_time is not None
    statement = _statement(kind, wanted.meter.formula, grouped=True, in_time=in_time)
    rows = await fetch(statement, _arguments(kind, [wanted], [0], in_time=in_time))
    answers = {row[3]: _answer(wanted.meter, row[1], row[2]) for row in rows}
    named = await _named_dimensions(fetch, wanted.customer_id, wanted.meter.id, list(answers))
    return {named.get(key, ()): answer for key, answer in answers.items()}


async def dimensions_of(
    tx: AsyncConnection, customer_id: UUID, meter: str, dimensions16: UUID
) -> tuple[tuple[str, str], ...]:
    """The (name, value) pairs that a `dimensions16` stands for."""
    return (await _named_dimensions(tx.exec_driver_sql, customer_id, meter, [dimensions16])).get(dimensions16, ())


async def _named_dimensions(
    fetch: Fetch, customer_id: UUID, meter: str, keys: list[UUID]
) -> dict[UUID, tuple[tuple[str, str], ...]]:
    rows = await fetch(
        "SELECT dimensions16, dimensions::text FROM usage_dimension"
        " WHERE customer_id = $1 AND meter = $2 AND dimensions16 = ANY($3::uuid[])",
        (customer_id, meter, keys),
    )
    return {row[0]: tuple(sorted(msgspec.json.decode(row[1], type=dict[str, str]).items())) for row in rows}


def _answer(meter: Meter, count: int, value: Decimal | None) -> Decimal:
    if meter.formula in ("count", "unique"):
        return Decimal(count)
    return value if value is not None else Decimal(0)


# ── how a period is cut into hours and edges ────────────────────────────────────────────────────────────

Kind = Literal["additive", "max", "last", "unique", "hour_window", "day_window"]


def _kind(meter: Meter) -> Kind:
    if meter.formula == "unique":
        return "unique"
    if meter.event_time_window is not None:
        return "hour_window" if meter.event_time_window == "hour" else "day_window"
    if meter.invertible:
        return "additive"
    return "max" if meter.formula == "max" else "last"


@dataclass(frozen=True, slots=True)
class _Piece:
    """A range read from the counters, or (`raw`) from the events; `sign` −1 takes it away again."""

    start: datetime
    end: datetime
    raw: bool
    sign: int = 1


def hour_of(instant: datetime) -> datetime:
    """The UTC hour that an instant lies in."""
    return instant.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _pieces(kind: Kind, period: Period, *, in_time: bool) -> list[_Piece]:
    start, end = period.start.astimezone(UTC), period.end.astimezone(UTC)
    first, last = hour_of(start), hour_of(end)
    if first == last or in_time:
        return [_Piece(start, end, raw=True)]
    if kind == "additive":
        return _signed_pieces(start, end, first, last)
    whole = first if first == start else first + HOUR
    cut = [_Piece(start, whole, raw=True), _Piece(whole, last, raw=False), _Piece(last, end, raw=True)]
    return [piece for piece in cut if piece.start < piece.end]


def _signed_pieces(start: datetime, end: datetime, first: datetime, last: datetime) -> list[_Piece]:
    """Sums can be taken away again: the first hour counts whole, less what came before the start.

    So the many events of a new subscription's first hour are never read one by one. At the end, the shorter
    side is read.
    """
    cut = [_Piece(first, start, raw=True, sign=-1)]
    if end - last <= HOUR / 2:
        cut += [_Piece(first, last, raw=False), _Piece(last, end, raw=True)]
    else:
        cut += [_Piece(first, last + HOUR, raw=False), _Piece(end, last + HOUR, raw=True, sign=-1)]
    return [piece for piece in cut if piece.start < piece.end]


def _arguments(kind: Kind, wanted: Sequence[Wanted], chosen: Sequence[int], *, in_time: bool) -> tuple[Any, ...]:
    rows = [
        (
            n,
            wanted[n].customer_id,
            wanted[n].meter.id,
            piece.start,
            piece.end,
            piece.raw,
            piece.sign,
            _filter(wanted[n].dimensions),
            wanted[n].in_time,
        )
        for n in chosen
        for piece in _pieces(kind, wanted[n].period, in_time=in_time)
    ]
    if not rows:
        never = datetime.max.replace(tzinfo=UTC)
        return (*([] for _ in range(8)), never, never, *([[]] if in_time else []))
    *columns, instants = [list(column) for column in zip(*rows, strict=True)]
    return (*columns, min(columns[3]), max(columns[4]), *([instants] if in_time else []))


def _filter(dimensions: Mapping[str, str] | None) -> str | None:
    return dimensions_text(dimensions) if dimensions else None


def dimensions_text(dimensions: Mapping[str, str]) -> str:
    """The canonical JSON of dimension values: sorted names, no spaces."""
    return msgspec.json.encode(dict(sorted(dimensions.items()))).decode()


# ── the statements ──────────────────────────────────────────────────────────────────────────────────────

_WANTED = """
WITH wanted AS (
  SELECT * FROM unnest(
    $1::int[], $2::uuid[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::bool[], $7::int[], $8::text[]
  ) AS w(n, customer_id, meter, starts, ends, raw, sign, filter)
)
"""

_WANTED_IN_TIME = _WANTED.replace("$8::text[]", "$8::text[], $11::timestamptz[]").replace("filter)", "filter, in_time)")

_COUNTS = "e.voided_at IS NULL"

_COUNTS_IN_TIME = """(NOT e.through_stripe OR e.received_at <= w.in_time)
      AND (e.voided_at IS NULL OR (e.voided_at > w.in_time AND EXISTS (
        SELECT FROM usage_correction c
        WHERE c.customer_id = e.customer_id AND c.id = e.voided_by AND c.through_stripe)))"""

_HOURS = """
    FROM {table} h
    WHERE NOT w.raw AND h.customer_id = w.customer_id AND h.meter = w.meter
      AND h.hour >= w.starts AND h.hour < w.ends AND h.hour >= $9 AND h.hour < $10
      AND (w.filter IS NULL OR h.dimensions16 IN (
        SELECT d.dimensions16 FROM usage_dimension d
        WHERE d.customer_id = w.customer_id AND d.meter = w.meter AND d.dimensions @> w.filter::jsonb))
"""

_EVENTS = f"""
    FROM usage_event e
    WHERE w.raw AND e.customer_id = w.customer_id AND e.occurred_at >= w.starts AND e.occurred_at < w.ends
      AND e.occurred_at >= $9 AND e.occurred_at < $10 AND e.meter = w.meter AND {_COUNTS}
      AND (w.filter IS NULL OR e.dimensions16 IN (
        SELECT d.dimensions16 FROM usage_dimension d
        WHERE d.customer_id = w.customer_id AND d.meter = w.meter AND d.dimensions @> w.filter::jsonb))
"""


def _additive(*, grouped: bool) -> str:
    return f"""{_WANTED}
SELECT w.n, sum(w.sign * p.count)::bigint, sum(w.sign * p.sum){", p.dimensions16" if grouped else ""}
FROM wanted w CROSS JOIN LATERAL (
    SELECT h.dimensions16, sum(h.count) AS count, sum(h.sum) AS sum {_HOURS.format(table="usage_hour")}
    GROUP BY h.dimensions16
  UNION ALL
    SELECT e.dimensions16, count(*), sum(e.value) {_EVENTS} GROUP BY e.dimensions16
) p GROUP BY w.n{", p.dimensions16 HAVING sum(w.sign * p.count) <> 0" if grouped else ""}"""


def _max(*, grouped: bool) -> str:
    return f"""{_WANTED}
SELECT w.n, sum(p.count)::bigint, max(p.max){", p.dimensions16" if grouped else ""}
FROM wanted w CROSS JOIN LATERAL (
    SELECT h.dimensions16, sum(h.count) AS count, max(h.max) AS max {_HOURS.format(table="usage_hour")}
    GROUP BY h.dimensions16
  UNION ALL
    SELECT e.dimensions16, count(*), max(e.value) {_EVENTS} GROUP BY e.dimensions16
) p GROUP BY w.n{", p.dimensions16" if grouped else ""}"""


def _last(*, grouped: bool) -> str:
    key = "w.n, p.dimensions16" if grouped else "w.n"
    return f"""{_WANTED}
SELECT DISTINCT ON ({key}) w.n, 1, p.last{", p.dimensions16" if grouped else ""}
FROM wanted w CROSS JOIN LATERAL (
    (SELECT DISTINCT ON (h.dimensions16) h.dimensions16, h.last, h.last_occurred, h.last_received
    {_HOURS.format(table="usage_hour")} AND h.count > 0
    ORDER BY h.dimensions16, h.last_occurred DESC, h.last_received DESC, h.last DESC)
  UNION ALL
    (SELECT DISTINCT ON (e.dimensions16) e.dimensions16, e.value, e.occurred_at, e.received_at {_EVENTS}
    ORDER BY e.dimensions16, e.occurred_at DESC, e.received_at DESC, e.value DESC)
) p ORDER BY {key}, p.last_occurred DESC, p.last_received DESC, p.last DESC"""


def _unique(*, grouped: bool) -> str:
    return f"""{_WANTED}
SELECT w.n, count(DISTINCT p.value16), NULL::numeric{", p.dimensions16" if grouped else ""}
FROM wanted w CROSS JOIN LATERAL (
    SELECT h.dimensions16, h.value16 {_HOURS.format(table="usage_unique")} AND h.count > 0
  UNION ALL
    SELECT e.dimensions16, e.value16 {_EVENTS}
) p GROUP BY w.n{", p.dimensions16" if grouped else ""}"""


def _windowed(window: str, formula: Formula, *, grouped: bool) -> str:
    """Within one window (and one set of dimension values) the event received last replaces the others."""
    value = {
        "sum": "sum(recent)",
        "max": "max(recent)",
        "last": "(array_agg(recent ORDER BY window_start DESC, received DESC))[1]",
        "count": "NULL::numeric",
        "unique": "NULL::numeric",
    }[formula]
    return f"""{_WANTED}, latest AS (
  SELECT DISTINCT ON (w.n, p.dimensions16, p.window_start)
         w.n, p.dimensions16, p.window_start, p.recent, p.received
  FROM wanted w CROSS JOIN LATERAL (
    SELECT h.dimensions16, date_bin('1 {window}', h.hour, 'epoch'::timestamptz) AS window_start,
           h.recent, h.recent_received AS received {_HOURS.format(table="usage_hour")} AND h.count > 0
  UNION ALL
    SELECT e.dimensions16, date_bin('1 {window}', e.occurred_at, 'epoch'::timestamptz),
           e.value, e.received_at {_EVENTS}
  ) p ORDER BY w.n, p.dimensions16, p.window_start, p.received DESC, p.recent DESC
)
SELECT n, count(*), {value}{", dimensions16" if grouped else ""} FROM latest
GROUP BY n{", dimensions16" if grouped else ""}"""


@cache
def _statement(kind: Kind, formula: Formula, *, grouped: bool, in_time: bool) -> str:
    statement = _of_kind(kind, formula, grouped=grouped)
    if in_time:
        statement = statement.replace(_WANTED, _WANTED_IN_TIME).replace(_COUNTS, _COUNTS_IN_TIME)
    return statement


def _of_kind(kind: Kind, formula: Formula, *, grouped: bool) -> str:
    match kind:
        case "additive":
            return _additive(grouped=grouped)
        case "max":
            return _max(grouped=grouped)
        case "last":
            return _last(grouped=grouped)
        case "unique":
            return _unique(grouped=grouped)
        case "hour_window" | "day_window":
            return _windowed(kind.removesuffix("_window"), formula, grouped=grouped)
