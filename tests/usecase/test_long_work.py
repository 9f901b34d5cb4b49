"""Work in stages may take longer than a claim lasts: it stays its worker's."""

import asyncio
from datetime import datetime, timedelta

from meterline.store import due
from meterline.store.database import Database
from meterline.store.due import Due
from meterline.worker.handler import Handlers
from meterline.worker.wall import run_due
from tests.usecase.test_due import planned
from tests.usecase.world import WALL, World

LEASE = timedelta(milliseconds=30)


async def test_a_claim_lasts_as_long_as_its_work(world: World) -> None:
    row = await planned(world, "long", subject="a night's work")
    seen: list[datetime] = []

    async def work(database: Database, row: Due, now: datetime) -> None:
        while not seen or seen[-1] <= WALL + 2 * LEASE:
            await asyncio.sleep(0.01)
            async with database.begin() as tx:
                [kept] = await due.of_subject(tx, customer_id=row.customer_id, subject=row.subject)
            assert kept.claimed_until is not None
            seen.append(kept.claimed_until)
            assert len(seen) < 500, "the claim is not prolonged"

    handlers = Handlers(in_transaction={}, in_stages={"long": work})
    assert await run_due(world.database, handlers, now=WALL, lease=LEASE) == 1
    async with world.database.begin() as tx:
        assert await due.of_subject(tx, customer_id=row.customer_id, subject=row.subject) == []
