"""Usage that is stored and usage that is taken back at the same time never wait for each other in a circle."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from meterline.customer import Customer
from meterline.limit.alert import Alert
from meterline.store import ledger
from meterline.store.counter import compare
from meterline.store.database import Database
from meterline.store.event import digest16
from meterline.store.identifier import public, uuid7
from meterline.usecase import correct_usage
from meterline.usecase.change_alert import create_alert
from meterline.usecase.correct_usage import Author, Change, find_event
from meterline.usecase.debit_events import ToldEvent, debit_events
from meterline.usecase.ingest_events import Ingest
from meterline.usecase.reverse_by_cause import Which, reverse
from tests.usecase.test_wallet_ingest import furnished

AUTHOR = Author(actor="key_test", reason="never happened")
HOURS = 5
ROUNDS = 8


async def watched(database: Database, now: datetime) -> None:
    """Every level of all usage of anybody is told."""
    new = Alert(
        environment="test",
        id=public("alrt"),
        sequence=uuid7(),
        title="Usage",
        measure="usage",
        unit="amount",
        levels=tuple(Decimal(level) for level in (10, 50, 90)),
        recurrence="period",
        created=now,
        updated=now,
    )
    async with database.begin() as tx:
        await create_alert(tx, new=new, now=now)


def told(event_type: str, cause: str, now: datetime) -> list[ToldEvent]:
    """One event in each of some hours, which have one cause."""
    return [
        ToldEvent(
            id=f"{cause}_{n}", event_type=event_type, subject=cause, occurred_at=now - timedelta(hours=n, minutes=1)
        )
        for n in range(HOURS)
    ]


async def deadlocks(database: Database) -> int:
    """How many there were, once every session of intake is gone and has said so."""
    async with database.pool.acquire() as connection:
        await connection.fetch(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE application_name = 'meterline ingest' AND datname = current_database()"
        )
        found: int = await connection.fetchval(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        )
        return found


async def test_usage_stored_replaced_and_taken_back_at_once_meets_no_deadlock(database: Database) -> None:
    event_type, people = await furnished(database, 2)
    now = datetime.now(UTC) + timedelta(hours=HOURS + 1)
    await watched(database, now)
    before = await deadlocks(database)
    ingests = [Ingest(database) for _ in range(3)]
    for ingest in ingests:
        await ingest.start()

    async def tell(ingest: Ingest, who: Customer, cause: str) -> None:
        events = told(event_type, cause, now)
        answers = await debit_events(database, ingest, customer=who, events=events, now=now, wall=now)
        assert {answer["status"] for answer in answers} == {"billed"}

    async def stream(ingest: Ingest, name: str) -> None:
        for n in range(ROUNDS):
            await asyncio.gather(*[tell(ingest, who, f"{name}_{n}") for who in people])

    async def take_back(name: str) -> None:
        for n in range(ROUNDS):
            who = people[n % 2]
            await tell(ingests[0], who, f"{name}_{n}")
            # The latest first: intake goes through the hours the other way.
            for part in (Which(ids=[f"{name}_{n}_0", f"{name}_{n}_3"]), Which(subject=f"{name}_{n}")):
                async with database.begin() as tx:
                    await reverse(tx, of=who, which=part, author=AUTHOR, now=now)

    async def move(name: str) -> None:
        for n in range(ROUNDS):
            who = people[n % 2]
            await tell(ingests[0], who, f"{name}_{n}")
            async with database.begin() as tx:
                found, owner = await find_event(
                    tx,
                    environment="test",
                    identifier16=digest16(f"{name}_{n}_0"),
                    customer_id=who.id,
                    now=now,
                )
                change = Change(occurred_at=now - timedelta(hours=1 + n % HOURS))
                await correct_usage.replace_event(
                    tx, found=found, public_customer=owner, change=change, author=AUTHOR, now=now
                )

    try:
        await asyncio.gather(
            stream(ingests[1], "a"), stream(ingests[2], "b"), take_back("back"), take_back("again"), move("moved")
        )
    finally:
        for ingest in ingests:
            await ingest.stop()
    assert await deadlocks(database) == before
    start = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=2 * HOURS)
    async with database.pool.acquire() as connection, connection.transaction():
        assert await compare(connection, start=start, end=now + timedelta(hours=1)) == []
        for who in people:
            assert await ledger.verify(connection, who.customer_id) == []
