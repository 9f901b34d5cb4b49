"""Vendors: whom the seller pays for what usage costs. Events name them by id, or by the seller's own id."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Column, PrimaryKeyConstraint, Table, Text, UniqueConstraint, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.refusal import Conflict
from meterline.store import row, schema
from meterline.store.identifier import uuid7

vendor = Table(
    "vendor",
    schema.metadata,
    schema.environment(),
    schema.public_id(),
    schema.sequence(),
    Column("name", Text, nullable=False),
    Column("external_id", Text),
    schema.instant("created", nullable=False),
    PrimaryKeyConstraint("environment", "id"),
    UniqueConstraint("environment", "external_id"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """Somebody who is paid for what usage costs."""

    environment: str
    id: str
    name: str
    external_id: str | None
    created: datetime


async def add(tx: AsyncConnection, new: Vendor) -> None:
    """Store a new vendor. Raises Conflict for an external id that another has."""
    statement = insert(vendor).values(row.values(new, vendor, sequence=uuid7())).on_conflict_do_nothing()
    if (await tx.execute(statement)).rowcount == 0:
        raise Conflict(
            f"A vendor with the external id '{new.external_id}' exists already.",
            code="external_id_taken",
            param="external_id",
        )


async def find(tx: AsyncConnection, environment: str, key: str) -> Vendor | None:
    """The vendor with that id, or else that id of the seller's."""
    named = (vendor.c.id == key) | (vendor.c.external_id == key)
    rows = await tx.execute(select(vendor).where(vendor.c.environment == environment, named))
    found = [row.load(Vendor, each) for each in rows]
    return next((each for each in found if each.id == key), found[0] if found else None)


async def listed(
    tx: AsyncConnection, environment: str, *, external_id: str | None, offset: int, limit: int
) -> tuple[Sequence[Vendor], int]:
    """Some vendors, oldest first, and how many there are."""
    scope = [vendor.c.environment == environment]
    if external_id is not None:
        scope.append(vendor.c.external_id == external_id)
    count = await tx.scalar(select(func.count()).select_from(vendor).where(*scope))
    rows = await tx.execute(select(vendor).where(*scope).order_by(vendor.c.sequence).offset(offset).limit(limit))
    return [row.load(Vendor, each) for each in rows], count or 0
