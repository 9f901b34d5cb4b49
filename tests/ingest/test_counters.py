"""Counters are what their events say, whatever is told, told again, voided, replaced, backfilled and taken back."""

import asyncio
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from meterline.meter import Formula, Meter
from meterline.period import Period
from meterline.refusal import Refusal
from meterline.store import counter, customer
from meterline.store.correction import Staged
from meterline.store.database import Database, driver
from meterline.store.event import digest16
from meterline.store.usage import hour_of
from meterline.usecase import correct_usage
from meterline.usecase.correct_usage import Author, Change, find_event
from tests.ingest.world import NOW, World, event, names, world

AUTHOR = Author(actor="ada", reason="a test")
START = NOW - timedelta(days=3)

minutes = st.integers(min_value=0, max_value=3 * 24 * 60)
past_minutes = st.integers(min_value=0, max_value=3 * 24 * 60 - 5 * 60 - 30)
"""Where a backfill of five and a half hours can begin."""
values = st.decimals(min_value=-99, max_value=99, places=2)


class Usage(RuleBasedStateMachine):
    """The model: the value of every event that counts, by identifier."""

    database_dsn = ""
    formula: Formula = "sum"

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.counting: dict[str, tuple[datetime, Decimal]] = {}
        self.corrections: list[str] = []
        self.undone: dict[str, dict[str, tuple[datetime, Decimal] | None]] = {}
        self.serial = 0

    @initialize()
    def begin(self) -> None:
        async def open_world() -> World:
            database = Database(self.database_dsn)
            await database.open()
            self.context = world(database)
            opened = await self.context.__aenter__()
            await opened.add_meter(formula=self.formula)
            await opened.add_customer()
            return opened

        self.world = self.runner.run(open_world())

    def teardown(self) -> None:
        async def close() -> None:
            await self.context.__aexit__(None, None, None)
            await self.world.database.close()

        if hasattr(self, "world"):
            self.runner.run(close())
        self.runner.close()

    @rule(at=minutes, value=values)
    def tell(self, at: int, value: Decimal) -> None:
        self.serial += 1
        told = event(str(value), id=f"e{self.serial}", at=START + timedelta(minutes=at))
        assert names(self.runner.run(self.world.tell(told, told))) == ["Accepted", "Duplicate"]
        self.counting[f"e{self.serial}"] = (START + timedelta(minutes=at), value)

    @precondition(lambda self: self.counting)
    @rule(data=st.data())
    def void(self, data: st.DataObject) -> None:
        id = data.draw(st.sampled_from(sorted(self.counting)))
        if "~" in id or id.startswith("b"):
            return
        correction = self.runner.run(self._void(id))
        self.undone[correction] = {id: self.counting.pop(id)}
        self.corrections.append(correction)

    @precondition(lambda self: self.counting)
    @rule(data=st.data(), at=minutes, value=values)
    def replace(self, data: st.DataObject, at: int, value: Decimal) -> None:
        id = data.draw(st.sampled_from(sorted(self.counting)))
        if "~" in id or id.startswith("b"):
            return
        when = START + timedelta(minutes=at)
        correction = self.runner.run(self._replace(id, Change(value=value, occurred_at=when)))
        made = f"{id}~{correction}"
        self.undone[correction] = {id: self.counting.pop(id), made: None}
        self.counting[made] = (when, value)
        self.corrections.append(correction)

    @rule(at=past_minutes, values=st.lists(values, max_size=3), replaces=st.booleans())
    def backfill(self, at: int, values: list[Decimal], replaces: bool) -> None:  # noqa: FBT001
        start = START + timedelta(minutes=at)
        period = Period(start=start, end=start + timedelta(hours=5, minutes=30))
        self.serial += 1
        made = {f"b{self.serial}-{n}": (start + timedelta(hours=n), value) for n, value in enumerate(values)}
        correction = self.runner.run(self._backfill(period, made, replaces=replaces))
        gone = {id: was for id, was in self.counting.items() if replaces and period.contains(was[0])}
        for id in gone:
            del self.counting[id]
        self.undone[correction] = {**gone, **dict.fromkeys(made)}
        self.counting |= made
        self.corrections.append(correction)

    @precondition(lambda self: self.corrections)
    @rule()
    def take_back_the_last(self) -> None:
        correction = self.corrections.pop()
        self.runner.run(self._revert(correction))
        for id, was in self.undone.pop(correction).items():
            if was is None:
                self.counting.pop(id, None)
            else:
                self.counting[id] = was

    @invariant()
    def counters_are_what_the_events_say(self) -> None:
        if not hasattr(self, "world"):
            return
        used, differences = self.runner.run(self._look())
        assert differences == []
        values = [value for _, value in self.counting.values()]
        assert used == (sum(values, Decimal(0)) if self.formula == "sum" else max(values, default=Decimal(0)))

    async def _look(self) -> tuple[Decimal, list[counter.Difference]]:
        customer_id = self.world.customers["cus_ada"]
        async with self.world.database.pool.acquire() as connection:
            found = await counter.compare(connection, start=hour_of(START), end=hour_of(START + timedelta(days=5)))
        used = await self.world.used(start=START, end=START + timedelta(days=4))
        return used, [each for each in found if each.customer_id == customer_id]

    async def _void(self, id: str) -> str:
        async with self.world.database.begin() as tx:
            found, owner = await self._find(tx, id)
            done = await correct_usage.void_event(tx, found=found, public_customer=owner, author=AUTHOR, now=NOW)
            return done.id

    async def _replace(self, id: str, change: Change) -> str:
        async with self.world.database.begin() as tx:
            found, owner = await self._find(tx, id)
            done = await correct_usage.replace_event(
                tx, found=found, public_customer=owner, change=change, author=AUTHOR, now=NOW
            )
            return done.id

    async def _find(self, tx, id: str):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        return await find_event(
            tx,
            environment=self.world.environment,
            identifier16=digest16(id),
            customer_id="cus_ada",
            now=NOW,
        )

    async def _backfill(self, period: Period, made: dict[str, tuple[datetime, Decimal]], *, replaces: bool) -> str:
        environment = self.world.environment
        staged = [
            Staged(identifier16=digest16(id), identifier=id, occurred_at=at, value=value, member=None, dimensions=None)
            for id, (at, value) in made.items()
        ]
        async with self.world.database.begin() as tx:
            opened = await correct_usage.open_backfill(
                tx,
                of=await customer.get(tx, environment, "cus_ada"),
                meter=self.world.meters["tokens"],
                period=period,
                replaces=replaces,
                author=AUTHOR,
                now=NOW,
            )
            await correct_usage.stage_events(tx, environment=environment, id=opened.id, events=staged, now=NOW)
            await correct_usage.close_backfill(tx, environment=environment, id=opened.id, now=NOW)
            return opened.id

    async def _revert(self, id: str) -> None:
        async with self.world.database.begin() as tx:
            await correct_usage.revert(tx, environment=self.world.environment, id=id, now=NOW)


