"""Parked events that are tried again: when they happened, where nobody said so."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from meterline.store.database import Database
from meterline.usecase.create_test_clock import create_test_clock
from meterline.usecase.replay_parked import replay_parked
from tests.ingest.world import NOW, World, event, names, world

FROZEN = NOW - timedelta(days=700)
REPLAYED = NOW + timedelta(days=3)


async def replayed(w: World, *, any_time: bool = False) -> int:
    async with w.database.begin() as tx:
        return (await replay_parked(tx, environment=w.environment, any_time=any_time, now=REPLAYED)).accepted


async def used_at(w: World, at: datetime, *, customer: str = "cus_ada") -> Decimal:
    return await w.used(customer=customer, start=at, end=at + timedelta(microseconds=1))


@pytest.mark.parametrize("any_time", [False, True])
async def test_an_event_without_a_timestamp_happens_by_its_customers_clock(
    database: Database, *, any_time: bool
) -> None:
    async with world(database) as w:
        async with database.begin() as tx:
            clock = await create_test_clock(tx, environment=w.environment, frozen_time=FROZEN, name=None, now=NOW)
        await w.add_customer(test_clock=clock.id)
        assert names(await w.tell(event("5", id="undated"), event("2"))) == ["Refused", "Refused"]
        await w.add_meter()
        assert await replayed(w, any_time=any_time) == 2
        assert await used_at(w, FROZEN) == 7


@pytest.mark.parametrize("any_time", [False, True])
async def test_elsewhere_it_happened_when_it_was_received_and_a_retry_is_a_duplicate(
    database: Database, *, any_time: bool
) -> None:
    async with world(database) as w:
        await w.add_customer()
        await w.tell(event("5", id="undated"))
        await w.add_meter()
        assert await replayed(w, any_time=any_time) == 1
        assert await used_at(w, NOW) == 5
        again = await w.tell(event("5", id="undated"), now=REPLAYED + timedelta(seconds=1))
        assert names(again) == ["Duplicate"]
