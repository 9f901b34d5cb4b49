"""Answers kept under the caller's Idempotency-Key."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Column, Integer, LargeBinary, PrimaryKeyConstraint, Table, Text, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.store import row
from meterline.store.schema import environment, instant, metadata

idempotency_key = Table(
    "idempotency_key",
    metadata,
    environment(),
    Column("key", Text, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("status", Integer),
    Column("body", LargeBinary),
    instant("created", nullable=False),
    PrimaryKeyConstraint("environment", "key"),
)

KEPT = timedelta(days=30)
"""How long an answer can be replayed: v1 promises a day, v2 thirty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was answered under a key; `status` is None while a staged call is under way."""

    fingerprint: bytes
    request_id: str
    status: int | None
    body: bytes | None
    created: datetime


async def lock(tx: AsyncConnection, environment: str, key: str) -> bool:
    """Try to be the only one working under this key until the transaction ends.

    The lock only makes the loser fail early; that one answer is kept is the primary key's doing.
    """
    return bool(
        await tx.scalar(select(func.pg_try_advisory_xact_lock(func.hashtextextended(f"{environment}/{key}", 7))))
    )


async def find(tx: AsyncConnection, environment: str, key: str) -> Answer | None:
    """The answer kept under the key."""
    found = (
        await tx.execute(
            select(idempotency_key).where(idempotency_key.c.environment == environment, idempotency_key.c.key == key)
        )
    ).one_or_none()
    return None if found is None else row.load(Answer, found)


async def keep(tx: AsyncConnection, environment: str, key: str, answer: Answer) -> None:
    """Keep an answer, completing the row of a staged call."""
    values = row.values(answer, idempotency_key, environment=environment, key=key)
    statement = insert(idempotency_key).values(values)
    await tx.execute(
        statement.on_conflict_do_update(
            index_elements=["environment", "key"],
            set_={"status": statement.excluded.status, "body": statement.excluded.body},
            where=idempotency_key.c.status.is_(None),
        )
    )


async def forget(tx: AsyncConnection, environment: str, key: str) -> None:
    """Let a staged call that was refused before it did anything be tried again."""
    await tx.execute(
        delete(idempotency_key).where(
            idempotency_key.c.environment == environment,
            idempotency_key.c.key == key,
            idempotency_key.c.status.is_(None),
        )
    )


async def sweep(tx: AsyncConnection, *, now: datetime) -> int:
    """Drop what is past its time; returns how many."""
    return (await tx.execute(delete(idempotency_key).where(idempotency_key.c.created < now - KEPT))).rowcount
