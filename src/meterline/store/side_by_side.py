"""Pieces of work side by side in one transaction: what several of them ask for at the same time is asked once.

Use cases are written about one object. A billing run does them for many: each runs until it asks the store something,
and when all of them wait, the questions of one kind go to the database together. So a store function that is asked
often is written for many (`many(tx, keys)` answers in the order of the keys) and is called for one through `ask`;
whoever is alone asks for one. Pieces take turns in a fixed order and never run at the same time: a statement that
is not asked in this way stays what it was. They must not touch each other's rows. A savepoint is undone with all that
was done since it was set, so inside one a piece does not wait for others: it asks and writes at once, by itself.

What locks rows that the hot path locks too, many at a time, is asked through `ask_late`: once every piece waits for it
or is done. So it is one statement that locks them, in the order of their keys, and late.
"""

from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from contextvars import ContextVar, copy_context
from typing import Any, Generic, TypeAlias, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

K = TypeVar("K")
A = TypeVar("A")
T = TypeVar("T")

Many: TypeAlias = Callable[[AsyncConnection, Sequence[K]], Awaitable[Sequence[A]]]
"""Answers each of the keys, in their order."""

_Kept: TypeAlias = dict[Many[Any, None], list[Any]]

_beside: ContextVar[_Kept | None] = ContextVar("beside", default=None)
"""Set inside a piece: what is to be written at the end."""


class _Question(Generic[K, A]):
    """What a piece waits for; awaited, it hands itself to whoever runs the piece and is resumed with the answer."""

    __slots__ = ("key", "late", "many")

    def __init__(self, many: Many[K, A], key: K, *, late: bool) -> None:
        self.many, self.key, self.late = many, key, late

    def __await__(self) -> Generator[Any, Any, A]:
        answer: A = yield self
        return answer


async def ask(many: Many[K, A], tx: AsyncConnection, key: K) -> A:
    """The answer for one key: together with what others ask at the same time, or by itself."""
    return await _ask(many, tx, key, late=False)


async def ask_late(many: Many[K, A], tx: AsyncConnection, key: K) -> A:
    """As `ask`, once nobody asks anything else."""
    return await _ask(many, tx, key, late=True)


async def _ask(many: Many[K, A], tx: AsyncConnection, key: K, *, late: bool) -> A:
    if _beside.get() is not None and not tx.in_nested_transaction():
        return await _Question(many, key, late=late)
    [answer] = await many(tx, [key])
    return answer


async def write_last(many: Many[K, None], tx: AsyncConnection, key: K) -> None:
    """Write what nobody reads in this transaction: with what the other pieces write, once all are done."""
    kept = _beside.get()
    if kept is None or tx.in_nested_transaction():
        await many(tx, [key])
    else:
        kept.setdefault(many, []).append(key)


class _Piece(Generic[T]):
    """A coroutine that is run by hand, in a context of its own."""

    def __init__(self, work: Coroutine[Any, Any, T], kept: _Kept) -> None:
        self._work = work
        self._context = copy_context()
        self._context.run(_beside.set, kept)
        self.answer: Any = None
        self.result: T | None = None

    def __await__(self) -> Generator[Any, Any, "_Question[Any, Any] | None"]:
        """Go on with the answer until the next question; None at the end. Other awaiting passes through."""
        resume, given = self._work.send, self.answer
        while True:
            try:
                awaited = self._context.run(resume, given)
            except StopIteration as end:
                self.result = end.value
                return None
            if isinstance(awaited, _Question):
                return awaited
            try:
                resume, given = self._work.send, (yield awaited)
            except BaseException as error:  # noqa: BLE001  a cancellation, too, is the work's to see
                resume, given = self._work.throw, error

    def drop(self) -> None:
        """End it where it stands."""
        self._context.run(self._work.close)


_Asked: TypeAlias = dict[Many[Any, Any], list[tuple[_Piece[T], Any]]]


async def side_by_side(tx: AsyncConnection, works: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """The results of the works, which share the transaction. When one fails, so does the whole."""
    kept: _Kept = {}
    pieces = [_Piece(work, kept) for work in works]
    running = pieces
    late: _Asked[T] = {}
    try:
        while running:
            asked: _Asked[T] = {}
            for piece in running:
                question = await piece
                if question is not None:
                    kind = late if question.late else asked
                    kind.setdefault(question.many, []).append((piece, question.key))
            if not asked:
                asked, late = late, {}
            running = []
            for many, waiting in asked.items():
                answers = await many(tx, [key for _, key in waiting])
                for (piece, _), answer in zip(waiting, answers, strict=True):
                    piece.answer = answer
                    running.append(piece)
        for many, keys in kept.items():
            await many(tx, keys)
    finally:
        for piece in pieces:
            piece.drop()
    return [piece.result for piece in pieces]  # type: ignore[misc]
