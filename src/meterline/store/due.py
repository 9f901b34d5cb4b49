"""Due work: everything that happens later in life is a row here with the instant it falls due.

A row is one piece of work, named by (customer, kind, subject, boundary). Rows without a clock fall due by the
wall clock and are claimed for a while (`claimed_until`) by one worker; rows on a test clock are run by
whoever advances the clock. Work is done and its row deleted in one transaction, after the subject was locked:
so it happens once, however often it is attempted. A row that keeps failing is kept with `failed_at` set.
"""

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import (
    Column,
    ColumnElement,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    and_,
    delete,
    func,
    or_,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.store import schema
from meterline.store.database import driver
from meterline.store.identifier import uuid7
from meterline.store.key import among
from meterline.store.row import load
from meterline.store.side_by_side import ask

CHANNEL = "meterline_due"

due = Table(
    "due",
    schema.metadata,
    schema.environment(),
    schema.customer_id(),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    schema.instant("boundary", nullable=False),
    schema.instant("due_at", nullable=False),
    schema.sequence(),
    Column("clock", Text),
    schema.instant("claimed_until"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    schema.instant("failed_at"),
    Column("last_error", Text),
    PrimaryKeyConstraint("customer_id", "kind", "subject", "boundary"),
    Index(
        "ix_due_wall",
        "due_at",
        "sequence",
        postgresql_where=text("clock IS NULL AND failed_at IS NULL"),
    ),
    Index(
        "ix_due_customer",
        "customer_id",
        "due_at",
        "sequence",
        postgresql_where=text("clock IS NULL AND failed_at IS NULL"),
    ),
    Index("ix_due_clock", "environment", "clock", "due_at", postgresql_where=text("clock IS NOT NULL")),
)

_KEY = (due.c.customer_id, due.c.kind, due.c.subject, due.c.boundary)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """One piece of due work. `boundary` names which occurrence it is; `due_at` is when it may run."""

    environment: str
    customer_id: UUID
    kind: str
    subject: str
    boundary: datetime
    due_at: datetime
    clock: str | None
    attempts: int
    claimed_until: datetime | None
    failed_at: datetime | None
    last_error: str | None


running: ContextVar[Due | None] = ContextVar("running", default=None)
"""The row whose work this task is doing. `remove` leaves it alone: its worker deletes it, so that it can tell
whether it was the one to do the work."""


async def add(
    tx: AsyncConnection,
    *,
    environment: str,
    customer_id: UUID,
    kind: str,
    subject: str,
    boundary: datetime,
    due_at: datetime,
    clock: str | None,
) -> None:
    """Plan a piece of work; planning the same one again moves it to the new instant."""
    await ask(_add_all, tx, (environment, customer_id, kind, subject, boundary, due_at, uuid7(), clock))


_ADD = """
INSERT INTO due (environment, customer_id, kind, subject, boundary, due_at, sequence, clock)
SELECT * FROM unnest($1::text[], $2::uuid[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::uuid[],
    $8::text[])
ON CONFLICT (customer_id, kind, subject, boundary)
DO UPDATE SET due_at = excluded.due_at, attempts = 0, failed_at = NULL, last_error = NULL
"""


async def _add_all(tx: AsyncConnection, new: Sequence[tuple[object, ...]]) -> list[None]:
    last = {row[1:5]: row for row in new}
    await (await driver(tx)).execute(_ADD, *zip(*(last[key] for key in sorted(last)), strict=True))
    return [None] * len(new)


async def remove(tx: AsyncConnection, *, customer_id: UUID, subject: str, kinds: Sequence[str] | None = None) -> None:
    """Drop the planned work on a subject: of the given kinds, or all of it; what is being done is left."""
    current = running.get()
    left = (None, None, None) if current is None else (current.kind, current.subject, current.boundary)
    named: Sequence[str | None] = (None,) if kinds is None else kinds
    await ask(_remove_all, tx, [(customer_id, subject, kind, *left) for kind in named])


_REMOVE = """
DELETE FROM due USING unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[])
    AS gone (customer_id, subject, kind, running, running_subject, running_boundary)
WHERE due.customer_id = gone.customer_id AND due.subject = gone.subject AND (gone.kind IS NULL OR due.kind = gone.kind)
    AND (due.kind, due.subject, due.boundary)
        IS DISTINCT FROM (gone.running, gone.running_subject, gone.running_boundary)
"""


async def _remove_all(tx: AsyncConnection, gone: Sequence[Sequence[tuple[object, ...]]]) -> list[None]:
    rows = [row for each in gone for row in each]
    if rows:
        await (await driver(tx)).execute(_REMOVE, *zip(*rows, strict=True))
    return [None] * len(gone)


async def finish(tx: AsyncConnection, row: Due) -> bool:
    """Delete the row because its work is done in this transaction; False when somebody else did it."""
    return await ask(_finish_all, tx, (row.customer_id, row.kind, row.subject, row.boundary))


async def _finish_all(tx: AsyncConnection, keys: Sequence[tuple[UUID, str, str, datetime]]) -> list[bool]:
    deleted = await (await driver(tx)).fetch(
        "DELETE FROM due USING unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[])"
        " AS done (customer_id, kind, subject, boundary)"
        " WHERE (due.customer_id, due.kind, due.subject, due.boundary)"
        " = (done.customer_id, done.kind, done.subject, done.boundary)"
        " RETURNING due.customer_id, due.kind, due.subject, due.boundary",
        *zip(*keys, strict=True),
    )
    gone = {tuple(row) for row in deleted}
    return [key in gone for key in keys]


async def claim(tx: AsyncConnection, *, now: datetime, lease: timedelta, limit: int) -> list[Due]:
    """Take up to `limit` rows that are due by the wall clock, earliest first, away from other workers.

    Of a customer's rows that fall due at one instant only the first by creation is taken, and the next when it is
    done, whoever does it; a row that failed lets the others pass while it rests.
    """
    free = or_(due.c.claimed_until.is_(None), due.c.claimed_until <= now)
    same = due.alias("same")
    # Asked for in the order of `ix_due_customer`, so that no other rows of a customer with many are read.
    first = (
        select(same.c.sequence)
        .where(
            same.c.customer_id == due.c.customer_id,
            same.c.due_at == due.c.due_at,
            same.c.clock.is_(None),
            same.c.failed_at.is_(None),
            same.c.last_error.is_(None),
        )
        .order_by(same.c.sequence)
        .limit(1)
        .scalar_subquery()
    )
    is_first = func.coalesce(first, due.c.sequence) >= due.c.sequence
    ready = (
        select(*_KEY)
        .where(due.c.clock.is_(None), due.c.failed_at.is_(None), due.c.due_at <= now, free, is_first)
        .order_by(due.c.due_at, due.c.sequence)
        .limit(limit)
        .with_for_update(skip_locked=True, of=due)
    )
    rows = await tx.execute(
        update(due)
        .where(tuple_(*_KEY).in_(ready))
        .values(claimed_until=now + lease, attempts=due.c.attempts + 1)
        .returning(due)
    )
    return [load(Due, row) for row in sorted(rows, key=lambda row: (row.due_at, row.sequence))]


async def next_on_clock(tx: AsyncConnection, *, environment: str, clock: str, until: datetime) -> Due | None:
    """The earliest work on a test clock that falls due up to and including `until`."""
    row = await tx.execute(
        select(due)
        .where(due.c.environment == environment, due.c.clock == clock, due.c.due_at <= until)
        .order_by(due.c.due_at, due.c.sequence)
        .limit(1)
    )
    found = row.first()
    return None if found is None else load(Due, found)


async def prolong(tx: AsyncConnection, row: Due, *, by: timedelta) -> None:
    """The work takes longer: its claim lasts that much longer, too."""
    await tx.execute(
        update(due).where(*_is(row), due.c.claimed_until.is_not(None)).values(claimed_until=due.c.claimed_until + by)
    )


async def postpone(tx: AsyncConnection, row: Due, *, until: datetime, error: str | None) -> None:
    """The attempt failed, or was interrupted (no error): let the row rest until the given instant."""
    await tx.execute(update(due).where(*_is(row)).values(claimed_until=until, last_error=error))


async def give_up(tx: AsyncConnection, row: Due, *, now: datetime, error: str) -> None:
    """The work cannot be done: keep the row, marked, for an operator to look at and revive."""
    await tx.execute(update(due).where(*_is(row)).values(failed_at=now, claimed_until=None, last_error=error))


async def failed(tx: AsyncConnection, *, environment: str | None = None) -> list[Due]:
    """The work that was given up, oldest first."""
    statement = select(due).where(due.c.failed_at.is_not(None)).order_by(due.c.failed_at)
    if environment is not None:
        statement = statement.where(due.c.environment == environment)
    return [load(Due, row) for row in await tx.execute(statement)]


async def revive(tx: AsyncConnection, row: Due) -> None:
    """Let work that was given up be attempted again."""
    await tx.execute(
        update(due).where(*_is(row)).values(failed_at=None, attempts=0, claimed_until=None, last_error=None)
    )
    await kick(tx)


async def of_subject(tx: AsyncConnection, *, customer_id: UUID, subject: str) -> list[Due]:
    """What is planned for a subject, in time order."""
    return await ask(_of_subjects, tx, (customer_id, subject))


async def _of_subjects(tx: AsyncConnection, keys: Sequence[tuple[UUID, str]]) -> list[list[Due]]:
    query = select(due).where(among((due.c.customer_id, due.c.subject), keys))
    found: dict[tuple[UUID, str], list[Due]] = {key: [] for key in keys}
    for row in await tx.execute(query.order_by(due.c.due_at, due.c.sequence)):
        found[row.customer_id, row.subject].append(load(Due, row))
    return [found[key] for key in keys]


async def remove_clock(tx: AsyncConnection, *, environment: str, clock: str) -> None:
    """Drop everything planned on a test clock."""
    await tx.execute(delete(due).where(and_(due.c.environment == environment, due.c.clock == clock)))


async def kick(tx: AsyncConnection) -> None:
    """Hint to the workers, when this transaction commits, that there is something to do."""
    await tx.execute(select(func.pg_notify(CHANNEL, "")))


def _is(row: Due) -> tuple[ColumnElement[bool], ...]:
    return (
        due.c.customer_id == row.customer_id,
        due.c.kind == row.kind,
        due.c.subject == row.subject,
        due.c.boundary == row.boundary,
    )
