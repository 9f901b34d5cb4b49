"""Make the partitions that usage goes to, and none for a day whose events are past their retention.

Nothing keeps an event of such a day from being counted again: the ones that were there are gone, and what they counted
stands.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

import asyncpg

from meterline.meter.intake import FURTHEST_BACK
from meterline.store import partition, usage_policy

Place = tuple[str, date]
"""A partitioned table and a UTC day."""


async def make_room(
    connection: "asyncpg.Connection[asyncpg.Record]", places: Iterable[Place], *, now: datetime
) -> set[date]:
    """Make sure of the partitions that hold these places; the days that get none. `now` is the wall clock, UTC."""
    wanted = sorted(set(places))
    gone = await _gone(connection, {day for table, day in wanted if table == "usage_event"}, now)
    for table, day in wanted:
        if day not in gone:
            await partition.create(connection, partition.holding(table, day))
    return gone


async def _gone(connection: "asyncpg.Connection[asyncpg.Record]", days: set[date], now: datetime) -> set[date]:
    old = {day for day in days if day < (now.astimezone(UTC) - FURTHEST_BACK - timedelta(days=1)).date()}
    keep = await usage_policy.keep_events_bare(connection) if old else None
    if keep is None:
        return set()
    horizon = (now.astimezone(UTC) - keep).date()
    present = {each.start for each in await partition.present(connection, "usage_event")}
    return {day for day in old if day < horizon and day not in present}
