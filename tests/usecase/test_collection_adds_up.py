"""Whatever is switched, comes late or runs out: what the wallet paid and what was invoiced is what usage costs."""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.catalog import (
    Adjustment,
    ByDimension,
    Graduated,
    Package,
    PerUnit,
    Price,
    PriceModel,
    Product,
    RateRow,
    Recurring,
    Tier,
    Volume,
)
from meterline.catalog.collection import Collection
from meterline.customer import Customer
from meterline.meter import Formula, Meter
from meterline.money import round_half_up, subtract, to_minor
from meterline.period import Interval, Period
from meterline.rating import RatedLine, billed_total, exact_total, rate, rate_by_dimension
from meterline.store import collection as collections
from meterline.store import ledger, usage
from meterline.store import meter as meters
from meterline.store.identifier import public
from meterline.subscription.clock import TestClock
from meterline.subscription.model import Subscription
from meterline.usecase.choose_collection import collect
from meterline.usecase.correct_usage import Author, Change, find_event, replace_event, revert, void_event
from meterline.usecase.create_price import create_price
from meterline.usecase.ingest_events import Ingest, Told, identifier16
from meterline.usecase.move_funds import adjust
from meterline.usecase.subscribe_wallet import open_wallet
from meterline.usecase.write_events import Accepted
from tests.usecase.world import ENVIRONMENT, WALL, World, at

START = "2026-01-10"
DAY = timedelta(days=1)
WAYS: tuple[Collection, ...] = ("invoice", "wallet", "wallet_then_invoice")

MODELS: dict[str, tuple[PriceModel, Adjustment, Formula]] = {
    "per unit": (PerUnit(unit=Decimal("0.37")), Adjustment(), "sum"),
    "tiers": (
        Graduated(
            tiers=(
                Tier(up_to=20, unit=Decimal("10.3"), flat=Decimal(7)),
                Tier(up_to=60, unit=Decimal("4.1")),
                Tier(up_to=None, unit=Decimal("1.7"), flat=Decimal(50)),
            )
        ),
        Adjustment(),
        "sum",
    ),
    "volume": (
        Volume(tiers=(Tier(up_to=30, unit=Decimal(9)), Tier(up_to=None, unit=Decimal(4)))),
        Adjustment(),
        "sum",
    ),
    "packages": (Package(unit=Decimal(130), size=25, round="up"), Adjustment(), "sum"),
    "bounds": (
        PerUnit(unit=Decimal(11)),
        Adjustment(allowance=Decimal(5), minimum=Decimal("150.5"), maximum=Decimal(700)),
        "sum",
    ),
    "peak": (PerUnit(unit=Decimal(21)), Adjustment(), "max"),
    "rates": (
        ByDimension(
            keys=("kind",),
            rows=(
                RateRow(
                    match={"kind": "large"},
                    model=Graduated(tiers=(Tier(up_to=25, unit=Decimal("8.5")), Tier(up_to=None, unit=Decimal("3.3")))),
                ),
                RateRow(match={"kind": "*"}, model=PerUnit(unit=Decimal("1.9"))),
            ),
        ),
        Adjustment(),
        "sum",
    ),
}


