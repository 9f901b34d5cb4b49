"""What each environment wants of its usage: how long events are kept, and what becomes of late ones.

Counters are kept for ever.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import asyncpg
from sqlalchemy import Column, Integer, PrimaryKeyConstraint, Table, Text, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.store import row, schema

LateUsage = Literal["next_invoice", "ignore"]
"""What becomes of usage that came after its invoice was finalized: it is billed later, or never."""

usage_policy = Table(
    "usage_policy",
    schema.metadata,
    schema.environment(),
    Column("keep_events_days", Integer),
    Column("late_usage", Text, nullable=False, server_default="next_invoice"),
    PrimaryKeyConstraint("environment"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UsagePolicy:
    """The policy of one environment. `keep_events_days` null keeps events for ever."""

    environment: str
    keep_events_days: int | None = None
    late_usage: LateUsage = "next_invoice"


async def find(tx: AsyncConnection, environment: str) -> UsagePolicy:
    """The environment's policy; the default one before any was set."""
    query = select(usage_policy).where(usage_policy.c.environment == environment)
    found = (await tx.execute(query)).one_or_none()
    return UsagePolicy(environment=environment) if found is None else row.load(UsagePolicy, found)


async def save(tx: AsyncConnection, policy: UsagePolicy) -> None:
    """Set the environment's policy."""
    new = row.values(policy, usage_policy)
    await tx.execute(insert(usage_policy).values(new).on_conflict_do_update(index_elements=["environment"], set_=new))


async def keep_events(tx: AsyncConnection) -> timedelta | None:
    """How long partitions of events are kept, which hold every environment: as long as any of them wants.

    None, for ever, where no environment says how long or one wants for ever.
    """
    return _longest(list(await tx.scalars(select(usage_policy.c.keep_events_days))))


async def keep_events_bare(connection: "asyncpg.Connection[asyncpg.Record]") -> timedelta | None:
    """The same on a bare connection."""
    return _longest([row[0] for row in await connection.fetch("SELECT keep_events_days FROM usage_policy")])


def _longest(days: Sequence[int | None]) -> timedelta | None:
    known = [each for each in days if each is not None]
    return timedelta(days=max(known)) if known and len(known) == len(days) else None
