"""How each environment wants tax rounded: for each line, or once for each rate of an invoice."""

from dataclasses import dataclass

from sqlalchemy import Column, PrimaryKeyConstraint, Table, Text, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.invoice.tax import Rounding
from meterline.store import row, schema

tax_policy = Table(
    "tax_policy",
    schema.metadata,
    schema.environment(),
    Column("rounding", Text, nullable=False),
    PrimaryKeyConstraint("environment"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxPolicy:
    """The policy of one environment."""

    environment: str
    rounding: Rounding = "line"


async def find(tx: AsyncConnection, environment: str) -> TaxPolicy:
    """The environment's policy; the default one before any was set."""
    query = select(tax_policy).where(tax_policy.c.environment == environment)
    found = (await tx.execute(query)).one_or_none()
    return TaxPolicy(environment=environment) if found is None else row.load(TaxPolicy, found)


async def save(tx: AsyncConnection, policy: TaxPolicy) -> None:
    """Set the environment's policy."""
    new = row.values(policy, tax_policy)
    await tx.execute(insert(tax_policy).values(new).on_conflict_do_update(index_elements=["environment"], set_=new))
