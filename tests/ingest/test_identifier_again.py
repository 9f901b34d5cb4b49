"""Identifiers that come back day after day, and look-ups that are under way while the process forgets customers."""

import asyncio
from datetime import timedelta

import pytest

from meterline.store import directory
from meterline.store.database import Database
from tests.ingest.world import NOW, event, names, world


async def test_a_retry_is_judged_by_todays_event_not_by_yesterdays_of_the_same_name(database: Database) -> None:
    async with world(database) as w:
        await w.add_meter()
        await w.add_customer()
        tomorrow = NOW + timedelta(hours=24, seconds=10)
        today, again = event("5", id="daily", at=NOW), event("6", id="daily", at=tomorrow)
        assert names(await w.tell(today, now=NOW)) == ["Accepted"]
        assert names(await w.tell(again, now=tomorrow)) == ["Accepted"]
        assert names(await w.tell(again, now=tomorrow + timedelta(seconds=10))) == ["Duplicate"]
        assert await w.used() == 11


async def test_customers_are_known_though_the_process_forgets_them_meanwhile(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(database) as w:
        await w.add_meter()
        for id in ("cus_a", "cus_b", "cus_c"):
            await w.add_customer(id)
        await w.tell(event(customer="cus_a"))
        known = w.ingest.directory
        asked = asyncio.create_task(known.customers(w.environment, {"cus_a", "cus_b"}))
        await asyncio.sleep(0)
        monkeypatch.setattr(directory, "MOST", 0)
        assert "cus_c" in await known.customers(w.environment, {"cus_c"})
        assert {"cus_a", "cus_b"} <= (await asked).keys()


async def test_a_daily_identifier_is_taken_every_day_also_just_before_midnight(database: Database) -> None:
    async with world(database) as w:
        await w.add_meter()
        await w.add_customer()
        evening = NOW.replace(hour=23, minute=55, second=0)
        days = [evening + timedelta(days=n, seconds=5 * n) for n in range(4)]
        for day in days:
            assert names(await w.tell(event("1", id="nightly", at=day), now=day)) == ["Accepted"]
            late = day + timedelta(minutes=7)
            assert names(await w.tell(event("1", id="nightly", at=day), now=late)) == ["Duplicate"]
            assert names(await w.tell(event("1", id="nightly", at=late), now=late)) == ["Refused"]
        assert await w.used(end=NOW + timedelta(days=9)) == 4
