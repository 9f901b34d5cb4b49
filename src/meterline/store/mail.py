"""E-mails to send: written in the transaction that has something to say, sent by the worker."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

import asyncpg
from sqlalchemy import (
    Column,
    ColumnElement,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.store import schema
from meterline.store.identifier import uuid7
from meterline.store.row import load

mail = Table(
    "mail",
    schema.metadata,
    schema.environment(),
    schema.customer_id(),
    schema.sequence(),
    Column("recipient", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    schema.instant("created", nullable=False),
    schema.instant("due_at", nullable=False),
    schema.instant("settled_at"),
    Column("last_error", Text),
    PrimaryKeyConstraint("customer_id", "sequence"),
    Index("ix_mail_due", "due_at", postgresql_where=text("status = 'pending'")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """An e-mail to one address, about one customer; `body` is plain text."""

    environment: str
    customer_id: UUID
    recipient: str
    subject: str
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """A letter on its way. `due_at` is the next attempt, or the end of the claim of the one under way; UTC."""

    environment: str
    customer_id: UUID
    sequence: UUID
    recipient: str
    subject: str
    body: str
    status: Literal["pending", "sent", "failed"]
    attempts: int
    created: datetime
    due_at: datetime
    settled_at: datetime | None
    last_error: str | None


_ADD = """
INSERT INTO mail (environment, customer_id, sequence, recipient, subject, body, status, attempts, created, due_at)
VALUES ($1, $2, $3, $4, $5, $6, 'pending', 0, $7, $7)
"""


async def add_all(
    connection: "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]",
    letters: Iterable[Letter],
    *,
    now: datetime,
) -> None:
    """Have letters sent once the connection's transaction commits; `now` is the wall clock."""
    rows = [
        (each.environment, each.customer_id, uuid7(), each.recipient, each.subject, each.body, now) for each in letters
    ]
    if rows:
        await connection.executemany(_ADD, rows)


async def claim(tx: AsyncConnection, *, now: datetime, lease: timedelta, limit: int) -> list[Mail]:
    """Take up to `limit` mails that are due, away from other workers for the length of a lease."""
    key = (mail.c.customer_id, mail.c.sequence)
    ready = (
        select(*key)
        .where(mail.c.status == "pending", mail.c.due_at <= now)
        .order_by(mail.c.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    claimed = update(mail).where(tuple_(*key).in_(ready)).values(due_at=now + lease, attempts=mail.c.attempts + 1)
    return [load(Mail, row) for row in await tx.execute(claimed.returning(mail))]


async def sent(tx: AsyncConnection, done: Mail, *, now: datetime) -> None:
    """The mail server has taken the mail."""
    await tx.execute(update(mail).where(*_is(done)).values(status="sent", settled_at=now, last_error=None))


async def refused(tx: AsyncConnection, failed: Mail, *, error: str, retry_at: datetime | None, now: datetime) -> None:
    """The attempt failed: try again at `retry_at`, or (null) give up."""
    change = update(mail).where(*_is(failed), mail.c.status == "pending")
    if retry_at is None:
        await tx.execute(change.values(status="failed", settled_at=now, last_error=error))
    else:
        await tx.execute(change.values(due_at=retry_at, last_error=error))


def _is(one: Mail) -> tuple[ColumnElement[bool], ...]:
    return (mail.c.customer_id == one.customer_id, mail.c.sequence == one.sequence)
