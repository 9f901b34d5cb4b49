"""The seller's own ids of customers: one look-up beside `public_id`."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import Column, PrimaryKeyConstraint, Table, Text, delete, exists, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.customer import Customer
from meterline.refusal import Conflict
from meterline.store import schema
from meterline.store.customer import customer
from meterline.store.offer import wallet_subscription
from meterline.store.row import load

external_id = Table(
    "external_id",
    schema.metadata,
    schema.environment(),
    Column("external_id", Text, nullable=False),
    schema.customer_id(),
    PrimaryKeyConstraint("environment", "external_id"),
)


async def claim(tx: AsyncConnection, *, environment: str, id: str, customer_id: UUID) -> None:
    """Let the customer be known by that id. Raises Conflict when another customer is."""
    statement = insert(external_id).values(environment=environment, external_id=id, customer_id=customer_id)
    done = await tx.execute(statement.on_conflict_do_nothing())
    if done.rowcount == 0 and await owner(tx, environment, id) != customer_id:
        raise Conflict(
            f"A customer with the external id '{id}' exists already.", code="external_id_taken", param="external_id"
        )


async def release(tx: AsyncConnection, *, environment: str, customer_id: UUID) -> None:
    """The customer is no longer known by any id of the seller's."""
    await tx.execute(
        delete(external_id).where(external_id.c.environment == environment, external_id.c.customer_id == customer_id)
    )


async def owner(tx: AsyncConnection, environment: str, id: str) -> UUID | None:
    """The customer known by that id."""
    found: UUID | None = await tx.scalar(
        select(external_id.c.customer_id).where(
            external_id.c.environment == environment, external_id.c.external_id == id
        )
    )
    return found


async def known_as(tx: AsyncConnection, environment: str, customer_ids: Collection[UUID]) -> dict[UUID, str]:
    """The seller's ids of these customers, where they have one."""
    rows = await tx.execute(
        select(external_id.c.customer_id, external_id.c.external_id).where(
            external_id.c.environment == environment, external_id.c.customer_id.in_(customer_ids)
        )
    )
    return {row.customer_id: row.external_id for row in rows}


async def listed(
    tx: AsyncConnection,
    environment: str,
    *,
    email: str | None,
    id: str | None,
    name: str | None,
    subscribed: bool | None,
    offset: int,
    limit: int,
) -> tuple[list[Customer], int]:
    """Living customers, newest first, by offset; and how many there are.

    `subscribed` narrows to those whose wallet has an active subscription, or has none.
    """
    scope = [customer.c.environment == environment, ~customer.c.deleted]
    if email is not None:
        scope.append(customer.c.email == email)
    if id is not None:
        scope.append(customer.c.id == id)
    if name is not None:
        scope.append(customer.c.name == name)
    if subscribed is not None:
        theirs = wallet_subscription.c
        active = exists().where(theirs.customer_id == customer.c.customer_id, theirs.status == "active")
        scope.append(active if subscribed else ~active)
    count = await tx.scalar(select(func.count()).select_from(customer).where(*scope))
    rows = await tx.execute(
        select(customer).where(*scope).order_by(customer.c.sequence.desc()).offset(offset).limit(limit)
    )
    return [load(Customer, row) for row in rows], count or 0