@dataclass
class Story:
    """A customer who uses something under one price, month after month."""

    world: World
    ingest: Ingest
    customer: Customer
    clock: TestClock
    price: Price
    meter: Meter
    subscription: Subscription
    now: datetime
    told: list[tuple[datetime, str]] = field(default_factory=list)
    corrections: list[tuple[datetime, str]] = field(default_factory=list)

    def kind(self, quantity: int) -> dict[str, str]:
        """The dimension values of some usage: small quantities are of several small kinds."""
        if not self.meter.dimension_keys:
            return {}
        return {"kind": "large" if quantity > 12 else f"small_{quantity % 3}"}

    async def use(self, quantity: int, when: datetime) -> None:
        id = public("evt")
        [fate] = await self.ingest.take(
            [
                Told(
                    event_name=self.meter.event_name,
                    payload={"value": str(quantity), **self.kind(quantity)},
                    identifier=id,
                    customer=self.customer.id,
                    occurred_at=when,
                )
            ],
            environment=ENVIRONMENT,
            origin="own",
            now=WALL,
            keeps=lambda _: True,
        )
        assert isinstance(fate, Accepted), fate
        self.told.append((when, id))

    async def correct(self, chance: random.Random) -> None:
        """Void an event, count something else in its place, or take a correction back.

        Only of the last thirty days: invoices do not look back much further.
        """
        kind = chance.choice(["void", "replace", "revert"])
        of = self.corrections if kind == "revert" else self.told
        recent = [each for each in of if each[0] > self.now - 30 * DAY]
        if not recent:
            return
        chosen = chance.choice(recent)
        of.remove(chosen)
        when, id = chosen
        async with self.world.database.begin() as tx:
            if kind == "revert":
                await revert(tx, environment=ENVIRONMENT, id=id, now=datetime.now(UTC))
                return
            found, owner = await find_event(
                tx,
                environment=ENVIRONMENT,
                identifier16=identifier16(id, None),
                customer_id=self.customer.id,
                now=WALL,
            )
            why = Author(actor="we", reason="it was wrong")
            now = datetime.now(UTC)
            if kind == "void":
                done = await void_event(tx, found=found, public_customer=owner, author=why, now=now)
            else:
                change = Change(value=Decimal(chance.randint(0, 40)))
                done = await replace_event(tx, found=found, public_customer=owner, change=change, author=why, now=now)
            self.corrections.append((when, done.id))

    async def collect(self, way: Collection, starts_at: datetime | None = None) -> None:
        async with self.world.database.begin() as tx:
            await collect(
                tx, customer=self.customer, price=self.price, collection=way, starts_at=starts_at, now=self.now
            )

    async def top_up(self, cents: int) -> None:
        async with self.world.database.begin() as tx:
            await adjust(
                tx,
                environment=ENVIRONMENT,
                customer_id=self.customer.customer_id,
                id=public("adj"),
                asset="USD",
                amount=Decimal(cents) / 100,
                reason="external_topup",
                effective_at=None,
                expires_at=None,
                description=None,
                clock=None,
                now=self.now,
            )

    async def advance(self, to: datetime) -> None:
        await self.world.advance(self.clock, to.strftime("%Y-%m-%d %H:%M"))
        self.now = to

    async def _rated(self, tx: AsyncConnection, window: Period) -> Sequence[RatedLine]:
        wanted = usage.Wanted(customer_id=self.customer.customer_id, meter=self.meter, period=window)
        if isinstance(self.price.model, ByDimension):
            split = await usage.grouped(tx, wanted)
            return rate_by_dimension(price=self.price, formula=self.meter.formula, usage=split)
        return rate(price=self.price, quantity=(await usage.quantities(tx, [wanted]))[0])

    async def windows(self) -> dict[Period, tuple[int, Decimal, Sequence[RatedLine]]]:
        """Per window that was billed: what was invoiced, what the wallet paid in minor units, what usage cost."""
        invoiced: dict[Period, int] = {}
        for invoice in await self.world.invoices(self.subscription):
            assert invoice.status != "draft"
            for line in invoice.lines:
                if line.usage is not None:
                    invoiced[line.usage] = invoiced.get(line.usage, 0) + line.amount
        item = self.subscription.items[0].id
        ordered = sorted(invoiced, key=lambda each: each.start)
        async with self.world.database.begin() as tx:
            paid = await collections.paid(
                tx,
                customer_id=self.customer.customer_id,
                windows=[(item, self.price.id, each) for each in ordered],
            )
            rated = [await self._rated(tx, each) for each in ordered]
        return {
            each: (invoiced[each], to_minor(paid.get(n, Decimal(0)), "usd"), rated[n]) for n, each in enumerate(ordered)
        }

    async def adds_up(self) -> None:
        """What was paid and invoiced of every window is its rated total, rounded once; the books agree."""
        for window, (invoiced, paid, rated) in (await self.windows()).items():
            owed = round_half_up(subtract(exact_total(rated), paid)) if paid else billed_total(rated)
            assert invoiced == owed, (window, invoiced, paid, rated)
        async with self.world.database.pool.acquire() as connection, connection.transaction():
            assert await ledger.verify(connection, self.customer.customer_id) == []


