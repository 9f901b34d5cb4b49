"""Who sells in each environment."""

from sqlalchemy import Column, PrimaryKeyConstraint, Table, Text, select
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.invoice.seller import Seller
from meterline.store import row, schema

seller = Table(
    "seller",
    schema.metadata,
    schema.environment(),
    Column("name", Text),
    Column("email", Text),
    Column("phone", Text),
    Column("url", Text),
    Column("tax_id", Text),
    Column("address", JSONB(none_as_null=True)),
    PrimaryKeyConstraint("environment"),
)


async def find(tx: AsyncConnection, environment: str) -> Seller:
    """The environment's seller; one without a name before anything was set."""
    found = (await tx.execute(select(seller).where(seller.c.environment == environment))).one_or_none()
    return Seller(environment=environment) if found is None else row.load(Seller, found)


async def save(tx: AsyncConnection, changed: Seller) -> None:
    """Set the environment's seller."""
    new = row.values(changed, seller)
    await tx.execute(insert(seller).values(new).on_conflict_do_update(index_elements=["environment"], set_=new))
