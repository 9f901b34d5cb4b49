"""What SQL reads from counters and edges of hours is what the core says of the events themselves."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from uuid import UUID

import pytest

from meterline import meter as core
from meterline.meter import Counted, Formula, Meter, TimeWindow, UsageEvent
from meterline.store.database import Database
from tests.ingest.world import NOW, World, event, names, world

KINDS: list[tuple[Formula, TimeWindow | None]] = [
    ("sum", None), ("count", None), ("max", None), ("last", None), ("unique", None),
    ("sum", "hour"), ("count", "hour"), ("max", "hour"), ("last", "hour"), ("sum", "day"), ("last", "day"),
]  # fmt: skip
START = NOW - timedelta(days=3)


@dataclass(frozen=True)
class Told:
    """One event, told to every meter alike."""

    value: Decimal
    model: str
    occurred_at: datetime
    received_at: datetime


def history(chance: Random, *, length: int) -> list[Told]:
    """Three days of events that arrive in another order than they happened, some hours crowded, most empty."""
    crowded = [START + timedelta(hours=chance.randrange(72)) for _ in range(4)]
    seconds = chance.sample(range(3600), length)
    return [
        Told(
            value=Decimal(chance.randrange(-500, 2000)) / 100,
            model=chance.choice(["small", "large"]),
            occurred_at=chance.choice(crowded) + timedelta(seconds=second),
            received_at=NOW + timedelta(seconds=n),
        )
        for n, second in enumerate(seconds)
    ]


def edges(chance: Random, told: list[Told]) -> list[tuple[datetime, datetime]]:
    """Periods that begin and end at whole hours, inside hours, and exactly at events."""
    marks = [START, START + timedelta(days=3), *(each.occurred_at for each in told)]
    marks += [each.occurred_at.replace(minute=0, second=0) for each in told]
    marks += [START + timedelta(seconds=chance.randrange(3 * 86_400)) for _ in range(40)]
    pairs = [sorted(chance.sample(marks, 2)) for _ in range(60)]
    return [(start, end) for start, end in pairs if start < end]


def by_definition(meter: Meter, told: Iterable[Told], *, start: datetime, end: datetime) -> Decimal:
    """The quantity in [start, end) from the events themselves."""
    counted = [
        Counted(
            hour=core.window_start("hour", each.occurred_at),
            dimensions={"model": each.model},
            bucket=core.fold([usage(meter, each)]),
        )
        for each in told
        if start <= each.occurred_at < end
    ]
    return core.quantity(meter, counted)


def usage(meter: Meter, told: Told) -> UsageEvent:
    return UsageEvent(
        customer_id=UUID(int=1),
        identifier="",
        meter=meter.id,
        value=told.value,
        occurred_at=told.occurred_at,
        received_at=told.received_at,
        member=str(told.value),
    )


async def tell(w: World, told: Iterable[Told], *, customer: str) -> None:
    for n, each in enumerate(told):
        batch = [
            event(
                str(each.value), id=f"{n}-{name}", at=each.occurred_at, name=name, customer=customer, model=each.model
            )
            for name in w.meters
        ]
        assert set(names(await w.tell(*batch, now=each.received_at))) == {"Accepted"}


@pytest.mark.parametrize("seed", [1, 2])
async def test_every_formula_over_any_period(database: Database, seed: int) -> None:
    chance = Random(seed)
    told = history(chance, length=40)
    async with world(database) as w:
        await w.add_customer(f"cus_{seed}")
        for formula, window in KINDS:
            await w.add_meter(f"{formula}_{window}", formula=formula, window=window, dimensions=("model",))
        await tell(w, told, customer=f"cus_{seed}")
        for start, end in edges(chance, told):
            for name, meter in w.meters.items():
                expected = by_definition(meter, told, start=start, end=end)
                assert await w.used(name, customer=f"cus_{seed}", start=start, end=end) == expected, (name, start, end)
