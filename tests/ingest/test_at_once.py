"""The statement that writes a whole batch at once: all of it when all of it is new, nothing otherwise."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest
import pytest_asyncio

from meterline.meter.intake import Problem
from meterline.store import counter, fresh_batch
from meterline.store.database import Database
from meterline.store.event import NewEvent
from meterline.usecase.ingest_events import Told
from meterline.usecase.subscribe_wallet import open_wallet
from meterline.usecase.write_events import Session, turns
from tests.ingest.world import NOW, World, event, names, world

LATER = NOW + timedelta(seconds=1)


@pytest_asyncio.fixture
async def w(database: Database) -> AsyncIterator[World]:
    async with world(database) as made:
        await made.add_meter()
        await made.add_meter("calls", dimensions=("model", "kind"))
        await made.add_customer()
        await made.add_customer("cus_bob")
        yield made


async def write(w: World, *told: Told, stale: bool = False) -> bool:
    """Write these events at once, or none of them; `stale` as if they were checked against an older catalog."""
    catalog = await w.ingest.directory.catalog(w.environment)
    received = [NOW + timedelta(microseconds=n) for n in range(len(told))]
    checked = await w.ingest._check(told, w.environment, catalog, received, through_stripe=False)
    events: list[NewEvent] = [each for each in checked if not isinstance(each, Problem)]
    assert len(events) == len(told)
    (turn,) = turns(events)
    done: list[bool] = []

    async def work(session: Session, _: object) -> None:
        await session.make_room(events)
        version = catalog.version - stale
        done.append(await fresh_batch.write(session.connection, [events[n] for n in turn], version=version))

    session = Session(w.database.dsn, work, patience_s=5)
    try:
        await session.commit([])
    finally:
        await session.close()
    return done[-1]


async def differences(w: World) -> list[counter.Difference]:
    """Counters that are not what their events say."""
    start = NOW.replace(minute=0, second=0, microsecond=0)
    async with w.database.pool.acquire() as connection:
        found = await counter.compare(connection, start=start - timedelta(days=3), end=start + timedelta(days=2))
    return [each for each in found if each.environment == w.environment]


async def test_a_batch_of_new_events_is_stored_and_counted(w: World) -> None:
    batch = [
        event(n, id=f"e{n}", customer=("cus_ada", "cus_bob")[n % 2], at=NOW - timedelta(hours=n)) for n in range(9)
    ]
    assert await write(w, *batch)
    assert await w.used() == 20
    assert await w.used(customer="cus_bob") == 16
    assert await differences(w) == []
    assert names(await w.tell(*batch, now=LATER)) == ["Duplicate"] * 9


async def test_counters_that_are_there_go_on(w: World) -> None:
    assert await write(w, event(5, id="a", at=NOW))
    assert await write(w, event(7, id="b", at=NOW - timedelta(minutes=1)), event(1, id="c", at=NOW))
    assert await w.used() == 13
    assert await differences(w) == []


async def test_dimension_values_are_kept(w: World) -> None:
    batch = [event(n, id=f"d{n}", name="calls", model="ab"[n % 2], kind="in") for n in range(4)]
    assert await write(w, *batch)
    assert await w.used("calls", dimensions={"model": "a", "kind": "in"}) == 2
    assert await differences(w) == []


async def test_one_event_that_is_not_new_leaves_the_whole_batch_unwritten(w: World) -> None:
    await w.tell(event(1, id="old"))
    assert not await write(w, event(1, id="new"), event(1, id="old"))
    assert await w.used() == 1
    assert names(await w.tell(event(1, id="new"))) == ["Accepted"]


async def test_a_newer_catalog_leaves_the_batch_unwritten(w: World) -> None:
    assert not await write(w, event(1, id="a"), stale=True)
    assert await w.used() == 0


async def test_usage_that_a_wallet_may_pay_is_not_written_past_it(w: World) -> None:
    async with w.database.begin() as tx:
        await open_wallet(tx, environment=w.environment, customer_id=w.customers["cus_bob"], now=NOW)
    assert not await write(w, event(1, id="a"), event(1, id="b", customer="cus_bob"))
    assert await w.used() == 0


async def test_an_event_kept_for_longer_than_its_identifier_is_claimed(w: World) -> None:
    first = event(1, id="again", at=NOW - timedelta(days=3))
    await w.tell(first, now=NOW - timedelta(days=2))
    with pytest.raises(asyncpg.UniqueViolationError):
        await write(w, event(1, id="other"), first)
    assert await w.used() == 1
    assert names(await w.tell(event(1, id="other"), first, now=LATER)) == ["Accepted", "Duplicate"]


async def test_of_writers_with_the_same_events_one_writes_them(w: World) -> None:
    batches = [[event(1, id=f"r{n}") for n in range(40)] for _ in range(8)]
    outcomes = await asyncio.gather(*[write(w, *batch) for batch in batches], return_exceptions=True)
    assert [each for each in outcomes if each is True] == [True]
    assert all(each in (True, False) or isinstance(each, asyncpg.UniqueViolationError) for each in outcomes)
    assert await w.used() == 40
    assert await differences(w) == []
