"""What becomes of events: accepted once, duplicates harmless, conflicts named, nothing dropped."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from meterline.store import meter as meter_store
from meterline.store import stray
from meterline.store.database import Database
from meterline.store.event import digest16
from meterline.store.page import Cursor
from meterline.usecase.group_commit import Overloaded
from meterline.usecase.ingest_events import Settings, Told
from meterline.usecase.write_events import Accepted, Refused
from tests.ingest.world import NOW, World, event, names, world


async def test_an_event_is_counted_when_it_is_answered(database: Database) -> None:
    async with world(database) as w:
        await w.add_meter()
        await w.add_customer()
        assert names(await w.tell(event("5", id="a"), event("2.5", id="b"))) == ["Accepted", "Accepted"]
        assert await w.used() == Decimal("7.5")


@pytest.mark.parametrize(
    "bad",
    [
        event(id="bad", customer="cus_ada\0"),
        event(id="bad\0"),
        event(id="bad", name="tok\0ens"),
        event("1\0", id="bad"),
        Told(event_name="tokens", payload={"value": 1}, identifier="bad", customer="\0"),
    ],
)
async def test_an_event_with_the_character_zero_is_kept_and_spoils_no_other(database: Database, bad: Told) -> None:
    async with world(database) as w:
        await w.add_meter()
        await w.add_customer()
        assert names(await w.tell(event("2", id="a"), bad, event("3", id="b"))) == ["Accepted", "Refused", "Accepted"]
        assert await w.used() == 5
        async with database.begin() as tx:
            kept = [
                row
                for fate in ("rejected", "parked")
                for row in (await stray.listed(tx, w.environment, Cursor(limit=100), fate=fate)).rows
            ]
        assert [row.identifier.rstrip("\ufffd") for row in kept] == ["bad"]


async def test_the_same_event_told_again_changes_nothing(database: Database) -> None:
    async with world(database) as w:
        await w.add_meter()
        await w.add_customer()
        once = event("5", id="a", at=NOW - timedelta(hours=3))
        await w.tell(once)
        assert names(await w.tell(once, once)) == ["Duplicate", "Duplicate"]
        assert names(await w.tell(once, now=NOW + timedelta(days=20))) == ["Duplicate"]
        assert await w.used() == 5


async def test_an_identifier_comes_back_after_a_day_only_with_another_timestamp(database: Database) -> None:
    async with world(database) as w:
        await w.add_meter()
        await w.add_customer()
        await w.tell(event("5", id="a"))
        assert names(await w.tell(event("5", id="a"), now=NOW + timedelta(hours=23, minutes=59))) == ["Duplicate"]
        assert names(await w.tell(event("5", id="a"), now=NOW + timedelta(hours=24, minutes=1))) == ["Accepted"]
        assert await w.used() == 10


async def test_a_retry_across_midnight_is_a_duplicate(database: Database) -> None:
    async with world(database) as w:
        await w.add_meter()
        await w.add_customer()
        midnight = NOW.replace(hour=0, minute=0, second=0)
        for n, apart in enumerate((1, 30, 300, 599, 601, 3600)):
            before = midnight - timedelta(seconds=apart)
            await w.tell(event("1", id=f"e{n}"), now=before)
            later = [midnight + timedelta(seconds=s) for s in (0, 1, 400, 700, 40_000)]
            assert [names(await w.tell(event("1", id=f"e{n}"), now=at))[0] for at in later] == ["Duplicate"] * 5
        assert await w.used() == 6


async def test_other_contents_under_the_same_identifier_are_a_conflict_that_is_named(database: Database) -> None:
    async with world(database) as w:
        await w.add_meter()
        await w.add_customer()
        await w.tell(event("5", id="a", at=NOW))
        (fate,) = await w.tell(event("6", id="a", at=NOW))
        assert isinstance(fate, Refused)
        assert fate.problem.code == "identifier_conflict"
        assert "value (5 before, 6 now)" in fate.problem.message
        assert await w.used() == 5


async def test_duplicates_inside_one_call_count_once(database: Database) -> None:
    async with world(database) as w:
        await w.add_meter()
        await w.add_customer()
        fates = await w.tell(event("5", id="a", at=NOW), event("5", id="a", at=NOW), event("7", id="a", at=NOW))
        assert names(fates) == ["Accepted", "Duplicate", "Refused"]
        assert await w.used() == 5


async def test_the_same_idempotency_key_replays_and_another_body_under_it_is_refused(database: Database) -> None:
    async with world(database) as w:
        await w.add_meter()
        await w.add_customer()

        def keyed(value: str, key: str, id: str | None) -> Told:
            told = event(value, id=id)
            told.key16, told.key_body16 = digest16(key, of=b"key"), digest16(f"{value}{id}")
            return told

        (first,) = await w.tell(keyed("5", "k1", None))
        (again,) = await w.tell(keyed("5", "k1", None), now=NOW + timedelta(minutes=3))
        assert isinstance(first, Accepted) and isinstance(again, Accepted)
        assert (again.identifier, again.occurred_at, again.replayed) == (first.identifier, first.occurred_at, True)
        assert names(await w.tell(keyed("6", "k1", None))) == ["KeyReused"]
        assert names(await w.tell(keyed("5", "k2", "a"), keyed("5", "k3", "a"), keyed("9", "k2", "b"))) == [
            "Accepted",
            "Duplicate",
            "KeyReused",
        ]
        # What was refused claims nothing: its key and its identifier are free.
        assert names(await w.tell(keyed("1", "k3", "c"), keyed("1", "k4", "b"))) == ["Accepted", "Accepted"]
        assert await w.used() == 12


async def test_993_of_1000_are_counted_and_7_are_listed(database: Database) -> None:
    async with world(database) as w:
        await w.add_meter()
        await w.add_customer()
        bad = [
            event("x", id="b0"),
            event("1e400", id="b1"),
            event("NaN", id="b2"),
            event("1234567890123456", id="b3"),
            event("1", id="b4", customer=""),
            event("1", id="b5", customer="cus_nobody"),
            event("1", id="b6", at=NOW - timedelta(days=36)),
        ]
        told = [event("1", id=f"g{n}") for n in range(993)]
        for n, each in enumerate(bad):
            told.insert(n * 140, each)
        fates = await w.tell(*told)
        assert names(fates).count("Accepted") == 993
        assert await w.used() == 993
        async with database.begin() as tx:
            rejected = (await stray.listed(tx, w.environment, Cursor(limit=100), fate="rejected")).rows
            parked = (await stray.listed(tx, w.environment, Cursor(limit=100), fate="parked")).rows
        assert {row.code for row in parked} == {"meter_event_customer_not_found", "timestamp_too_far_in_past"}
        assert sorted(row.identifier for row in [*rejected, *parked]) == [f"b{n}" for n in range(7)]


async def test_eight_writers_of_the_same_identifiers_have_one_effect(database: Database) -> None:
    async with world(database) as one, world(database) as two:
        two.environment, two.meters, two.customers = one.environment, one.meters, one.customers
        await one.add_meter()
        ids = [f"cus_{n}" for n in range(5)]
        for id in ids:
            await one.add_customer(id)
        told = [event("1", id=f"e{n}", customer=ids[n % 5]) for n in range(400)]

        async def write(w: World, order: int) -> list[str]:
            rotated = told[order * 50 :] + told[: order * 50]
            mixed = rotated if order % 2 else rotated[::-1]
            fates = []
            for start in range(0, 400, 40):
                fates += names(await w.tell(*mixed[start : start + 40]))
            return fates

        answers = await asyncio.gather(*[write(one if n % 2 else two, n) for n in range(8)])
        flat = [name for fates in answers for name in fates]
        assert flat.count("Accepted") == 400
        assert flat.count("Duplicate") == 7 * 400
        assert sum([await one.used(customer=id) for id in ids]) == 400


async def test_a_full_queue_takes_nothing(database: Database) -> None:
    async with world(database, settings=Settings(lanes=1, max_batch=10, max_queued=20)) as w:
        await w.add_meter()
        await w.add_customer()
        await w.tell(event("1", id="warm"))
        calls = [asyncio.create_task(w.tell(*[event("1", id=f"{n}-{k}") for k in range(10)])) for n in range(30)]
        done = await asyncio.gather(*calls, return_exceptions=True)
        refused = [each for each in done if isinstance(each, Overloaded)]
        assert refused
        assert await w.used() == 1 + 10 * (30 - len(refused))


async def test_a_meter_deactivated_meanwhile_stops_a_batch_that_was_checked_before(database: Database) -> None:
    async with world(database) as w:
        meter = await w.add_meter()
        await w.add_customer()
        await w.tell(event("1", id="a"))
        async with database.begin() as tx:
            await meter_store.save(tx, replace(meter, status="inactive", deactivated_at=NOW, updated=NOW))
        (fate,) = await w.tell(event("1", id="b"))
        assert isinstance(fate, Refused) and fate.problem.code == "archived_meter"
        assert await w.used() == 1


@pytest.mark.parametrize("count", [1, 4_500])
async def test_one_call_may_be_larger_than_one_batch(database: Database, count: int) -> None:
    async with world(database) as w:
        await w.add_meter()
        await w.add_customer()
        assert set(names(await w.tell(*[event("2", id=f"e{n}") for n in range(count)]))) == {"Accepted"}
        assert await w.used() == 2 * count
