"""Advancing a test clock: the same handlers, at every due instant on the way, one transaction each.

At each due row the clock's frozen time is that row's instant, so that everything made then is stamped with it.
The clock is claimed for a while and the claim prolonged at every step: a worker that dies leaves the clock
where its last committed step left it, and the next worker goes on from there.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from meterline.store import clock as store
from meterline.store import due, notice
from meterline.store.database import Database
from meterline.store.due import Due
from meterline.subscription.clock import TestClock
from meterline.worker.handler import Handlers, Superseded, database_was_away
from meterline.worker.wall import run

log = structlog.get_logger(__name__)

_TRIES_PER_ROW = 3


class Lost(Exception):
    """Another worker has taken the clock over."""


async def advance_claimed(
    database: Database,
    handlers: Handlers,
    *,
    owner: UUID,
    wall: Callable[[], datetime],
    lease: timedelta,
) -> bool:
    """Claim one advancing clock and bring it to its target; False when there is none to claim."""
    async with database.begin() as tx:
        clock = await store.claim(tx, owner=owner, now=wall(), lease=lease)
    if clock is None:
        return False
    try:
        while await _step(database, handlers, clock, owner=owner, wall=wall, lease=lease):
            pass
    except Lost:
        log.warning("clock_taken_over", clock=clock.id)
    return True


async def _step(
    database: Database,
    handlers: Handlers,
    clock: TestClock,
    *,
    owner: UUID,
    wall: Callable[[], datetime],
    lease: timedelta,
) -> bool:
    """Run the next due row, or arrive at the target; False once the clock has come to rest."""
    async with database.begin() as tx:
        held = await store.hold(tx, clock, owner=owner, now=wall(), lease=lease)
        if held is None:
            raise Lost(clock.id)
        assert held.target_frozen_time is not None
        row = await due.next_on_clock(tx, environment=held.environment, clock=held.id, until=held.target_frozen_time)
        if row is None:
            ready = await store.arrive(tx, held)
            await notice.add(
                tx,
                environment=ready.environment,
                customer_id=None,
                type="test_helpers.test_clock.ready",
                subject=ready,
                previous=None,
                now=wall(),
            )
            return False
        held = await store.move(tx, held, to=row.due_at)
    return await _attempt(database, handlers, held, row)


async def _attempt(database: Database, handlers: Handlers, clock: TestClock, row: Due) -> bool:
    failure: Exception | None = None
    for _ in range(_TRIES_PER_ROW):
        try:
            await run(database, handlers, row, now=clock.frozen_time)
            return True
        except Superseded:
            return True
        except Exception as error:
            if database_was_away(handlers, row, error):
                raise  # waited for: the clock stays advancing, and goes on once the database is back
            failure = error
    told = f"{row.kind} of {row.subject}: {type(failure).__name__}: {failure}"[:2000]
    log.error("clock_failed", clock=clock.id, kind=row.kind, subject=row.subject, exc_info=failure)
    async with database.begin() as tx:
        broken = await store.fail(tx, clock, failure=told)
        await due.give_up(tx, row, now=clock.frozen_time, error=told)
        await notice.add(
            tx,
            environment=broken.environment,
            customer_id=None,
            type="test_helpers.test_clock.internal_failure",
            subject=broken,
            previous=None,
            now=clock.frozen_time,
        )
    return False
