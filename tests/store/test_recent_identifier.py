"""Claims of identifiers are found without reading a day through: by their customer, and without it."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import asyncpg

from meterline.store import event, fresh_batch, partition
from meterline.store.database import Database
from meterline.store.event import NewEvent, digest16
from meterline.store.identifier import uuid7
from meterline.usecase.write_events import SESSION

NOW = datetime(2026, 11, 28, 0, 5, tzinfo=UTC)
DAY = timedelta(days=1)
OTHERS = 20_000
BY_PARTITION = """
    select right(relname, 8) as day, idx_scan as probes, seq_scan as scans,
           seq_tup_read + coalesce(idx_tup_fetch, 0) as rows
      from pg_stat_xact_user_tables where relname ~ '^recent_identifier_p'
"""


async def furnish(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Days full of other identifiers."""
    for table in partition.SPANS:
        for n in (-2, -1, 0, 1):
            await partition.create(connection, partition.holding(table, (NOW + n * timedelta(days=1)).date()))
    await connection.execute(
        "INSERT INTO recent_identifier"
        " SELECT gen_random_uuid(), gen_random_uuid(), d.day, $1::timestamptz, $1, gen_random_uuid()"
        " FROM generate_series(1, $2::int), unnest($3::date[]) AS d(day)",
        NOW - timedelta(minutes=6),
        OTHERS,
        [(NOW - timedelta(days=1)).date(), NOW.date()],
    )
    await connection.execute("ANALYZE")


def made(identifier: str, *, environment: str = "test", age: timedelta) -> NewEvent:
    """One event of a new customer, received a while ago."""
    return NewEvent(
        customer_id=event.uuid16(uuid7().bytes),
        occurred_at=NOW - timedelta(hours=3),
        identifier16=digest16(identifier),
        environment=environment,
        meter="mtr_1",
        identifier=identifier,
        value=Decimal(1),
        dimensions16=digest16(""),
        value16=None,
        body16=digest16("body"),
        received_at=NOW - age,
    )


async def store(
    connection: "asyncpg.Connection[asyncpg.Record]", identifier: str, *, environment: str = "test", age: timedelta
) -> UUID:
    """One event, claimed as ingest does; its customer."""
    new = made(identifier, environment=environment, age=age)
    outcome = await event.store(connection, [new], environments=[environment])
    assert outcome.refused == []
    return UUID(bytes=new.customer_id.bytes)


async def looked_at(connection: "asyncpg.Connection[asyncpg.Record]") -> Counter[tuple[str, str]]:
    """How often each day was probed and scanned so far, and how many of its rows were read."""
    rows = await connection.fetch(BY_PARTITION)
    return Counter({(what, row["day"]): row[what] or 0 for row in rows for what in ("probes", "scans", "rows")})


async def found(connection: "asyncpg.Connection[asyncpg.Record]", identifier: str) -> set[UUID]:
    rows = await event.recent(connection, environment="test", identifier16=digest16(identifier), now=NOW)
    return {UUID(bytes=row.customer_id.bytes) for row in rows}


async def test_an_identifier_leads_to_its_event_in_its_environment_for_a_day(database: Database) -> None:
    async with database.pool.acquire() as pooled:
        connection: asyncpg.Connection[asyncpg.Record] = pooled
        await furnish(connection)
        minute, day = timedelta(minutes=1), timedelta(days=1)
        mine = await store(connection, "mine", age=minute)
        at_midnight = await store(connection, "midnight", age=8 * minute)
        await store(connection, "theirs", environment="live", age=minute)
        await store(connection, "old", age=day + minute)
        shared = {await store(connection, "shared", age=n * minute) for n in (1, 2, 400)}

        assert await found(connection, "mine") == {mine}
        assert await found(connection, "midnight") == {at_midnight}
        assert await found(connection, "theirs") == await found(connection, "old") == set()
        twice = await found(connection, "shared")
        assert len(twice) == 2 and twice < shared


async def test_no_day_is_read_through_for_an_identifier_of_anyones(database: Database) -> None:
    async with database.pool.acquire() as pooled:
        connection: asyncpg.Connection[asyncpg.Record] = pooled
        await furnish(connection)
        sought = await store(connection, "sought", age=timedelta(minutes=1))
        await partition.summarise(connection)
        async with connection.transaction():
            before = await looked_at(connection)
            assert await found(connection, "sought") == {sought}
            reads = await looked_at(connection) - before
    assert {what for what, _ in reads} == {"probes", "rows"}
    assert reads["rows", f"{NOW:%Y%m%d}"] < OTHERS / 2


async def test_claims_that_no_filter_knows_yet_are_found_all_the_same(database: Database) -> None:
    async with database.pool.acquire() as pooled:
        connection: asyncpg.Connection[asyncpg.Record] = pooled
        await furnish(connection)
        before = await store(connection, "before", age=timedelta(minutes=2))
        await partition.summarise(connection)
        after = await store(connection, "after", age=timedelta(minutes=1))
        assert await found(connection, "before") == {before}
        assert await found(connection, "after") == {after}


async def test_a_batch_probes_two_days_however_many_are_made_ahead_and_reads_none_through(database: Database) -> None:
    """The plan is made while tomorrow is empty, and known to be; it serves on when tomorrow is today."""
    async with database.pool.acquire() as pooled:
        furnisher: asyncpg.Connection[asyncpg.Record] = pooled
        await furnish(furnisher)
        await partition.create_ahead(furnisher, now=NOW)
        await furnisher.execute("ANALYZE recent_identifier")
    writer = await asyncpg.connect(database.dsn, server_settings=SESSION)
    try:
        for n in (0, 1):
            batch = [made(f"e{n}", age=-(timedelta(hours=12) + n * DAY))]
            async with writer.transaction():
                before = await looked_at(writer)
                assert await fresh_batch.write(writer, batch, version=0)
                reads = await looked_at(writer) - before
            assert reads == {("probes", f"{NOW + k * DAY:%Y%m%d}"): 1 for k in (n - 1, n)}
    finally:
        await writer.close()


async def test_pages_that_are_being_written_have_no_filter_which_every_row_would_make_anew(database: Database) -> None:
    async with database.pool.acquire() as pooled:
        connection: asyncpg.Connection[asyncpg.Record] = pooled
        today = partition.holding("recent_identifier", NOW.date())
        await partition.create(connection, today)
        await store(connection, "first", age=timedelta(minutes=1))
        await partition.summarise(connection)
        assert await unfiltered(connection, today) == 1

        await furnish(connection)
        await partition.summarise(connection)
        assert await unfiltered(connection, today) == 1


async def unfiltered(connection: "asyncpg.Connection[asyncpg.Record]", of: partition.Partition) -> int:
    """How many ranges of pages have no filter yet; from now on they have."""
    made: int = await connection.fetchval(
        "SELECT brin_summarize_new_values(x.indexrelid) FROM pg_index x WHERE x.indrelid = $1::text::regclass"
        " AND NOT x.indisprimary",
        of.name,
    )
    return made
