"""A backfill that replaces usage somebody else is taking back at the same time."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from meterline.limit.budget import Budget
from meterline.period import Period
from meterline.store import meter
from meterline.store.database import Database
from meterline.store.event import digest16
from meterline.store.usage import HOUR, hour_of
from meterline.usecase import keep_budget
from meterline.usecase.correct_usage import Author, close_backfill, find_event, open_backfill, void_event
from meterline.usecase.ingest_events import Ingest, Told
from meterline.usecase.work_wallet import work_on
from tests.usecase.test_wallet_ingest import furnished

AUTHOR = Author(actor="key_test", reason="never happened")


async def test_an_event_that_is_voided_meanwhile_leaves_the_budget_once(database: Database) -> None:
    event_type, (who,) = await furnished(database, 1)
    now = datetime.now(UTC)
    at = hour_of(now) - 2 * HOUR

    async def spent() -> Decimal:
        async with database.begin() as tx:
            work = await work_on(tx, environment="test", customer_id=who.customer_id, now=now)
            (standing,) = await keep_budget.standings(work)
            return standing.spent

    async with database.begin() as tx:
        work = await work_on(tx, environment="test", customer_id=who.customer_id, now=now)
        await keep_budget.put(work, Budget(id="calls", usage=event_type, amount=Decimal(100), window="total"))
    ingest = Ingest(database)
    await ingest.start()
    try:
        for value, when in (("5", at), ("7", at + timedelta(minutes=1)), ("11", at - HOUR)):
            told = Told(
                event_name=event_type,
                payload={"value": value},
                identifier=f"{event_type}_{value}",
                customer=who.id,
                occurred_at=when,
            )
            await ingest.take([told], environment="test", origin="own", now=now, keeps=lambda _: True)
    finally:
        await ingest.stop()
    assert await spent() == 23

    async with database.begin() as tx:
        counted = next(each for each in (await meter.catalog(tx, "test")).values() if each.event_name == event_type)
        opened = await open_backfill(
            tx, of=who, meter=counted, period=Period(start=at, end=at + HOUR), replaces=True, author=AUTHOR, now=now
        )

    async def close() -> None:
        async with database.begin() as tx:
            await close_backfill(tx, environment="test", id=opened.id, now=now)

    async with database.begin() as tx:
        found, owner = await find_event(
            tx, environment="test", identifier16=digest16(f"{event_type}_5"), customer_id=who.id, now=now
        )
        await void_event(tx, found=found, public_customer=owner, author=AUTHOR, now=now)
        closing = asyncio.create_task(close())
        await asyncio.sleep(1)
        assert not closing.done()
    await closing
    assert await spent() == 11
