"""Partitions come before they are needed and go when nobody wants them; strays are reported to developers."""

from datetime import timedelta

from meterline.store import partition, usage_policy
from meterline.store.database import Database
from meterline.store.due import of_subject
from meterline.store.stray import REPORT
from meterline.store.usage_policy import UsagePolicy
from meterline.usecase.create_test_clock import NOBODY, create_test_clock
from meterline.usecase.keep_usage import upkeep
from meterline.usecase.replay_parked import replay_parked
from meterline.usecase.report_strays import ERROR_REPORT, NO_METER_FOUND, report_strays
from meterline.usecase.write_events import Refused
from tests.ingest.world import NOW, event, names, world


async def test_a_night_makes_the_partitions_of_the_coming_week(database: Database) -> None:
    done = await upkeep(database, now=NOW)
    assert done.differences == []
    async with database.pool.acquire() as connection:
        days = {each.start for each in await partition.present(connection, "usage_event")}
    wanted = {NOW.date() + timedelta(days=n) for n in range(-35, 8)}
    assert wanted <= days


async def test_retention_drops_old_events_but_never_their_counters(database: Database) -> None:
    async with world(database) as w:
        await w.add_meter()
        await w.add_customer()
        await w.tell(event("5", id="old"))
        long_after = NOW + timedelta(days=100)
        async with database.begin() as tx:
            await usage_policy.save(tx, UsagePolicy(environment=w.environment, keep_events_days=120))
        name = f"usage_event_p{NOW:%Y%m%d}"
        assert name not in (await upkeep(database, now=long_after)).dropped
        async with database.begin() as tx:
            await usage_policy.save(tx, UsagePolicy(environment=w.environment, keep_events_days=90))
        assert name in (await upkeep(database, now=long_after)).dropped
        hour = NOW.replace(minute=0, second=0)
        assert await w.used(start=hour, end=hour + timedelta(hours=1)) == 5


async def test_nothing_is_added_to_a_day_that_is_past_its_retention(database: Database) -> None:
    async with world(database) as w:
        await w.add_meter()
        await w.add_customer()
        async with database.begin() as tx:
            clock = await create_test_clock(tx, environment=w.environment, frozen_time=NOW, name=None, now=NOW)
        await w.add_customer("cus_past", test_clock=clock.id)
        mine = event("5", id="past", customer="cus_past", at=NOW)
        assert names(await w.tell(mine)) == ["Accepted"]
        long_after = NOW + timedelta(days=100)
        async with database.begin() as tx:
            await usage_policy.save(tx, UsagePolicy(environment=w.environment, keep_events_days=90))
        name = f"usage_event_p{NOW:%Y%m%d}"
        assert name in (await upkeep(database, now=long_after)).dropped
        now_and_then = [event("1", id="now"), mine, event("2", id="more", customer="cus_past", at=NOW)]
        fates = await w.tell(*now_and_then, now=long_after)
        assert names(fates) == ["Accepted", "Refused", "Refused"]
        assert isinstance(fates[1], Refused) and fates[1].problem.parked
        assert "past their retention" in fates[1].problem.message
        async with database.begin() as tx:
            replayed = await replay_parked(tx, environment=w.environment, any_time=True, now=long_after)
            assert (replayed.accepted, replayed.parked) == (0, 2)
        async with database.pool.acquire() as connection:
            assert NOW.date() not in {each.start for each in await partition.present(connection, "usage_event")}
        assert await w.used(customer="cus_past") == 5
        assert await w.used(end=long_after + timedelta(days=1)) == 1


async def test_one_environment_that_keeps_events_for_ever_keeps_the_partitions(database: Database) -> None:
    async with database.begin() as tx:
        await usage_policy.save(tx, UsagePolicy(environment="brief", keep_events_days=40))
        await usage_policy.save(tx, UsagePolicy(environment="for-ever"))
        assert await usage_policy.keep_events(tx) is None


async def test_strays_are_reported_by_meter_and_once(database: Database) -> None:
    async with world(database) as w:
        meter = await w.add_meter()
        await w.add_customer()
        await w.tell(
            event("x", id="a"), event("y", id="b"), event("1", id="c", customer="cus_no"), event("1", name="nope")
        )
        async with database.begin() as tx:
            planned = await of_subject(tx, customer_id=NOBODY, subject=w.environment)
            assert [each.kind for each in planned] == [REPORT]
            reports = await report_strays(tx, environment=w.environment, now=NOW)
            assert await report_strays(tx, environment=w.environment, now=NOW) == []
        by_meter = {report.meter: report for report in reports}
        assert set(by_meter) == {meter.id, None}
        errors = {each.code: each.count for each in by_meter[meter.id].errors}
        assert errors == {"meter_event_invalid_value": 2, "meter_event_customer_not_found": 1}
        assert by_meter[None].errors[0].samples[0].message == "No meter was found matching event_name nope."
        async with database.pool.acquire() as connection:
            told = await connection.fetch(
                "select type from notice where environment = $1 and type like 'v1.%'", w.environment
            )
        assert sorted(row["type"] for row in told) == [ERROR_REPORT, NO_METER_FOUND]
