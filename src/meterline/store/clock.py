"""Test clocks."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import (
    Column,
    ColumnElement,
    Index,
    PrimaryKeyConstraint,
    Table,
    Text,
    delete,
    false,
    func,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import UUID as UUID_COLUMN
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.store import schema
from meterline.store.page import Cursor, Page, page
from meterline.store.row import load, values
from meterline.subscription.clock import TestClock

test_clock = Table(
    "test_clock",
    schema.metadata,
    schema.environment(),
    schema.public_id(),
    schema.sequence(),
    Column("name", Text),
    schema.instant("created", nullable=False),
    schema.instant("deletes_after", nullable=False),
    schema.instant("frozen_time", nullable=False),
    Column("status", Text, nullable=False),
    schema.instant("target_frozen_time"),
    Column("failure", Text),
    Column("claimed_by", UUID_COLUMN(as_uuid=True)),
    schema.instant("claimed_until"),
    PrimaryKeyConstraint("environment", "id"),
    Index("ix_test_clock_advancing", "claimed_until", postgresql_where=text("status = 'advancing'")),
)


async def add(tx: AsyncConnection, clock: TestClock) -> None:
    """Store a new clock."""
    await tx.execute(insert(test_clock).values(values(clock, test_clock)))


async def find(tx: AsyncConnection, *, environment: str, id: str, lock: bool = False) -> TestClock | None:
    """The clock of that id; with `lock` nobody else moves it until the transaction ends."""
    statement = select(test_clock).where(test_clock.c.environment == environment, test_clock.c.id == id)
    row = (await tx.execute(statement.with_for_update() if lock else statement)).first()
    return None if row is None else load(TestClock, row)


async def find_all(tx: AsyncConnection, environment: str, ids: Sequence[str]) -> list[TestClock]:
    """The clocks with those ids; unknown ones are left out."""
    query = select(test_clock).where(test_clock.c.environment == environment, test_clock.c.id.in_(ids))
    return [load(TestClock, row) for row in await tx.execute(query)]


async def listed(tx: AsyncConnection, environment: str, cursor: Cursor) -> Page:
    """A page of clocks, newest first."""
    scope = test_clock.c.environment == environment
    query = select(test_clock).where(scope)
    return await page(tx, query, test_clock, kind="test_clock", scope=scope, cursor=cursor)


async def save(tx: AsyncConnection, clock: TestClock) -> None:
    """Store what changed on a clock."""
    await tx.execute(update(test_clock).where(*_is(clock)).values(values(clock, test_clock)))


async def remove(tx: AsyncConnection, clock: TestClock) -> None:
    """Forget the clock."""
    await tx.execute(delete(test_clock).where(*_is(clock)))


async def claim(tx: AsyncConnection, *, owner: UUID, now: datetime, lease: timedelta) -> TestClock | None:
    """Take one advancing clock that no other living worker holds; `now` is the wall clock.

    One that the owner could not bring on, because the database was away, comes after those nobody holds.
    """
    mine = func.coalesce(test_clock.c.claimed_by == owner, false())
    free = or_(test_clock.c.claimed_until.is_(None), test_clock.c.claimed_until <= now, mine)
    row = (
        await tx.execute(
            select(test_clock)
            .where(test_clock.c.status == "advancing", free)
            .order_by(mine, test_clock.c.sequence)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
    ).first()
    if row is None:
        return None
    clock = load(TestClock, row)
    await tx.execute(update(test_clock).where(*_is(clock)).values(claimed_by=owner, claimed_until=now + lease))
    return clock


async def hold(
    tx: AsyncConnection, clock: TestClock, *, owner: UUID, now: datetime, lease: timedelta
) -> TestClock | None:
    """Lock a claimed clock for one step and prolong the claim; None when it is no longer the owner's."""
    row = (
        await tx.execute(
            update(test_clock)
            .where(*_is(clock), test_clock.c.claimed_by == owner, test_clock.c.status == "advancing")
            .values(claimed_until=now + lease)
            .returning(test_clock)
        )
    ).first()
    return None if row is None else load(TestClock, row)


async def move(tx: AsyncConnection, clock: TestClock, *, to: datetime) -> TestClock:
    """Set the frozen time; it never goes back."""
    moved = replace(clock, frozen_time=max(clock.frozen_time, to))
    await tx.execute(update(test_clock).where(*_is(clock)).values(frozen_time=moved.frozen_time))
    return moved


async def arrive(tx: AsyncConnection, clock: TestClock) -> TestClock:
    """The advance is complete: the clock stands at its target and is ready, and nobody's."""
    assert clock.target_frozen_time is not None
    ready = replace(clock, frozen_time=clock.target_frozen_time, status="ready", target_frozen_time=None, failure=None)
    row = values(ready, test_clock, claimed_by=None, claimed_until=None)
    await tx.execute(update(test_clock).where(*_is(clock)).values(row))
    return ready


async def fail(tx: AsyncConnection, clock: TestClock, *, failure: str) -> TestClock:
    """The advance met work that cannot be done: the clock stays where it is, visibly broken."""
    broken = replace(clock, status="internal_failure", failure=failure)
    row = values(broken, test_clock, claimed_by=None, claimed_until=None)
    await tx.execute(update(test_clock).where(*_is(clock)).values(row))
    return broken


def _is(clock: TestClock) -> tuple[ColumnElement[bool], ...]:
    return (test_clock.c.environment == clock.environment, test_clock.c.id == clock.id)
