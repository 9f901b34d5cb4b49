"""Group commit: what queues up while one batch commits is the next batch. No timer, bounded queues.

One task writes; callers wait for the batch that their part is in. A batch that fails for what is in it is
split until the part at fault stands alone; only its caller hears of it.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

import structlog

log = structlog.get_logger(__name__)

_GLANCES = 3
"""Turns of the event loop that a request takes from its bytes to the queue."""


class Overloaded(Exception):
    """The queue is full: nothing was taken, try again in `retry_after` seconds."""

    def __init__(self, retry_after: int = 1) -> None:
        super().__init__("the queue is full")
        self.retry_after = retry_after


class Unavailable(Exception):
    """The database cannot be reached or refuses to write: what was not answered may be sent again."""


class Stopped(Exception):
    """The process is shutting down: what was not answered may be sent again."""


class Part(Protocol):
    """A piece of a batch."""

    @property
    def size(self) -> int:
        """How many rows it stands for."""

    def halves(self) -> "tuple[Part, Part] | None":
        """The piece as two, or None when it cannot be divided."""

    def fail(self, error: BaseException) -> None:
        """Tell the caller that it was not done."""


P = TypeVar("P", bound=Part)


class Gate:
    """Shared by queues: a small batch waits while another queue commits, and so becomes a larger one.

    A transaction costs as much as some fifty of its rows. Queues only write at once when each has enough to do.
    """

    def __init__(self, *, enough: int) -> None:
        self._enough = enough
        self._busy = 0
        self._freed = asyncio.Event()

    async def enter(self, queued: Callable[[], int]) -> None:
        """Wait for the turn of a queue that holds so many rows now."""
        while self._busy and queued() < self._enough:
            self._freed.clear()
            await self._freed.wait()
        self._busy += 1

    def leave(self) -> None:
        self._busy -= 1
        self._freed.set()


class GroupCommit(Generic[P]):
    """A bounded queue with one writer. `commit` does a whole batch and answers its callers, or raises."""

    def __init__(
        self,
        commit: Callable[[list[P]], Awaitable[None]],
        *,
        max_batch: int,
        max_queued: int,
        name: str,
        gate: Gate,
    ) -> None:
        self._gate = gate
        self._commit = commit
        self._max_batch = max_batch
        self._max_queued = max_queued
        self._name = name
        self._queue: deque[P] = deque()
        self._queued = 0
        self._wake = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    @property
    def queued(self) -> int:
        """How many rows wait."""
        return self._queued

    def room_for(self, rows: int) -> bool:
        """Whether so many more rows are taken. An empty queue takes a request of any permitted size."""
        return self._queued == 0 or self._queued + rows <= self._max_queued

    def put(self, part: P) -> None:
        """Queue a part; the caller asked for room first."""
        if self._stopping:
            raise Stopped
        self._queue.append(part)
        self._queued += part.size
        self._wake.set()

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=self._name)

    async def stop(self) -> None:
        """Commit what is queued, then end."""
        self._stopping = True
        self._wake.set()
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        while True:
            if not self._queue:
                if self._stopping:
                    return
                self._wake.clear()
                await self._wake.wait()
                continue
            for _ in range(_GLANCES):
                # Requests whose bytes are here already join this batch: no timer, only a look around.
                await asyncio.sleep(0)
            await self._gate.enter(lambda: self._queued)
            try:
                await self._settle(self._take())
            finally:
                self._gate.leave()

    def _take(self) -> list[P]:
        batch: list[P] = []
        rows = 0
        while self._queue and (not batch or rows + self._queue[0].size <= self._max_batch):
            part = self._queue.popleft()
            batch.append(part)
            rows += part.size
        self._queued -= rows
        return batch

    async def _settle(self, batch: list[P]) -> None:
        try:
            await self._commit(batch)
        except (Unavailable, Stopped) as error:
            for part in batch:
                part.fail(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told to the callers it concerns
            divided = _divide(batch)
            if divided is None:
                log.warning("part_refused", lane=self._name, error=repr(error))
                batch[0].fail(error)
                return
            for half in divided:
                await self._settle(half)


def _divide(batch: list[P]) -> tuple[list[P], list[P]] | None:
    if len(batch) > 1:
        middle = len(batch) // 2
        return batch[:middle], batch[middle:]
    halves = batch[0].halves()
    if halves is None:
        return None
    first, second = halves
    return [first], [second]  # type: ignore[list-item]
