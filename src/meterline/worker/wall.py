"""Work that falls due by the wall clock."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import structlog
from sqlalchemy.exc import DBAPIError

from meterline.store import due as store
from meterline.store.database import Database
from meterline.store.due import Due
from meterline.worker.handler import Handlers, InTransaction, Superseded, Unhandled, database_was_away

log = structlog.get_logger(__name__)

MAX_ATTEMPTS = 12
FIRST_REST = timedelta(seconds=2)
LONGEST_REST = timedelta(hours=1)
_BATCH = 50
_SERIALIZATION = frozenset({"40001", "40P01"})
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
    for row in rows:
        if row.kind in handlers.in_stages:
            async with _claim_kept(database, row, lease):
                await _attempt(database, handlers, row, now=now)
        else:
            await _attempt(database, handlers, row, now=now)
    return len(rows)


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
    handle = handlers.in_transaction.get(row.kind)
    if handle is None:
        raise Unhandled(row.kind)
    for tries in range(1, _IMMEDIATE_TRIES + 1):
        try:
            await _do(database, handle, row, now=now)
            return
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) not in _SERIALIZATION or tries == _IMMEDIATE_TRIES:
                raise
            await asyncio.sleep(0.01 * 2**tries)


async def _do(database: Database, handle: InTransaction, row: Due, *, now: datetime) -> None:
    token = store.running.set(row)
    try:
        async with database.begin() as tx:
            await handle(tx, row, now)
            if not await store.finish(tx, row):
                raise Superseded(row.subject)
    finally:
        store.running.reset(token)
