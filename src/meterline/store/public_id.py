"""The one global look-up: which customer an object's public id belongs to. Everything else is keyed by customer."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg
from sqlalchemy import Column, PrimaryKeyConstraint, Table, Text, delete, update
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.store import schema
from meterline.store.database import driver
from meterline.store.side_by_side import ask

public_id = Table(
    "public_id",
    schema.metadata,
    schema.environment(),
    schema.public_id(),
    schema.customer_id(),
    Column("kind", Text, nullable=False),
    PrimaryKeyConstraint("environment", "id"),
)


async def add(tx: AsyncConnection, *, environment: str, customer_id: UUID, kind: str, ids: Sequence[str]) -> None:
    """Register new objects of a customer. `kind` is the word that errors use (`subscription_item`)."""
    if ids:
        await ask(_add_all, tx, [(environment, id, customer_id, kind) for id in ids])


async def _add_all(tx: AsyncConnection, new: Sequence[Sequence[tuple[str, str, UUID, str]]]) -> list[None]:
    rows = sorted(row for each in new for row in each)
    await (await driver(tx)).execute(
        "INSERT INTO public_id (environment, id, customer_id, kind)"
        " SELECT * FROM unnest($1::text[], $2::text[], $3::uuid[], $4::text[])",
        *zip(*rows, strict=True),
    )
    return [None] * len(new)


async def move(tx: AsyncConnection, *, environment: str, id: str, customer_id: UUID) -> None:
    """The object belongs to another customer from now on (a payment method that is attached or detached)."""
    await tx.execute(
        update(public_id)
        .where(public_id.c.environment == environment, public_id.c.id == id)
        .values(customer_id=customer_id)
    )


async def remove(tx: AsyncConnection, *, environment: str, ids: Sequence[str]) -> None:
    """The objects are gone for good; their ids name nothing."""
    if ids:
        await tx.execute(
            delete(public_id).where(public_id.c.environment == environment, public_id.c.id.in_(sorted(ids)))
        )


async def owners_bare(
    connection: "asyncpg.Connection[asyncpg.Record]", *, environment: str, kind: str, ids: Sequence[str]
) -> dict[str, UUID]:
    """As `owners`, on a bare connection."""
    rows = await connection.fetch(
        "SELECT id, customer_id FROM public_id WHERE environment = $1 AND kind = $2 AND id = ANY($3::text[])",
        environment,
        kind,
        list(ids),
    )
    return {row["id"]: row["customer_id"] for row in rows}


async def owner(tx: AsyncConnection, *, environment: str, kind: str, id: str) -> UUID | None:
    """The customer that the object belongs to; None when there is no such object of that kind."""
    return (await owners(tx, environment=environment, kind=kind, ids=[id])).get(id)


async def owners(tx: AsyncConnection, *, environment: str, kind: str, ids: Sequence[str]) -> dict[str, UUID]:
    """The customers of several objects of one kind; unknown ids are left out."""
    return await ask(_owners, tx, (environment, kind, tuple(ids)))


async def _owners(tx: AsyncConnection, asked: Sequence[tuple[str, str, tuple[str, ...]]]) -> list[dict[str, UUID]]:
    rows = await (await driver(tx)).fetch(
        "SELECT environment, kind, id, customer_id FROM public_id WHERE environment = ANY($1::text[])"
        " AND id = ANY($2::text[])",
        list({environment for environment, _, _ in asked}),
        [id for _, _, ids in asked for id in ids],
    )
    known = {(row[0], row[1], row[2]): row[3] for row in rows}
    return [
        {id: known[environment, kind, id] for id in ids if (environment, kind, id) in known}
        for environment, kind, ids in asked
    ]