@pytest.mark.parametrize("formula", ["sum", "max"])
def test_counters_follow_their_events(dsn: str, formula: Formula) -> None:
    machine = type("Machine", (Usage,), {"database_dsn": dsn, "formula": formula})
    few = settings(max_examples=6, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(machine, settings=few)


async def test_a_counter_that_was_tampered_with_is_named(database: Database) -> None:
    async with world(database) as w:
        meter: Meter = await w.add_meter()
        await w.add_customer()
        await w.tell(event("5", id="a", at=NOW - timedelta(hours=2)))
        async with database.begin() as tx:
            connection = await driver(tx)
            await connection.execute("update usage_hour set sum = sum + 1 where meter = $1", meter.id)
            found = await counter.compare(connection, start=hour_of(NOW - timedelta(hours=3)), end=hour_of(NOW))
            assert [(each.meter, each.counted[1], each.recounted[1]) for each in found] == [
                (meter.id, Decimal(6), Decimal(5))
            ]


async def test_an_event_is_voided_once(database: Database) -> None:
    async with world(database) as w:
        await w.add_meter()
        await w.add_customer()
        await w.tell(event("5", id="a"))

        async def void() -> None:
            async with database.begin() as tx:
                found, owner = await find_event(
                    tx, environment=w.environment, identifier16=digest16("a"), customer_id="cus_ada", now=NOW
                )
                await correct_usage.void_event(tx, found=found, public_customer=owner, author=AUTHOR, now=NOW)

        done = await asyncio.gather(*[void() for _ in range(5)], return_exceptions=True)
        assert sum(isinstance(each, Refusal) for each in done) == 4
        assert await w.used() == 0
