"""Parked events are told of in the transaction that keeps them: once a day for each cause, however many there are."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from meterline.store import notice, stray
from meterline.store.database import Database
from meterline.store.page import Cursor
from meterline.usecase.group_commit import Unavailable
from tests.ingest.world import NOW, World, event, names, world

DAY = timedelta(days=1)


async def _told(w: World) -> list[dict[str, Any]]:
    """What was told of parked events, earliest first."""
    table = notice.notice
    query = select(table.c.snapshot, table.c.customer_id).where(
        table.c.environment == w.environment, table.c.type == "event.parked"
    )
    async with w.database.begin() as tx:
        rows = list(await tx.execute(query.order_by(table.c.sequence)))
    return [dict(row.snapshot) | {"owner": row.customer_id} for row in rows]


async def _parked(w: World) -> list[str]:
    async with w.database.begin() as tx:
        listed = await stray.listed(tx, w.environment, Cursor(limit=100), fate="parked")
    return [row.id for row in listed.rows]


async def test_a_flood_of_one_cause_is_told_once_with_its_size_and_a_sample(database: Database) -> None:
    async with world(database) as w:
        await w.add_meter()
        ada = await w.add_customer()
        fates = await w.tell(*[event(id=f"a{n}", name="unheard") for n in range(40)])
        assert set(names(fates)) == {"Refused"}
        for n in range(20):
            await w.tell(event(id=f"b{n}", name="unheard"))
        [told] = await _told(w)
        assert (told["code"], told["event_name"], told["customer"]) == ("no_meter", "unheard", "cus_ada")
        assert (told["count"], told["owner"]) == (40, ada)
        parked = await _parked(w)
        assert len(parked) == 60
        assert len(told["sample"]) == 3 and set(told["sample"]) <= set(parked)


async def test_each_reason_customer_and_event_name_is_told_of(database: Database) -> None:
    async with world(database) as w:
        await w.add_meter()
        await w.add_customer()
        await w.add_customer("cus_bob")
        await w.tell(
            event(id="1", name="unheard"),
            event(id="2", name="unheard", customer="cus_bob"),
            event(id="3", name="other"),
            event(id="4", at=NOW - 36 * DAY),
        )
        causes = {(each["code"], each["customer"], each["event_name"]) for each in await _told(w)}
        assert causes == {
            ("no_meter", "cus_ada", "unheard"),
            ("no_meter", "cus_bob", "unheard"),
            ("no_meter", "cus_ada", "other"),
            ("timestamp_too_far_in_past", "cus_ada", "tokens"),
        }


async def test_customers_that_do_not_exist_are_one_cause(database: Database) -> None:
    async with world(database) as w:
        await w.add_meter()
        await w.tell(*[event(id=f"{n}", customer=f"cus_invented_{n}") for n in range(30)])
        await w.tell(event(id="more", customer="cus_invented_more"))
        [told] = await _told(w)
        assert (told["code"], told["customer"], told["owner"]) == ("meter_event_customer_not_found", None, None)
        assert told["count"] == 30


async def test_a_cause_that_is_still_there_the_next_day_is_told_of_again(database: Database) -> None:
    async with world(database) as w:
        await w.add_customer()
        for day in range(3):
            await w.tell(event(id=f"{day}", name="unheard"), now=NOW + day * DAY)
            await w.tell(event(id=f"{day}", name="unheard"), now=NOW + day * DAY)
        assert [each["count"] for each in await _told(w)] == [1, 1, 1]


async def test_events_rejected_for_good_are_not_told_of_as_parked(database: Database) -> None:
    async with world(database) as w:
        await w.add_meter()
        await w.add_customer()
        assert names(await w.tell(event("x", id="bad"))) == ["Refused"]
        assert await _told(w) == []


async def test_an_event_name_of_any_length_is_told_of(database: Database) -> None:
    async with world(database) as w:
        await w.add_customer()
        await w.tell(event(id="long", name="n" * 5000))
        [told] = await _told(w)
        assert told["event_name"] == "n" * 5000


async def test_what_cannot_be_told_is_not_kept_either(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_: object) -> None:
        raise Unavailable("the outbox is away")

    async with world(database) as w:
        await w.add_customer()
        monkeypatch.setattr(notice, "add_once", fails)
        with pytest.raises(Unavailable):
            await w.tell(event(id="1", name="unheard"))
        assert await _parked(w) == []
