"""Tiers of a wallet's subscription count what it debited since it began, in whichever versions, and nothing else."""

import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import pytest_asyncio

from meterline.catalog import ByDimension, Graduated, Package, PriceModel, RateRow, Tier, Volume
from meterline.catalog.offer import Cadence, span_start
from meterline.customer import Customer
from meterline.ledger.account import Account
from meterline.store import customer, ledger, offer
from meterline.store.database import Database
from meterline.store.identifier import public, uuid7
from meterline.usecase import subscribe_wallet
from meterline.usecase.debit_usage import cost_of
from meterline.usecase.ingest_events import Ingest, Told
from meterline.usecase.publish_offer import NewPrice, add_version, create_offer
from meterline.usecase.subscribe_wallet import Chosen, open_wallet
from meterline.usecase.write_events import Accepted

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
TIERS = Graduated(tiers=(Tier(up_to=10, unit=Decimal(100), flat=Decimal(7)), Tier(up_to=None, unit=Decimal(30))))
MODELS: dict[str, tuple[PriceModel, Cadence]] = {
    "for ever": (TIERS, "lifetime"),
    "daily": (TIERS, "day"),
    "monthly": (Volume(tiers=(Tier(up_to=20, unit=Decimal(9)), Tier(up_to=None, unit=Decimal(8)))), "month"),
    "by row": (
        ByDimension(
            keys=("model",),
            rows=(
                RateRow(match={"model": "large"}, model=TIERS),
                RateRow(match={"model": "*"}, model=Package(size=7, unit=Decimal(100))),
            ),
        ),
        "month",
    ),
}


@dataclass
class Life:
    """A customer who used something before they were subscribed to it."""

    database: Database
    ingest: Ingest
    code: str
    price: NewPrice
    who: Customer
    cadence: Cadence
    now: datetime = START
    subscription: str | None = None
    active: bool = False
    used: dict[tuple[str, datetime], Decimal] = field(default_factory=dict)
    """Since the subscription began and while it was active, by row and span."""

    async def use(self, quantity: int, model: str = "large") -> None:
        told = Told(
            event_name=self.code,
            payload={"value": str(quantity), "model": model},
            identifier=public("evt"),
            occurred_at=self.now,
            customer=self.who.id,
        )
        (fate,) = await self.ingest.take([told], environment="test", origin="own", now=self.now, keeps=lambda _: True)
        assert isinstance(fate, Accepted)
        if self.active:
            row = f"model={'large' if model == 'large' else '*'}" if self.price.dimensions else ""
            key = (row, span_start(self.cadence, self.now))
            self.used[key] = self.used.get(key, Decimal(0)) + quantity

    async def subscribe(self) -> None:
        async with self.database.begin() as tx:
            made = await subscribe_wallet.subscribe(
                tx,
                environment="test",
                customer_id=self.who.customer_id,
                chosen=[Chosen(key=self.code)],
                clock=None,
                now=self.now,
            )
        self.subscription, self.active = made.id, True

    async def migrate(self, chance: random.Random | None = None) -> None:
        """To a new version with the same price, or by chance to any."""
        assert self.subscription is not None
        async with self.database.begin() as tx:
            sold, _ = await add_version(
                tx,
                environment="test",
                key=self.code,
                prices=[self.price],
                entitlements=[],
                publish=True,
                make_default=True,
                now=self.now,
            )
        async with self.database.begin() as tx:
            await subscribe_wallet.migrate(
                tx,
                customer_id=self.who.customer_id,
                id=self.subscription,
                key=self.code,
                version=None if chance is None else chance.choice([None, chance.randint(1, sold.latest_version)]),
                clock=None,
                now=self.now,
            )

    async def turn(self) -> None:
        """End the subscription, or begin it again."""
        assert self.subscription is not None
        self.active = not self.active
        async with self.database.begin() as tx:
            await subscribe_wallet.set_status(
                tx,
                customer_id=self.who.customer_id,
                id=self.subscription,
                active=self.active,
                clock=None,
                now=self.now,
            )

    async def paid(self) -> Decimal:
        async with self.database.pool.acquire() as connection, connection.transaction():
            assert await ledger.verify(connection, self.who.customer_id) == []
            books = (await ledger.balances(connection, [self.who.customer_id])).get(self.who.customer_id, {})
        return books.get(Account("revenue", "USD"), Decimal(0))

    async def owed(self) -> Decimal:
        """What was used in each span since it began costs, by the price that all versions have."""
        async with self.database.pool.acquire() as connection:
            tariff = (await offer.tariffs(connection, [self.who.customer_id]))[0]
            price = (await offer.prices(connection, "test", [tariff.price]))[tariff.price]
        return sum((cost_of(price, row, quantity) for (row, _), quantity in self.used.items()), Decimal(0))


@pytest_asyncio.fixture
async def ingest(database: Database) -> AsyncIterator[Ingest]:
    running = Ingest(database)
    await running.start()
    try:
        yield running
    finally:
        await running.stop()


async def born(database: Database, ingest: Ingest, model: PriceModel, cadence: Cadence) -> Life:
    code = public("event")
    dimensions = model.keys if isinstance(model, ByDimension) else ()
    price = NewPrice(name="Usage", asset="USD", model=model, event_type=code, dimensions=dimensions, cadence=cadence)
    who = Customer(environment="test", customer_id=uuid7(), id=public("cus"), created=START, invoice_prefix="JANE")
    async with database.begin() as tx:
        await customer.add(tx, who)
        await open_wallet(tx, environment="test", customer_id=who.customer_id, now=START)
        await create_offer(
            tx,
            environment="test",
            name=code,
            code=code,
            prices=[price],
            entitlements=[],
            publish=True,
            now=START,
        )
    return Life(database=database, ingest=ingest, code=code, price=price, who=who, cadence=cadence)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", MODELS)
async def test_what_is_paid_is_the_cost_of_what_was_used_since_the_subscription_began(
    database: Database, ingest: Ingest, name: str, seed: int
) -> None:
    chance = random.Random(f"{name} {seed}")
    life = await born(database, ingest, *MODELS[name])
    for _ in range(3):
        await life.use(chance.randint(1, 9), chance.choice(["large", "small"]))
        life.now += HOUR
    await life.subscribe()
    for _ in range(30):
        life.now += timedelta(minutes=chance.randint(1, 240))
        step = chance.choices(["use", "migrate", "turn"], weights=[6, 2, 1])[0]
        if step == "use":
            await life.use(chance.randint(1, 9), chance.choice(["large", "small"]))
        elif step == "migrate":
            await life.migrate(chance)
        else:
            await life.turn()
    assert await life.paid() == await life.owed()


async def test_a_package_that_was_begun_is_not_charged_again_by_the_next_version(
    database: Database, ingest: Ingest
) -> None:
    life = await born(database, ingest, Package(size=10, unit=Decimal(100)), "month")
    await life.use(9)
    await life.subscribe()
    await life.use(4)
    assert await life.paid() == 1
    life.now += HOUR
    await life.migrate()
    await life.use(6)
    assert await life.paid() == 1
    await life.use(1)
    assert await life.paid() == 2
