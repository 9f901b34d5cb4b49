"""Time partitions: made ahead of need or on first need, dropped when past their retention.

A new partition is built beside its table and attached, which lets writers of other partitions go on.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal

import asyncpg

Span = Literal["day", "month"]

SPANS: dict[str, Span] = {
    "usage_event": "day",
    "recent_identifier": "day",
    "usage_hour": "month",
    "usage_unique": "month",
}
"""The partitioned tables and how much time one partition of each holds (UTC)."""

_EXISTS = {"42P07", "42710"}
_LOCK = 0x70617274


@dataclass(frozen=True, slots=True)
class Partition:
    """The part of `table` that holds [start, end)."""

    table: str
    start: date

    @property
    def end(self) -> date:
        if SPANS[self.table] == "day":
            return self.start + timedelta(days=1)
        return (self.start + timedelta(days=32)).replace(day=1)

    @property
    def name(self) -> str:
        pattern = "%Y%m%d" if SPANS[self.table] == "day" else "%Y%m"
        return f"{self.table}_p{self.start.strftime(pattern)}"


def holding(table: str, day: date) -> Partition:
    """The partition of `table` that a UTC day falls into."""
    return Partition(table, day if SPANS[table] == "day" else day.replace(day=1))


async def create(connection: "asyncpg.Connection[asyncpg.Record]", partition: Partition) -> None:
    """Make sure that the partition exists. Must not run inside another transaction's work."""
    name, table = partition.name, partition.table
    try:
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            if await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", name):
                return
            await connection.execute(f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL)")
            await connection.execute(
                f"ALTER TABLE {table} ATTACH PARTITION {name}"
                f" FOR VALUES FROM ('{_bound(table, partition.start)}') TO ('{_bound(table, partition.end)}')"
            )
            # An index over nothing begins with a summary of the first pages, which every row put there would renew.
            await connection.execute(
                f"SELECT brin_desummarize_range(i.oid, 0) {_BRIN} WHERE x.indrelid = $1::text::regclass", name
            )
    except asyncpg.PostgresError as error:
        if error.sqlstate not in _EXISTS:
            raise


async def present(connection: "asyncpg.Connection[asyncpg.Record]", table: str) -> list[Partition]:
    """The partitions of a table, earliest first."""
    rows = await connection.fetch(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = $1::text::regclass ORDER BY c.relname",
        table,
    )
    pattern = "%Y%m%d" if SPANS[table] == "day" else "%Y%m"
    return [
        Partition(table, datetime.strptime(row["relname"].rpartition("_p")[2], pattern).replace(tzinfo=UTC).date())
        for row in rows
    ]


async def create_ahead(connection: "asyncpg.Connection[asyncpg.Record]", *, now: datetime, days: int = 7) -> None:
    """Make the partitions that the coming days will need, and those that late events reach back to."""
    for table in SPANS:
        back = 1 if table == "recent_identifier" else 35
        first = now.astimezone(UTC).date() - timedelta(days=back)
        have = set(await present(connection, table))
        wanted = {holding(table, first + timedelta(days=n)) for n in range(back + days + 1)}
        for partition in sorted(wanted - have, key=lambda each: each.start):
            await create(connection, partition)


_BRIN = (
    "FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid AND i.relkind = 'i'"
    " JOIN pg_am m ON m.oid = i.relam AND m.amname = 'brin'"
)
_PAGES = 32
"""The fewest pages that a summary is made for."""


async def summarise(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Make the filters of the pages that were filled since the last VACUUM; writers go on.

    The last pages, which are still being written to, are left out: each row put there would make their filter anew.
    """
    await connection.execute(
        f"SELECT brin_summarize_range(i.oid, page) {_BRIN} JOIN pg_inherits h ON h.inhrelid = x.indrelid,"
        " generate_series(0, pg_relation_size(x.indrelid) / current_setting('block_size')::bigint - $2, $2) page"
        " WHERE h.inhparent = ANY($1::text[]::regclass[])",
        list(SPANS),
        _PAGES,
    )


async def drop_past(
    connection: "asyncpg.Connection[asyncpg.Record]", *, now: datetime, keep_events: timedelta | None
) -> list[str]:
    """Drop identifiers that no rule asks for any more, and events past their retention; returns the names.

    An event partition goes when both its day and everything received into it are older than `keep_events`
    (None keeps events for ever): events of a test clock that lives in the past were received today. Counters
    are never dropped here.
    """
    now = now.astimezone(UTC)
    dropped = []
    for partition in await present(connection, "recent_identifier"):
        if partition.end < now.date() - timedelta(days=2):
            await _drop(connection, partition)
            dropped.append(partition.name)
    if keep_events is None:
        return dropped
    horizon = now - keep_events
    for partition in await present(connection, "usage_event"):
        if partition.end <= horizon.date() and not await connection.fetchval(
            f"SELECT EXISTS (SELECT FROM {partition.name} WHERE received_at >= $1)", horizon
        ):
            await _drop(connection, partition)
            dropped.append(partition.name)
    return dropped


async def _drop(connection: "asyncpg.Connection[asyncpg.Record]", partition: Partition) -> None:
    """Detach without stopping the writers of other partitions, then drop."""
    await connection.execute(f"ALTER TABLE {partition.table} DETACH PARTITION {partition.name} CONCURRENTLY")
    await connection.execute(f"DROP TABLE {partition.name}")


def _bound(table: str, day: date) -> str:
    return day.isoformat() if table == "recent_identifier" else f"{day.isoformat()} 00:00:00+00"
