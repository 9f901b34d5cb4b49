"""Corrections of usage: who changed what was counted, why, and what it was before and after.

A backfill collects its events in `backfill_event` while it is open; they count from when it is closed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

from sqlalchemy import Boolean, Column, Index, Numeric, PrimaryKeyConstraint, Table, Text, delete, select, update
from sqlalchemy.dialects.postgresql import UUID as UUID_COLUMN
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.refusal import Missing
from meterline.store import row, schema
from meterline.store.identifier import uuid7
from meterline.store.page import Cursor, Page, page

Kind = Literal["void", "replace", "backfill"]
Status = Literal["open", "applied", "reverted"]

usage_correction = Table(
    "usage_correction",
    schema.metadata,
    schema.environment(),
    schema.customer_id(),
    schema.public_id(),
    schema.sequence(),
    Column("customer", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("meter", Text, nullable=False),
    Column("identifier", Text),
    schema.instant("start", nullable=False),
    schema.instant("end", nullable=False),
    Column("replaces", Boolean, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("before", Numeric),
    Column("after", Numeric),
    schema.document("detail"),
    schema.instant("created", nullable=False),
    schema.instant("applied_at"),
    schema.instant("reverted_at"),
    Column("through_stripe", Boolean, nullable=False, server_default="false"),
    PrimaryKeyConstraint("customer_id", "id"),
    Index("ix_usage_correction_sequence", "environment", "sequence"),
    Index("ix_usage_correction_id", "environment", "id"),
)

backfill_event = Table(
    "backfill_event",
    schema.metadata,
    schema.customer_id(),
    Column("correction", Text, nullable=False),
    Column("identifier16", UUID_COLUMN(as_uuid=True), nullable=False),
    schema.environment(),
    Column("identifier", Text, nullable=False),
    schema.instant("occurred_at", nullable=False),
    Column("value", Numeric, nullable=False),
    Column("member", Text),
    Column("dimensions", Text),
    PrimaryKeyConstraint("customer_id", "correction", "identifier16"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """One correction. [start, end) is the time it touches; `before` and `after` are the meter's quantity in it.

    `replaces` says whether a backfill takes the place of what was counted in that time. `detail` holds the
    event before and after. `through_stripe` says that it was asked for on one of Stripe's routes, which never
    change what an invoice has billed.
    """

    environment: str
    customer_id: UUID
    id: str
    customer: str
    kind: Kind
    status: Status
    meter: str
    identifier: str | None
    start: datetime
    end: datetime
    replaces: bool
    actor: str
    reason: str
    before: Decimal | None
    after: Decimal | None
    detail: Mapping[str, object]
    created: datetime
    applied_at: datetime | None
    reverted_at: datetime | None = None
    through_stripe: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """An event of an open backfill."""

    identifier16: UUID
    identifier: str
    occurred_at: datetime
    value: Decimal
    member: str | None
    dimensions: str | None


async def add(tx: AsyncConnection, new: Correction) -> None:
    """Keep a new correction."""
    await tx.execute(insert(usage_correction).values(row.values(new, usage_correction, sequence=uuid7())))


async def save(tx: AsyncConnection, changed: Correction) -> None:
    """Write a changed correction back."""
    await tx.execute(
        update(usage_correction)
        .where(usage_correction.c.customer_id == changed.customer_id, usage_correction.c.id == changed.id)
        .values(row.values(changed, usage_correction))
    )


async def lock(tx: AsyncConnection, environment: str, id: str) -> Correction:
    """The correction, locked until the transaction ends. Raises Missing."""
    query = select(usage_correction).where(usage_correction.c.environment == environment, usage_correction.c.id == id)
    found = (await tx.execute(query.with_for_update())).one_or_none()
    if found is None:
        raise Missing("usage correction", id, param="id", subject=True)
    return row.load(Correction, found)


async def listed(tx: AsyncConnection, environment: str, cursor: Cursor, *, customer: str | None = None) -> Page:
    """A page of corrections, newest first."""
    scope = usage_correction.c.environment == environment
    query = select(usage_correction).where(scope)
    if customer is not None:
        query = query.where(usage_correction.c.customer == customer)
    return await page(tx, query, usage_correction, kind="usage correction", scope=scope, cursor=cursor)


async def stage(tx: AsyncConnection, correction: Correction, events: Sequence[Staged]) -> int:
    """Add events to an open backfill; how many were new to it."""
    rows = [
        row.values(
            each,
            backfill_event,
            customer_id=correction.customer_id,
            correction=correction.id,
            environment=correction.environment,
        )
        for each in sorted(events, key=lambda each: each.identifier16.bytes)
    ]
    done = await tx.execute(
        insert(backfill_event).values(rows).on_conflict_do_nothing().returning(backfill_event.c.identifier16)
    )
    return len(done.all())


async def staged(tx: AsyncConnection, correction: Correction) -> list[Staged]:
    """The events of a backfill that were not applied yet, in time order."""
    rows = await tx.execute(
        select(backfill_event)
        .where(backfill_event.c.customer_id == correction.customer_id, backfill_event.c.correction == correction.id)
        .order_by(backfill_event.c.occurred_at, backfill_event.c.identifier16)
    )
    return [row.load(Staged, found) for found in rows]


async def unstage(tx: AsyncConnection, correction: Correction) -> None:
    """Forget the events that a backfill collected."""
    await tx.execute(
        delete(backfill_event).where(
            backfill_event.c.customer_id == correction.customer_id, backfill_event.c.correction == correction.id
        )
    )
