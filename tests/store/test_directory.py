"""What a process remembers of customers is looked up once for all who wait for it."""

import asyncio
from datetime import UTC, datetime

from meterline.customer import Customer
from meterline.store import customer
from meterline.store.database import Database
from meterline.store.directory import Directory
from meterline.store.identifier import uuid7

NEW = Customer(
    environment="test",
    customer_id=uuid7(),
    id="cus_shared",
    created=datetime(2026, 1, 1, tzinfo=UTC),
    invoice_prefix="SHARED",
)


async def test_who_goes_away_takes_nobody_along(database: Database) -> None:
    async with database.begin() as tx:
        await customer.add(tx, NEW)
    directory = Directory(database)
    leaving, staying = (asyncio.create_task(directory.customers("test", [NEW.id])) for _ in range(2))
    await asyncio.sleep(0)

    leaving.cancel()
    found = await staying

    assert found[NEW.id].customer_id.bytes == NEW.customer_id.bytes
    assert leaving.cancelled()
