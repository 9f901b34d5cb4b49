"""Work that falls due by the wall clock.

A billing run is many rows due at once. Those of many customers are done side by side in one transaction, a chunk at a
time; when that fails, its halves are tried, until the row at fault stands alone and rests while its neighbours are
done. A single row is a chunk of one.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.store import due as store
from meterline.store.database import Database, stopped_by_others
from meterline.store.due import Due
from meterline.store.side_by_side import side_by_side
from meterline.worker.handler import Handlers, InTransaction, Superseded, Unhandled, database_was_away

log = structlog.get_logger(__name__)

MAX_ATTEMPTS = 12
FIRST_REST = timedelta(seconds=2)
LONGEST_REST = timedelta(hours=1)
_BATCH = 100
_IMMEDIATE_TRIES = 5


def rest_after(attempts: int) -> timedelta:
    """How long a row rests after its n-th failure: 2 s, 4 s, 8 s … an hour."""
    assert attempts >= 1
    doubled: timedelta = FIRST_REST * (1 << min(attempts - 1, 30))
    return min(doubled, LONGEST_REST)


async def run_due(database: Database, handlers: Handlers, *, now: datetime, lease: timedelta) -> int:
    """Claim what is due at `now` (the wall clock) and run it in time order; the number of rows claimed."""
    async with database.begin() as tx:
        rows = await store.claim(tx, now=now, lease=lease, limit=_BATCH)
    for chunk in chunks(handlers, rows):
        if chunk[0].kind in handlers.in_stages:
            async with _claim_kept(database, chunk[0], lease):
                await _attempt(database, handlers, chunk[0], now=now)
        else:
            await _attempt_all(database, handlers, chunk, now=now)
    return len(rows)


def chunks(handlers: Handlers, rows: Sequence[Due]) -> list[list[Due]]:
    """The rows in what is done at once: one of a customer, of one environment; the later rows in later chunks.

    A row that was tried before stands alone: it may have failed, or ended the process that had it in a chunk.
    """
    made: list[list[Due]] = []
    last: dict[UUID, int] = {}
    for row in rows:
        after = last.get(row.customer_id, -1) + 1
        fitting = (n for n in range(after, len(made)) if _fits(handlers, made[n][0], row))
        place = next(fitting, len(made))
        if place == len(made):
            made.append([])
        made[place].append(row)
        last[row.customer_id] = place
    return made


def _fits(handlers: Handlers, first: Due, row: Due) -> bool:
    fresh = first.attempts == row.attempts == 1
    return fresh and {first.kind, row.kind} <= handlers.in_chunks and first.environment == row.environment


async def _attempt_all(database: Database, handlers: Handlers, rows: Sequence[Due], *, now: datetime) -> None:
    """Do rows of several customers in one transaction; where that fails, its halves, down to each by itself."""
    if len(rows) == 1:
        await _attempt(database, handlers, rows[0], now=now)
        return
    try:
        await _run_chunk(database, handlers, rows, now=now)
    except Exception as error:  # noqa: BLE001  the row at fault is found, kept, marked and logged
        log.warning("due_chunk_split", rows=len(rows), error=repr(error)[:500])
        half = len(rows) // 2
        await _attempt_all(database, handlers, rows[:half], now=now)
        await _attempt_all(database, handlers, rows[half:], now=now)


@asynccontextmanager
async def _claim_kept(database: Database, row: Due, lease: timedelta) -> AsyncIterator[None]:
    """Prolong the claim meanwhile: what takes minutes is not begun by every other worker in turn."""
    prolonging = asyncio.create_task(_prolong(database, row, lease / 3))
    try:
        yield
    finally:
        prolonging.cancel()
        [ended] = await asyncio.gather(prolonging, return_exceptions=True)
        if not isinstance(ended, asyncio.CancelledError):
            log.warning("claim_not_prolonged", kind=row.kind, subject=row.subject, error=repr(ended))


async def _prolong(database: Database, row: Due, every: timedelta) -> None:
    while True:
        await asyncio.sleep(every.total_seconds())
        async with database.begin() as tx:
            await store.prolong(tx, row, by=every)


async def _attempt(database: Database, handlers: Handlers, row: Due, *, now: datetime) -> None:
    try:
        await run(database, handlers, row, now=now)
    except Superseded:
        log.info("due_superseded", kind=row.kind, subject=row.subject)
    except Exception as error:  # noqa: BLE001  whatever it was, the row is kept, marked and logged
        if database_was_away(handlers, row, error):
            # No fault of the row's. While the database is still away this raises, and the row's claim runs out.
            log.warning("due_interrupted", kind=row.kind, subject=row.subject, error=repr(error))
            async with database.begin() as tx:
                await store.postpone(tx, row, until=now + rest_after(min(row.attempts, 5)), error=row.last_error)
            return
        told = f"{type(error).__name__}: {error}"[:2000]
        async with database.begin() as tx:
            if row.attempts >= MAX_ATTEMPTS:
                await store.give_up(tx, row, now=now, error=told)
            else:
                await store.postpone(tx, row, until=now + rest_after(row.attempts), error=told)
        say = log.error if row.attempts >= MAX_ATTEMPTS else log.warning
        say("due_failed", kind=row.kind, subject=row.subject, attempts=row.attempts, exc_info=True)


async def run(database: Database, handlers: Handlers, row: Due, *, now: datetime) -> None:
    """Run one row's handler and delete the row, once: raises Superseded when it is not there any more.

    Deadlocks and serialization failures are retried at once; anything else is the caller's to handle.
    """
    staged = handlers.in_stages.get(row.kind)
    if staged is not None:
        await staged(database, row, now)
        async with database.begin() as tx:
            await store.finish(tx, row)
        return
    if row.kind not in handlers.in_transaction:
        raise Unhandled(row.kind)
    await _run_chunk(database, handlers, [row], now=now)


async def _run_chunk(database: Database, handlers: Handlers, rows: Sequence[Due], *, now: datetime) -> None:
    for tries in range(1, _IMMEDIATE_TRIES + 1):
        try:
            async with database.begin() as tx:
                works = [_do(tx, handlers.in_transaction[row.kind], row, now) for row in rows]
                if rows[0].kind in handlers.in_chunks:
                    await side_by_side(tx, works)
                else:
                    [alone] = works
                    await alone
            return
        except (DBAPIError, asyncpg.PostgresError) as error:
            if not stopped_by_others(error) or tries == _IMMEDIATE_TRIES:
                raise
            log.info("due_begun_anew", rows=len(rows), tries=tries, error=repr(error)[:500])
            await asyncio.sleep(0.01 * 2**tries)


async def _do(tx: AsyncConnection, handle: InTransaction, row: Due, now: datetime) -> None:
    token = store.running.set(row)
    try:
        await handle(tx, row, now)
        if not await store.finish(tx, row):
            raise Superseded(row.subject)
    finally:
        store.running.reset(token)