@asynccontextmanager
async def story(world: World, model: PriceModel, adjustment: Adjustment, formula: Formula) -> AsyncIterator[Story]:
    meter = Meter(
        environment=ENVIRONMENT,
        id=public("mtr"),
        display_name="Tokens",
        event_name=public("tokens"),
        formula=formula,
        dimension_keys=model.keys if isinstance(model, ByDimension) else (),
        created=WALL,
        updated=WALL,
    )
    price = Price(
        environment=ENVIRONMENT,
        id=public("price"),
        product=public("prod"),
        currency="usd",
        model=model,
        adjustment=adjustment,
        recurring=Recurring(interval=Interval(unit="month"), usage_type="metered", meter=meter.id),
        created=WALL,
    )
    product = Product(environment=ENVIRONMENT, id=price.product, name="Tokens", created=WALL, updated=WALL)
    async with world.database.begin() as tx:
        await meters.add(tx, meter)
        await create_price(tx, new=price, along_with=product, now=WALL)
    clock = await world.clock(START)
    customer = await world.customer(clock=clock)
    async with world.database.begin() as tx:
        await open_wallet(tx, environment=ENVIRONMENT, customer_id=customer.customer_id, now=at(START))
    subscription = await world.subscribe(customer, price, now=at(START))
    ingest = Ingest(world.database)
    await ingest.start()
    try:
        yield Story(
            world=world,
            ingest=ingest,
            customer=customer,
            clock=clock,
            price=price,
            meter=meter,
            subscription=subscription,
            now=at(START),
        )
    finally:
        await ingest.stop()


Step = Literal["use", "late", "correct", "switch", "plan", "top up", "go on"]
STEPS: dict[Step, int] = {"use": 10, "late": 5, "correct": 6, "switch": 2, "plan": 1, "top up": 3, "go on": 4}


async def live(mine: Story, chance: random.Random, steps: int) -> None:
    """A random life: usage now and up to a month late, corrections, switches, money that runs out, time."""
    for step in chance.choices(list(STEPS), weights=list(STEPS.values()), k=steps):
        match step:
            case "use":
                await mine.use(chance.randint(1, 30), mine.now)
            case "late":
                earliest = max(mine.now - 30 * DAY, at(START))
                await mine.use(chance.randint(1, 30), earliest + (mine.now - earliest) * chance.random())
            case "correct":
                await mine.correct(chance)
            case "switch":
                await mine.collect(chance.choice(WAYS))
            case "plan":
                await mine.collect(chance.choice(WAYS), mine.now + timedelta(hours=chance.randint(1, 400)))
            case "top up":
                await mine.top_up(chance.randint(1, 400))
            case "go on":
                await mine.advance(mine.now + timedelta(hours=chance.randint(1, 300)))


async def lived(world: World, name: str, seed: int) -> None:
    async with story(world, *MODELS[name]) as mine:
        await mine.collect("wallet_then_invoice")
        await mine.top_up(100)
        await mine.use(12, mine.now)
        await live(mine, random.Random(f"{name} {seed}"), 40)
        for _ in range(3):
            await mine.advance(mine.now + 32 * DAY)
        await mine.adds_up()
        windows = await mine.windows()
        assert len(windows) >= 3 and any(paid for _, paid, _ in windows.values())


@pytest.mark.parametrize("name", MODELS)
async def test_paid_and_invoiced_come_to_the_rated_total(world: World, name: str) -> None:
    await lived(world, name, 0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 9))
@pytest.mark.parametrize("name", MODELS)
async def test_they_do_in_many_lives(world: World, name: str, seed: int) -> None:
    await lived(world, name, seed)
