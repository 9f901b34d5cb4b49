"""A small world to count usage in: an environment, its meters and customers, and events told to it."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from uuid import UUID

from meterline.customer import Customer
from meterline.meter import Formula, Meter, TimeWindow
from meterline.period import Period
from meterline.store import customer as customer_store
from meterline.store import meter as meter_store
from meterline.store import usage
from meterline.store.database import Database
from meterline.store.identifier import public, uuid7
from meterline.usecase.ingest_events import Ingest, Settings, Told
from meterline.usecase.write_events import Fate

NOW = datetime(2026, 3, 18, 12, 34, 56, tzinfo=UTC)

_numbers = count(1)


@dataclass
class World:
    """One environment. Every method that tells events answers their fates."""

    database: Database
    ingest: Ingest
    environment: str
    meters: dict[str, Meter] = field(default_factory=dict)
    customers: dict[str, UUID] = field(default_factory=dict)

    async def add_meter(
        self,
        event_name: str = "tokens",
        *,
        formula: Formula = "sum",
        window: TimeWindow | None = None,
        dimensions: tuple[str, ...] = (),
    ) -> Meter:
        made = Meter(
            environment=self.environment,
            id=public("mtr"),
            display_name=event_name,
            event_name=event_name,
            formula=formula,
            event_time_window=window,
            dimension_keys=dimensions,
            created=NOW,
            updated=NOW,
        )
        async with self.database.begin() as tx:
            await meter_store.add(tx, made)
        self.meters[event_name] = made
        return made

    async def add_customer(self, id: str = "cus_ada", *, test_clock: str | None = None) -> UUID:
        made = uuid7()
        new = Customer(
            environment=self.environment,
            customer_id=made,
            id=id,
            created=NOW,
            invoice_prefix=f"P{next(_numbers):07}",
            test_clock=test_clock,
        )
        async with self.database.begin() as tx:
            await customer_store.add(tx, new)
        self.customers[id] = made
        return made

    async def tell(self, *told: Told, now: datetime = NOW) -> list[Fate]:
        """Send events as our own route does; what was not counted is kept."""
        return await self.ingest.take(told, environment=self.environment, origin="own", now=now, keeps=lambda _: True)

    async def used(
        self,
        event_name: str = "tokens",
        *,
        customer: str = "cus_ada",
        start: datetime = NOW - timedelta(days=40),
        end: datetime = NOW + timedelta(days=2),
        dimensions: Mapping[str, str] | None = None,
    ) -> Decimal:
        async with self.database.begin() as tx:
            return await usage.quantity(
                tx,
                customer_id=self.customers[customer],
                meter=self.meters[event_name],
                period=Period(start=start, end=end),
                dimensions=dimensions,
            )


def event(
    value: object = "1",
    *,
    id: str | None = None,
    at: datetime | None = None,
    name: str = "tokens",
    customer: str = "cus_ada",
    **more: str,
) -> Told:
    """An event of `customer` at `at` (server time when None)."""
    return Told(
        event_name=name,
        payload={"stripe_customer_id": customer, "value": value, **more},
        identifier=id,
        occurred_at=at,
    )


def names(fates: Iterable[Fate]) -> list[str]:
    """What became of each event, in a word."""
    return [type(fate).__name__ for fate in fates]


@asynccontextmanager
async def world(database: Database, *, settings: Settings | None = None) -> AsyncIterator[World]:
    """A fresh environment with ingest running."""
    ingest = Ingest(database, settings)
    await ingest.start()
    try:
        yield World(database, ingest, f"env{next(_numbers)}")
    finally:
        await ingest.stop()
