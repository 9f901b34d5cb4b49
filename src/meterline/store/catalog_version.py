"""One number per environment that says whether a cached catalog is still the stored one.

Whoever changes something that ingest decides by (a meter, a customer's existence, a price that wallets are
debited at) raises it in the same transaction. A batch of events reads it in its own transaction and starts
over when its cache was older.
"""

from sqlalchemy import BigInteger, Column, PrimaryKeyConstraint, Table, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.store.schema import environment, metadata

catalog_version = Table(
    "catalog_version",
    metadata,
    environment(),
    Column("version", BigInteger, nullable=False),
    PrimaryKeyConstraint("environment"),
)


async def bump(tx: AsyncConnection, environment: str) -> None:
    """The catalog changes in this transaction: caches of the state before it are stale once it commits."""
    statement = insert(catalog_version).values(environment=environment, version=1)
    await tx.execute(
        statement.on_conflict_do_update(index_elements=["environment"], set_={"version": catalog_version.c.version + 1})
    )


async def current(tx: AsyncConnection, environment: str) -> int:
    """The version as this transaction sees it; 0 before the first change."""
    found = await tx.scalar(select(catalog_version.c.version).where(catalog_version.c.environment == environment))
    return found or 0
