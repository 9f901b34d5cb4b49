"""The loop of one worker process: due work and advancing clocks, until told to stop."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import structlog

from meterline.store import due
from meterline.store.database import TROUBLE, Database
from meterline.store.identifier import uuid7
from meterline.worker.clock import advance_claimed
from meterline.worker.handler import Handlers
from meterline.worker.wall import run_due

log = structlog.get_logger(__name__)


def wall_clock() -> datetime:
    """Now, UTC, in whole seconds as everything on the wire is."""
    return datetime.now(UTC).replace(microsecond=0)


@dataclass(slots=True, kw_only=True)
class Worker:
    """One worker. `lease` is how long a claim outlives a worker that died; `poll` how often to look when
    nobody kicks. A kick (NOTIFY) is a hint that saves waiting, never needed. `beside` runs until `stop` as well.
    """

    database: Database
    handlers: Handlers
    lease: timedelta = timedelta(seconds=30)
    poll: timedelta = timedelta(seconds=1)
    wall: Callable[[], datetime] = wall_clock
    owner: UUID = field(default_factory=uuid7)
    beside: Sequence[Callable[[asyncio.Event], Awaitable[None]]] = ()
    _kicks: list[asyncio.Event] = field(default_factory=list)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; the pieces in hand are finished first."""
        stopping = asyncio.create_task(self._kick_on(stop))
        listening = asyncio.create_task(self._listen())
        try:
            await asyncio.gather(
                self._keep(stop, self._due_work),
                self._keep(stop, self._advancing_clocks),
                *(each(stop) for each in self.beside),
            )
        finally:
            for task in (stopping, listening):
                task.cancel()
            await asyncio.gather(stopping, listening, return_exceptions=True)

    async def _due_work(self) -> bool:
        return await run_due(self.database, self.handlers, now=self.wall(), lease=self.lease) > 0

    async def _advancing_clocks(self) -> bool:
        return await advance_claimed(self.database, self.handlers, owner=self.owner, wall=self.wall, lease=self.lease)

    async def _keep(self, stop: asyncio.Event, work: Callable[[], Awaitable[bool]]) -> None:
        """Repeat `work` while there is some, else wait for a kick or the next poll."""
        kick = asyncio.Event()
        self._kicks.append(kick)
        while not stop.is_set():
            kick.clear()
            try:
                if await work():
                    continue
            except TROUBLE:
                log.exception("worker_interrupted")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(kick.wait(), self.poll.total_seconds())

    async def _listen(self) -> None:
        """Pass on the kicks of other processes; without a connection the polling goes on alone."""
        while True:
            try:
                async with self.database.pool.acquire() as connection:
                    await connection.add_listener(due.CHANNEL, self._heard)
                    self._kick()
                    try:
                        await _closed(connection)
                    finally:
                        await connection.remove_listener(due.CHANNEL, self._heard)
            except TROUBLE:
                log.warning("worker_not_listening", exc_info=True)
            await asyncio.sleep(self.poll.total_seconds())

    async def _kick_on(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._kick()

    def _heard(self, *_: object) -> None:
        self._kick()

    def _kick(self) -> None:
        for kick in self._kicks:
            kick.set()


async def _closed(connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]") -> None:
    """Returns when the server is gone."""
    closed = asyncio.Event()
    connection.add_termination_listener(lambda _: closed.set())
    await closed.wait()
