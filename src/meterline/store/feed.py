"""The live feed: published notices as they come, for whoever watches.

One listening connection per process wakes every follower. The hint may be lost; the look every few seconds is
not, and what a follower gets is read from rows by position, so it misses nothing and sees nothing twice.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import asyncpg
import structlog

from meterline.store import notice
from meterline.store.database import Database
from meterline.store.delivery import PUBLISHED
from meterline.store.notice import Notice

log = structlog.get_logger(__name__)

_INTERRUPTIONS = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
_BATCH = 500


class Feed:
    """The published notices of one database, followed by any number of watchers in this process."""

    def __init__(self, database: Database, *, poll: timedelta = timedelta(seconds=2)) -> None:
        self._database = database
        self._poll_s = poll.total_seconds()
        self._news = asyncio.Event()
        self._ended = False
        self._listening: asyncio.Task[None] | None = None

    async def position(self) -> int:
        """The position of the newest published notice; 0 when there is none."""
        found = await self._database.pool.fetchval("SELECT position FROM publisher WHERE one = 1")
        return int(found or 0)

    async def follow(
        self, environment: str, *, after: int | None, customer_id: UUID | None = None
    ) -> AsyncIterator[list[Notice]]:
        """The notices after a position (null: from now on), in order, batch by batch, until the feed ends.

        An empty batch comes every few seconds of silence, so that a follower can tell that it is still alive.
        """
        if self._listening is None or self._listening.done():
            self._listening = asyncio.create_task(self._listen(), name="feed")
        seen = await self.position() if after is None else after
        while not self._ended:
            news = self._news
            async with self._database.begin() as tx:
                batch = await notice.published(tx, environment, after=seen, limit=_BATCH, customer_id=customer_id)
            if batch:
                newest = batch[-1].position
                assert newest is not None
                seen = newest
                yield batch
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(news.wait(), self._poll_s)
                continue
            yield []

    def end(self) -> None:
        """Let every follower go, because the process is about to leave."""
        self._ended = True
        self._wake()

    async def close(self) -> None:
        """Stop listening."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)

    async def _listen(self) -> None:
        while True:
            try:
                await self._database.listen(PUBLISHED, self._wake)
            except _INTERRUPTIONS:
                log.warning("feed_not_listening", exc_info=True)
            await asyncio.sleep(self._poll_s)

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()
