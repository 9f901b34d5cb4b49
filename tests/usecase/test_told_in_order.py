"""What is told in one transaction is published in the order in which it was told, by one piece of work or by many."""

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.customer import Customer
from meterline.store import notice
from meterline.store.database import Database
from meterline.store.identifier import public, uuid7
from meterline.store.side_by_side import side_by_side
from tests.usecase.world import ENVIRONMENT, WALL

TIMES = ("first", "second", "third")


def person() -> Customer:
    id = public("cus")
    return Customer(environment=ENVIRONMENT, customer_id=uuid7(), id=id, created=WALL, invoice_prefix=id[-8:].upper())


async def tell(tx: AsyncConnection, of: Customer, subject: Customer, type: str) -> None:
    await notice.add(
        tx, environment=ENVIRONMENT, customer_id=of.customer_id, type=type, subject=subject, previous=None, now=WALL
    )


async def told(tx: AsyncConnection, of: Customer) -> list[tuple[str, str, int]]:
    """A customer's notices in the order in which they will be published."""
    rows = await tx.execute(
        text(
            "SELECT type, object_id, object_sequence FROM notice WHERE customer_id = :id ORDER BY recorded_at, sequence"
        ),
        {"id": of.customer_id},
    )
    return [tuple(row) for row in rows]


@pytest.mark.parametrize("many", [1, 40])
@pytest.mark.parametrize("characters", [3_000, 4_000_000])
async def test_objects_of_a_customer_are_told_of_in_order(
    database: Database, monkeypatch: pytest.MonkeyPatch, many: int, characters: int
) -> None:
    monkeypatch.setattr(notice, "MOST_AT_ONCE", characters)
    everybody = [[person() for _ in range(5)] for _ in range(many)]

    async def work(tx: AsyncConnection, subjects: list[Customer]) -> None:
        for type in TIMES:
            for subject in subjects:
                await tell(tx, subjects[0], subject, type)

    async with database.begin() as tx:
        await side_by_side(tx, [work(tx, subjects) for subjects in everybody])
        for subjects in everybody:
            expected = [(type, subject.id, n) for n, type in enumerate(TIMES, 1) for subject in subjects]
            assert await told(tx, subjects[0]) == expected


async def test_what_is_told_inside_a_savepoint_goes_with_it(database: Database) -> None:
    a, b = person(), person()

    async def tries(tx: AsyncConnection) -> None:
        await tell(tx, a, a, "before")
        point = await tx.begin_nested()
        await tell(tx, a, a, "inside")
        await point.rollback()
        await tell(tx, a, a, "after")

    async with database.begin() as tx:
        await side_by_side(tx, [tries(tx), tell(tx, b, b, "other")])
        assert await told(tx, a) == [("before", a.id, 1), ("after", a.id, 2)]
        assert await told(tx, b) == [("other", b.id, 1)]
