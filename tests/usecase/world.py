"""A small world for use-case tests: one environment's customers, prices and subscriptions on a real database."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from meterline.catalog import PerUnit, Price, Product, Recurring
from meterline.customer import Customer
from meterline.invoice.model import Invoice
from meterline.meter import Meter
from meterline.period import Interval, Unit
from meterline.store import clock as clocks
from meterline.store import customer as customers
from meterline.store import invoice as invoices
from meterline.store import meter as meters
from meterline.store import subscription as subscriptions
from meterline.store.database import Database
from meterline.store.identifier import public, uuid7
from meterline.subscription.clock import TestClock
from meterline.subscription.model import Subscription
from meterline.usecase.advance_test_clock import advance_test_clock
from meterline.usecase.attach_payment_method import attach_payment_method
from meterline.usecase.create_customer import create_customer
from meterline.usecase.create_price import create_price
from meterline.usecase.create_subscription import Asked, AskedItem, create_subscription
from meterline.usecase.create_test_clock import create_test_clock
from meterline.worker.clock import advance_claimed
from meterline.worker.registry import HANDLERS

ENVIRONMENT = "test"
WALL = datetime(2026, 1, 1, tzinfo=UTC)
LEASE = timedelta(seconds=30)


def at(text: str) -> datetime:
    """`at("2026-01-31")` or `at("2026-01-31 12:00")`, UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What tests do in words of the domain; every method is one committed transaction."""

    database: Database

    async def clock(self, frozen: str) -> TestClock:
        async with self.database.begin() as tx:
            return await create_test_clock(tx, environment=ENVIRONMENT, frozen_time=at(frozen), name=None, now=WALL)

    async def customer(self, *, clock: TestClock | None = None, card: str | None = "pm_card_visa") -> Customer:
        id = public("cus")
        new = Customer(
            environment=ENVIRONMENT,
            customer_id=uuid7(),
            id=id,
            created=WALL,
            invoice_prefix=id[-8:].upper(),
            test_clock=None if clock is None else clock.id,
        )
        if card is not None:
            new = replace(new, invoice_settings=replace(new.invoice_settings, default_payment_method=card))
        async with self.database.begin() as tx:
            return await create_customer(tx, new=new, payment_method=card, now=WALL)

    async def swap_card(self, customer: Customer, card: str) -> None:
        """The customer pays with another card from now on."""
        async with self.database.begin() as tx:
            found = await customers.lock(tx, customer.customer_id)
            method = await attach_payment_method(tx, customer=found, id=card, now=WALL)
            settings = replace(found.invoice_settings, default_payment_method=method.id)
            await customers.save(tx, replace(found, invoice_settings=settings))

    async def price(self, *, unit: str = "1000", every: Unit = "month", count: int = 1) -> Price:
        new = self._price(unit, Recurring(interval=Interval(unit=every, count=count)))
        product = Product(environment=ENVIRONMENT, id=new.product, name="Seats", created=WALL, updated=WALL)
        async with self.database.begin() as tx:
            return await create_price(tx, new=new, along_with=product, now=WALL)

    async def metered(self, *, unit: str = "0.1", every: Unit = "month") -> Price:
        meter = Meter(
            environment=ENVIRONMENT,
            id=public("mtr"),
            display_name="Tokens",
            event_name=public("tokens"),
            formula="sum",
            created=WALL,
            updated=WALL,
        )
        recurring = Recurring(interval=Interval(unit=every), usage_type="metered", meter=meter.id)
        new = self._price(unit, recurring)
        product = Product(environment=ENVIRONMENT, id=new.product, name="Tokens", created=WALL, updated=WALL)
        async with self.database.begin() as tx:
            await meters.add(tx, meter)
            return await create_price(tx, new=new, along_with=product, now=WALL)

    def _price(self, unit: str, recurring: Recurring) -> Price:
        return Price(
            environment=ENVIRONMENT,
            id=public("price"),
            product=public("prod"),
            currency="usd",
            model=PerUnit(unit=Decimal(unit)),
            recurring=recurring,
            created=WALL,
        )

    async def subscribe(
        self, customer: Customer, *prices: Price, now: datetime = WALL, asked: Asked | None = None
    ) -> Subscription:
        items = [AskedItem(param=f"items[{place}]", price=price.id) for place, price in enumerate(prices)]
        blank = asked or Asked(environment=ENVIRONMENT, customer="", items=())
        async with self.database.begin() as tx:
            return await create_subscription(tx, replace(blank, customer=customer.id, items=items), now=now)

    async def advance(self, clock: TestClock, to: str) -> TestClock:
        """Advance the clock with a worker of our own; the clock as it then is."""
        async with self.database.begin() as tx:
            await advance_test_clock(tx, environment=ENVIRONMENT, id=clock.id, to=at(to), now=WALL)
        while await advance_claimed(self.database, HANDLERS, owner=uuid7(), wall=lambda: WALL, lease=LEASE):
            pass
        async with self.database.begin() as tx:
            found = await clocks.find(tx, environment=ENVIRONMENT, id=clock.id)
        assert found is not None
        return found

    async def subscription(self, id: str) -> Subscription:
        async with self.database.begin() as tx:
            return (await subscriptions.find(tx, ENVIRONMENT, [id]))[id]

    async def invoices(self, subscription: Subscription, *, status: Sequence[str] = ()) -> list[Invoice]:
        """The subscription's invoices, oldest first."""
        states = status or ("draft", "open", "paid", "void", "uncollectible")
        async with self.database.begin() as tx:
            return await invoices.of_subscription(
                tx, customer_id=subscription.customer_id, subscription=subscription.id, status=states
            )
