"""Usage that is stored while a wallet's subscription begins, or before: debited once, whoever commits first."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import pytest_asyncio

from meterline.catalog import Graduated, Tier
from meterline.customer import Customer
from meterline.ledger.account import Account
from meterline.store import customer, ledger
from meterline.store.database import Database
from meterline.store.event import digest16
from meterline.store.identifier import public, uuid7
from meterline.usecase import correct_usage, debit_stored, subscribe_wallet
from meterline.usecase.correct_usage import Author, find_event
from meterline.usecase.ingest_events import Ingest, Told
from meterline.usecase.publish_offer import NewPrice, create_offer
from meterline.usecase.subscribe_wallet import Chosen, When, open_wallet
from meterline.usecase.write_events import Accepted, Duplicate
from meterline.worker.registry import HANDLERS
from meterline.worker.wall import run_due

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
MODEL = Graduated(tiers=(Tier(up_to=3, unit=Decimal(100)), Tier(up_to=None, unit=Decimal(50))))
"""A dollar each for three, and half of one from then on."""


class Shop:
    """Something sold by the event, and what became of its usage."""

    def __init__(self, database: Database, ingest: Ingest, event_type: str) -> None:
        self.database = database
        self.ingest = ingest
        self.event_type = event_type

    async def born(self) -> Customer:
        new = Customer(environment="test", customer_id=uuid7(), id=public("cus"), created=NOW, invoice_prefix="JANE")
        async with self.database.begin() as tx:
            await customer.add(tx, new)
        return new

    async def subscribe(
        self, who: Customer, *, since: datetime | None = None, meanwhile: asyncio.Event | None = None
    ) -> None:
        """Subscribe, with a wallet to pay from; `meanwhile` is set when all is written and nothing committed."""
        async with self.database.begin() as tx:
            await open_wallet(tx, environment="test", customer_id=who.customer_id, now=NOW)
            await subscribe_wallet.subscribe(
                tx,
                environment="test",
                customer_id=who.customer_id,
                chosen=[Chosen(key=self.event_type)],
                when=When(starts_at=since),
                clock=None,
                now=NOW,
            )
            if meanwhile is not None:
                await meanwhile.wait()

    async def tell(self, who: Customer, id: str, *, at: datetime | None = None, now: datetime = NOW + SECOND) -> object:
        told = Told(event_name=self.event_type, payload={"value": "1"}, identifier=id, occurred_at=at, customer=who.id)
        (fate,) = await self.ingest.take([told], environment="test", origin="own", now=now, keeps=lambda _: True)
        return fate

    async def work_until(self, now: datetime) -> None:
        while await run_due(self.database, HANDLERS, now=now, lease=HOUR):
            pass

    async def paid(self, who: Customer) -> Decimal:
        """What the customer's usage came to."""
        async with self.database.pool.acquire() as connection, connection.transaction():
            assert await ledger.verify(connection, who.customer_id) == []
            books = (await ledger.balances(connection, [who.customer_id])).get(who.customer_id, {})
        return books.get(Account("revenue", "USD"), Decimal(0))


@pytest_asyncio.fixture
async def shop(database: Database) -> AsyncIterator[Shop]:
    event_type = public("event")
    price = NewPrice(name="Usage", asset="USD", model=MODEL, event_type=event_type)
    async with database.begin() as tx:
        await create_offer(
            tx,
            environment="test",
            name="Usage",
            code=event_type,
            prices=[price],
            entitlements=[],
            publish=True,
            now=NOW,
        )
    ingest = Ingest(database)
    await ingest.start()
    try:
        yield Shop(database, ingest, event_type)
    finally:
        await ingest.stop()


async def test_what_is_stored_just_before_a_subscription_commits_is_debited_later_and_once(shop: Shop) -> None:
    jane = await shop.born()
    stored = asyncio.Event()
    subscribing = asyncio.create_task(shop.subscribe(jane, meanwhile=stored))
    fate = await shop.tell(jane, "in_flight")
    assert isinstance(fate, Accepted) and fate.debited is None
    stored.set()
    await subscribing
    assert isinstance(await shop.tell(jane, "after", now=NOW + 2 * SECOND), Accepted)
    assert await shop.paid(jane) == 1
    for _ in range(2):
        await shop.work_until(NOW + HOUR)
        assert isinstance(await shop.tell(jane, "in_flight", now=NOW + HOUR), Duplicate)
        assert await shop.paid(jane) == 2


async def test_usage_since_a_start_in_the_past_is_debited_however_much_there_is(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(debit_stored, "AT_ONCE", 2)
    jane = await shop.born()
    for n in range(7):
        await shop.tell(jane, f"old_{n}", at=NOW - n * HOUR)
    await shop.tell(jane, "at_the_same_time", at=NOW - 3 * HOUR)
    await shop.subscribe(jane, since=NOW - 5 * HOUR)
    await shop.work_until(NOW + SECOND)
    # The one before the start is neither paid nor counted: three at a dollar, four at half of one.
    assert await shop.paid(jane) == 5
    await shop.work_until(NOW + HOUR)
    assert await shop.paid(jane) == 5


async def test_what_was_taken_back_meanwhile_is_not_debited(shop: Shop) -> None:
    jane = await shop.born()
    await shop.tell(jane, "kept", at=NOW)
    await shop.tell(jane, "voided", at=NOW)
    await shop.subscribe(jane)
    async with shop.database.begin() as tx:
        found, owner = await find_event(
            tx, environment="test", identifier16=digest16("voided"), customer_id=jane.id, now=NOW
        )
        author = Author(actor="key_test", reason="never happened")
        await correct_usage.void_event(tx, found=found, public_customer=owner, author=author, now=NOW)
    await shop.work_until(NOW + HOUR)
    assert await shop.paid(jane) == 1


async def test_whoever_comes_first_every_event_is_debited_once(shop: Shop) -> None:
    people = [await shop.born() for _ in range(12)]

    async def live(who: Customer, place: int) -> None:
        for n in range(6):
            if n == place % 6:
                await asyncio.gather(shop.subscribe(who), shop.tell(who, f"{n}"))
            else:
                await shop.tell(who, f"{n}")

    await asyncio.gather(*[live(who, place) for place, who in enumerate(people)])
    await shop.work_until(NOW + HOUR)
    assert [await shop.paid(who) for who in people] == [Decimal("4.5")] * len(people)
