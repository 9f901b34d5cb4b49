"""The one metadata object that every table is declared on, and the column shapes they share."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import Column, DateTime, MetaData, Text
from sqlalchemy.dialects.postgresql import JSONB, UUID

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)

INSTANT = DateTime(timezone=True)


def environment() -> Column[str]:
    """The environment a row belongs to: `live`, `test` or a sandbox's name. No row crosses."""
    return Column("environment", Text, nullable=False)


def public_id() -> Column[str]:
    """The object's own id in Stripe's spelling; a key together with the environment or the customer."""
    return Column("id", Text, nullable=False)


def sequence() -> Column[uuid.UUID]:
    """UUIDv7 made when the row was written: the order of creation, which lists page by."""
    return Column("sequence", UUID(as_uuid=True), nullable=False)


def customer_id() -> Column[uuid.UUID]:
    """The customer a tenant row belongs to; it leads every key, so that tables can be sharded by it."""
    return Column("customer_id", UUID(as_uuid=True), nullable=False)


def instant(name: str, *, nullable: bool = True) -> Column[datetime]:
    """A point in time, UTC."""
    return Column(name, INSTANT, nullable=nullable)


def document(name: str) -> Column[Any]:
    """Nested plain data."""
    return Column(name, JSONB, nullable=False)
