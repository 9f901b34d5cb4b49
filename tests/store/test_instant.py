"""Instants that go to the database as whole microseconds arrive as they were, however far away they are."""

from datetime import UTC, datetime, timedelta, timezone

from meterline.store.database import Database
from meterline.store.event import instant, micros

MOMENT = timedelta(microseconds=1)
INSTANTS = [
    datetime(1, 1, 1, tzinfo=UTC) + MOMENT,
    datetime(1600, 1, 1, tzinfo=UTC) + MOMENT,
    datetime(1970, 1, 1, tzinfo=UTC) - MOMENT,
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(2026, 11, 28, 23, 59, 59, 999_999, tzinfo=timezone(timedelta(hours=5, minutes=45))),
    datetime(2300, 1, 1, tzinfo=UTC) - MOMENT,
    datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
]


async def test_an_instant_is_the_same_to_the_microsecond(database: Database) -> None:
    async with database.pool.acquire() as connection:
        rows = await connection.fetch(
            f"SELECT {instant('told')} FROM unnest($1::bigint[]) WITH ORDINALITY AS new (told, n) ORDER BY n",
            [micros(each) for each in INSTANTS],
        )
    assert [row[0] for row in rows] == INSTANTS
