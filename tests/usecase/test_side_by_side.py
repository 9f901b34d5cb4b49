"""Pieces of work side by side: what they ask together is asked once, and each goes its own way."""

import asyncio
from collections.abc import Sequence
from contextvars import ContextVar
from typing import cast

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.store.side_by_side import ask, ask_late, side_by_side, write_last


class Transaction:
    """As much of a transaction as is looked at."""

    in_savepoint = False

    def in_nested_transaction(self) -> bool:
        return self.in_savepoint


TX = cast("AsyncConnection", Transaction())

asked: list[Sequence[int]] = []
written: list[Sequence[int]] = []
name: ContextVar[str] = ContextVar("name", default="nobody")


@pytest.fixture(autouse=True)
def nothing_asked() -> None:
    asked.clear()
    written.clear()


async def doubled(tx: AsyncConnection, keys: Sequence[int]) -> list[int]:
    await asyncio.sleep(0)
    asked.append(list(keys))
    return [2 * key for key in keys]


async def write(tx: AsyncConnection, keys: Sequence[int]) -> list[None]:
    written.append(list(keys))
    return [None] * len(keys)


async def work(n: int, *, times: int) -> int:
    for _ in range(times):
        n = await ask(doubled, TX, n)
        await asyncio.sleep(0)
    await write_last(write, TX, n)
    return n


async def test_one_alone_asks_and_writes_at_once() -> None:
    assert await work(3, times=2) == 12
    assert asked == [[3], [6]]
    assert written == [[12]]


async def test_what_several_ask_at_the_same_time_is_asked_once() -> None:
    assert await side_by_side(TX, [work(1, times=2), work(5, times=1), work(7, times=2)]) == [4, 10, 28]
    assert asked == [[1, 5, 7], [2, 14]]


async def test_what_nobody_reads_is_written_once_at_the_end() -> None:
    await side_by_side(TX, [work(1, times=2), work(5, times=1)])
    assert written == [[10, 4]]


async def test_what_is_asked_late_waits_until_nobody_asks_anything_else() -> None:
    async def locked(tx: AsyncConnection, keys: Sequence[int]) -> list[int]:
        asked.append([-key for key in keys])
        return list(keys)

    async def locks(n: int, *, after: int) -> int:
        for _ in range(after):
            await ask(doubled, TX, n)
        n = await ask_late(locked, TX, n)
        return await ask(doubled, TX, n)

    found = await side_by_side(TX, [locks(1, after=0), locks(2, after=2), work(3, times=1), locks(4, after=1)])

    assert found == [2, 4, 6, 8]
    assert asked == [[2, 3, 4], [2], [-1, -4, -2], [1, 4, 2]]
    assert await ask_late(locked, TX, 5) == 5


async def test_inside_a_savepoint_a_piece_asks_and_writes_at_once() -> None:
    async def tries() -> None:
        inside = Transaction()
        inside.in_savepoint = True
        tx = cast("AsyncConnection", inside)
        await ask(doubled, tx, 3)
        await write_last(write, tx, 4)
        assert (asked, written) == ([[3]], [[4]])

    await side_by_side(TX, [tries(), work(1, times=1)])
    assert (asked, written) == ([[3], [1]], [[4], [2]])


async def test_each_has_a_context_of_its_own() -> None:
    async def named(mine: str) -> str:
        name.set(mine)
        await ask(doubled, TX, 1)
        return name.get()

    assert await side_by_side(TX, [named("a"), named("b")]) == ["a", "b"]
    assert name.get() == "nobody"


async def test_the_failure_of_one_is_the_failure_of_all_and_nobody_goes_on() -> None:
    ended: list[str] = []

    async def waits() -> None:
        try:
            await ask(doubled, TX, 1)
            ended.append("went on")
        finally:
            ended.append("let go")

    async def fails() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await side_by_side(TX, [waits(), fails()])
    assert ended == ["let go"]
    assert written == []


async def test_a_failed_answer_reaches_whoever_runs_them() -> None:
    async def broken(tx: AsyncConnection, keys: Sequence[int]) -> list[int]:
        raise LookupError(keys)

    async def asks() -> int:
        return await ask(broken, TX, 1)

    with pytest.raises(LookupError):
        await side_by_side(TX, [asks(), work(1, times=1)])


async def test_a_cancellation_is_seen_by_the_work() -> None:
    seen: list[str] = []

    async def sleeps() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    running = asyncio.create_task(side_by_side(TX, [sleeps()]))
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert seen == ["cancelled"]
