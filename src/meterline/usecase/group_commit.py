"""Group commit: what queues up while one batch commits is the next batch. No timer, bounded queues.

One task writes; callers wait for the batch that their part is in. A batch that fails for what is in it is
split until the part at fault stands alone; only its caller hears of it.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Generic, Protocol, TypeVar

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

    A transaction costs as much as some fifty of its rows. Queues only write side by side when each has enough to do;
    a queue that writes alone takes along what little waits in the others, which stand still meanwhile: what is
    queued for one lane is written in the order in which it came.
    """

    def __init__(self, *, enough: int) -> None:
        self.enough = enough
        self.queues: list[GroupCommit[Any]] = []
        self._busy = 0
        self._freed = asyncio.Event()

    async def enter(self, queue: "GroupCommit[Any]") -> bool:
        """Wait for the turn of a queue; whether it is alone."""
        while queue.lent or (self._busy and queue.queued < self.enough):
            self._freed.clear()
            await self._freed.wait()
        self._busy += 1
        return self._busy == 1

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
        gate.queues.append(self)
        self._commit = commit
        self._max_batch = max_batch
        self._max_queued = max_queued
        self._name = name
        self._queue: deque[P] = deque()
        self._queued = 0
        self.lent = False
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
            alone = await self._gate.enter(self)
            batch = self.take(self._max_batch)
            others = self._lenders(batch) if alone else []
            for other in others:
                other.lent = True
                batch += other.take(self._max_batch)
            try:
                if batch:
                    await self._settle(batch)
            finally:
                for other in others:
                    other.lent = False
                self._gate.leave()

    def take(self, most: int) -> list[P]:
        """Parts from the front of the queue of so many rows together; the first even if it has more."""
        batch: list[P] = []
        rows = 0
        while self._queue and (not batch or rows + self._queue[0].size <= most):
            part = self._queue.popleft()
            batch.append(part)
            rows += part.size
        self._queued -= rows
        return batch

    def _lenders(self, batch: list[P]) -> "list[GroupCommit[P]]":
        """The other queues of which all that waits fits into this batch before it is a large one."""
        room = self._gate.enough - sum(part.size for part in batch)
        found = []
        for other in self._gate.queues:
            if other is not self and 0 < other.queued <= room:
                found.append(other)
                room -= other.queued
        return found

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
