"""Meters."""

from collections.abc import Sequence

import asyncpg
import msgspec
from sqlalchemy import Column, Index, PrimaryKeyConstraint, Table, Text, UniqueConstraint, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.meter import Meter, Status
from meterline.refusal import Missing, Refusal
from meterline.store import catalog_version, row
from meterline.store.identifier import uuid7
from meterline.store.key import among
from meterline.store.page import Cursor, Page, page
from meterline.store.schema import document, environment, instant, metadata, public_id, sequence
from meterline.store.side_by_side import ask

meter = Table(
    "meter",
    metadata,
    environment(),
    public_id(),
    sequence(),
    Column("display_name", Text, nullable=False),
    Column("event_name", Text, nullable=False),
    Column("formula", Text, nullable=False),
    Column("event_time_window", Text),
    Column("customer_key", Text, nullable=False),
    Column("value_key", Text, nullable=False),
    document("dimension_keys"),
    Column("status", Text, nullable=False),
    instant("deactivated_at"),
    instant("created", nullable=False),
    instant("updated", nullable=False),
    PrimaryKeyConstraint("environment", "id"),
    UniqueConstraint("environment", "event_name"),
    Index("ix_meter_sequence", "environment", "sequence"),
)


async def add(tx: AsyncConnection, new: Meter) -> None:
    """Insert a meter. Refuses an event name that another meter of the environment has."""
    statement = insert(meter).values(row.values(new, meter, sequence=uuid7()))
    done = await tx.execute(statement.on_conflict_do_nothing(index_elements=["environment", "event_name"]))
    if done.rowcount == 0:
        raise Refusal(f'A meter with the event name "{new.event_name}" already exists.', param="event_name")
    await catalog_version.bump(tx, new.environment)


async def find(tx: AsyncConnection, environment: str, ids: Sequence[str]) -> dict[str, Meter]:
    """The meters with those ids."""
    return await ask(_find_each, tx, (environment, frozenset(ids)))


async def _find_each(tx: AsyncConnection, asked: Sequence[tuple[str, frozenset[str]]]) -> list[dict[str, Meter]]:
    keys = sorted({(environment, id) for environment, ids in asked for id in ids})
    if not keys:
        return [{} for _ in asked]
    query = select(meter).where(among((meter.c.environment, meter.c.id), keys))
    found = {(each.environment, each.id): row.load(Meter, each) for each in await tx.execute(query)}
    return [
        {id: found[environment, id] for id in sorted(ids) if (environment, id) in found} for environment, ids in asked
    ]


async def catalog(tx: AsyncConnection, environment: str) -> dict[str, Meter]:
    """Every meter of the environment by its event name."""
    rows = await tx.execute(select(meter).where(meter.c.environment == environment))
    return {found.event_name: row.load(Meter, found) for found in rows}


async def by_id(
    connection: "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]",
    environment: str,
) -> dict[str, Meter]:
    """Every meter of the environment by its id, on a bare connection."""
    # As text, because connections under a control-plane transaction decode documents and bare ones do not.
    found = await connection.fetch(
        "SELECT *, dimension_keys::text AS keys FROM meter WHERE environment = $1", environment
    )
    rows = [dict(each) | {"dimension_keys": msgspec.json.decode(each["keys"])} for each in found]
    return {each["id"]: row.load(Meter, each) for each in rows}


async def lock(tx: AsyncConnection, environment: str, id: str) -> Meter:
    """The meter, locked until the transaction ends. Raises Missing."""
    query = select(meter).where(meter.c.environment == environment, meter.c.id == id)
    found = (await tx.execute(query.with_for_update())).one_or_none()
    if found is None:
        raise Missing("billing meter", id, param="id", subject=True)
    return row.load(Meter, found)


async def save(tx: AsyncConnection, changed: Meter) -> None:
    """Write a changed meter back; batches that decided by the old one start over."""
    await tx.execute(
        update(meter)
        .where(meter.c.environment == changed.environment, meter.c.id == changed.id)
        .values(row.values(changed, meter))
    )
    await catalog_version.bump(tx, changed.environment)


async def listed(tx: AsyncConnection, environment: str, cursor: Cursor, *, status: Status | None = None) -> Page:
    """A page of meters, newest first."""
    scope = meter.c.environment == environment
    query = select(meter).where(scope)
    if status is not None:
        query = query.where(meter.c.status == status)
    return await page(tx, query, meter, kind="billing meter", scope=scope, cursor=cursor)
