"""The delivering half of a worker, run in a thread beside the test."""

import asyncio
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import asyncpg

from meterline.api.outgoing import payload
from meterline.gateway.webhook import Reach, Sender
from meterline.store.database import Database
from meterline.store.delivery import publish
from meterline.worker.delivery import Deliveries


class Ahead:
    """A wall clock that can be set ahead, so that a back-off of days is over at once."""

    def __init__(self) -> None:
        self.by = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.by


@contextmanager
def delivering(dsn: str, clock: Ahead | None = None, *, timeout_s: float = 10) -> Iterator[None]:
    """Publish and deliver on that database until the block ends."""
    told = queue.SimpleQueue[tuple[asyncio.AbstractEventLoop, asyncio.Event]]()
    thread = threading.Thread(target=lambda: asyncio.run(_run(dsn, told, clock or Ahead(), timeout_s)), daemon=True)
    thread.start()
    loop, stop = told.get(timeout=60)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(60)
        assert not thread.is_alive(), "the deliveries did not stop"


async def _run(
    dsn: str, told: "queue.SimpleQueue[tuple[asyncio.AbstractEventLoop, asyncio.Event]]", clock: Ahead, timeout_s: float
) -> None:
    stop = asyncio.Event()
    told.put((asyncio.get_running_loop(), stop))
    database = Database(dsn)
    await database.open()
    async with Sender(live=Reach(), test=Reach(loopback=True), timeout_s=timeout_s) as sender:
        deliveries = Deliveries(
            database=database, sender=sender, render=payload, poll=timedelta(milliseconds=50), clock=clock
        )
        await deliveries.run(stop)
    await database.close()


def publish_all(dsn: str) -> None:
    """Publish what waits, for the endpoints that there are now."""
    asyncio.run(_publish_all(dsn))


async def _publish_all(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        while await publish(connection, now=datetime.now(UTC), limit=1_000):
            pass
    finally:
        await connection.close()
