"""Usage as Stripe's routes leave it at an instant, for every formula: what came through them later is not in it."""

from datetime import timedelta
from random import Random

from meterline.period import Period
from meterline.store import usage
from meterline.store.database import Database
from meterline.usecase.ingest_events import Origin
from tests.ingest.test_usage_as_defined import KINDS, START, by_definition, history
from tests.ingest.world import NOW, event, names, world

HALFWAY = NOW + timedelta(seconds=20)
ROUTES: tuple[Origin, ...] = ("own", "v1", "v2", "stream")


async def test_what_came_late_through_stripes_routes_is_left_out(database: Database) -> None:
    chance = Random(3)
    told = [(each, chance.choice(ROUTES)) for each in history(chance, length=40)]
    in_time = [each for each, route in told if route == "own" or each.received_at <= HALFWAY]
    assert len(in_time) < len(told)
    async with world(database) as w:
        owner = await w.add_customer()
        for formula, window in KINDS:
            await w.add_meter(f"{formula}_{window}", formula=formula, window=window, dimensions=("model",))
        for n, (each, route) in enumerate(told):
            batch = [
                event(str(each.value), id=f"{n}-{name}", at=each.occurred_at, name=name, model=each.model)
                for name in w.meters
            ]
            fates = await w.ingest.take(
                batch, environment=w.environment, origin=route, now=each.received_at, keeps=lambda _: True
            )
            assert set(names(fates)) == {"Accepted"}
        for days in (1, 2, 3):
            period = Period(start=START + timedelta(minutes=7), end=START + timedelta(days=days, minutes=-11))
            for name, meter in w.meters.items():
                async with database.begin() as tx:
                    wanted = usage.Wanted(
                        customer_id=owner, meter=meter, period=period, in_time=HALFWAY + timedelta(milliseconds=1)
                    )
                    [found] = await usage.quantities(tx, [wanted])
                assert found == by_definition(meter, in_time, start=period.start, end=period.end), (name, days)
