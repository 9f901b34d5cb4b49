"""An event's identifier leads to the event without its customer: by an index, not by asking for every customer."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import asyncpg

from meterline.store import event, partition
from meterline.store.database import Database
from meterline.store.event import digest16
from meterline.store.identifier import uuid7

NOW = datetime(2026, 11, 28, 0, 5, tzinfo=UTC)
OTHERS = 20_000


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


async def store(
    connection: "asyncpg.Connection[asyncpg.Record]", identifier: str, *, environment: str = "test", age: timedelta
) -> UUID:
    """One event received a while ago, claimed as ingest does; its customer."""
    owner = uuid7()
    new = event.NewEvent(
        customer_id=event.uuid16(owner.bytes),
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
    outcome = await event.store(connection, [new], environments=[environment])
    assert outcome.refused == []
    return owner


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


async def test_no_customer_and_no_day_is_read_through(database: Database) -> None:
    async with database.pool.acquire() as pooled:
        days = [NOW.date() + timedelta(days=n) for n in (-1, 0, 1)]
        rows = await pooled.fetch("EXPLAIN " + event.RECENT, "test", digest16("mine"), days, NOW - timedelta(days=1))
    plan = "\n".join(row[0] for row in rows)
    for day in days[:2]:
        assert f"Index Scan using recent_identifier_p{day:%Y%m%d}" in plan, plan
    assert " on customer" not in plan
