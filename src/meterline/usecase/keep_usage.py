"""Look after stored usage: partitions ahead of need, retention, and proof that counters are what events say."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from meterline.store import counter, due, idempotency, partition, usage_policy
from meterline.store.counter import Difference
from meterline.store.database import Database
from meterline.store.usage import HOUR, hour_of
from meterline.usecase.create_test_clock import NOBODY

UPKEEP = "usage_upkeep"
EVERY = timedelta(days=1)
LOOKS_BACK = timedelta(days=2)
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upkeep:
    """What was done: partitions dropped, and counters found wrong."""

    dropped: list[str]
    differences: list[Difference]


async def plan_upkeep(database: Database, *, now: datetime) -> None:
    """See to it that the next night's upkeep is planned. Harmless when it is."""
    night = now.astimezone(UTC).replace(hour=3, minute=0, second=0, microsecond=0) + DAY
    async with database.begin() as tx:
        await due.add(
            tx,
            environment="live",
            customer_id=NOBODY,
            kind=UPKEEP,
            subject=UPKEEP,
            boundary=night,
            due_at=night,
            clock=None,
        )


async def upkeep(database: Database, *, now: datetime) -> Upkeep:
    """Make partitions, drop what is past its retention, make the filters of the rest, verify the last two days.

    The next night is planned first: one that fails for good does not end them all.
    """
    await plan_upkeep(database, now=now)
    async with database.begin() as tx:
        keep_events = await usage_policy.keep_events(tx)
        await idempotency.sweep(tx, now=now)
    async with database.pool.acquire() as pooled:
        await partition.create_ahead(pooled, now=now)
        dropped = await partition.drop_past(pooled, now=now, keep_events=keep_events)
        await partition.summarise(pooled)
    differences = await verify(database, start=now - LOOKS_BACK, end=now + HOUR)
    return Upkeep(dropped=dropped, differences=differences)


async def verify(database: Database, *, start: datetime, end: datetime) -> list[Difference]:
    """Every counter of the UTC hours that [start, end) touches that is not what its events say, a day at a time.

    Hours whose events are past their retention cannot be verified and must not be asked for.
    """
    found: list[Difference] = []
    at = hour_of(start)
    async with database.pool.acquire() as connection:
        while at < end:
            until = min(at + DAY, hour_of(end - timedelta(microseconds=1)) + HOUR)
            found += await counter.compare(connection, start=at, end=until)
            at = until
    return found


async def earliest_day(database: Database) -> datetime | None:
    """The first instant that events are still kept of; None without any."""
    async with database.pool.acquire() as connection:
        present = await partition.present(connection, "usage_event")
    if not present:
        return None
    first = present[0].start
    return datetime(first.year, first.month, first.day, tzinfo=UTC)
