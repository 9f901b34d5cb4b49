"""Setup intents."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Column, Index, PrimaryKeyConstraint, Table, Text, select, update
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.payment.setup import Setup
from meterline.refusal import Missing
from meterline.store import public_id, schema
from meterline.store.identifier import uuid7
from meterline.store.page import Cursor, Page, Span, during, page
from meterline.store.row import load, values

KIND = "setup_intent"

setup_intent = Table(
    "setup_intent",
    schema.metadata,
    schema.environment(),
    schema.customer_id(),
    schema.public_id(),
    schema.sequence(),
    Column("customer", Text),
    Column("status", Text, nullable=False),
    Column("client_secret", Text, nullable=False),
    schema.instant("created", nullable=False),
    Column("usage", Text, nullable=False),
    Column("payment_method", Text),
    Column("last_refusal", JSONB(none_as_null=True)),
    Column("cancellation_reason", Text),
    Column("description", Text),
    Column("return_url", Text),
    schema.document("metadata"),
    PrimaryKeyConstraint("customer_id", "id"),
    Index("ix_setup_intent_sequence", "environment", "sequence"),
)


async def add(tx: AsyncConnection, new: Setup) -> None:
    """Store a new setup intent and make its id known."""
    await tx.execute(insert(setup_intent).values(values(new, setup_intent, sequence=uuid7())))
    await public_id.add(tx, environment=new.environment, customer_id=new.customer_id, kind=KIND, ids=[new.id])


async def save(tx: AsyncConnection, changed: Setup) -> None:
    """Store a changed setup intent."""
    await tx.execute(
        update(setup_intent)
        .where(setup_intent.c.customer_id == changed.customer_id, setup_intent.c.id == changed.id)
        .values(values(changed, setup_intent))
    )


async def find(tx: AsyncConnection, environment: str, ids: Sequence[str]) -> dict[str, Setup]:
    """The setup intents with those ids; unknown ones are left out."""
    owners = await public_id.owners(tx, environment=environment, kind=KIND, ids=ids)
    query = select(setup_intent).where(setup_intent.c.customer_id.in_(owners.values()), setup_intent.c.id.in_(owners))
    return {row.id: load(Setup, row) for row in await tx.execute(query)}


async def get(tx: AsyncConnection, environment: str, id: str) -> Setup:
    """The setup intent that a call is about. Raises Missing."""
    found = (await find(tx, environment, [id])).get(id)
    if found is None:
        raise Missing(KIND, id, param="intent", subject=True)
    return found


async def lock(tx: AsyncConnection, *, customer_id: UUID, id: str) -> Setup:
    """A setup intent that is known to exist, locked until the transaction ends."""
    query = select(setup_intent).where(setup_intent.c.customer_id == customer_id, setup_intent.c.id == id)
    return load(Setup, (await tx.execute(query.with_for_update())).one())


async def listed(
    tx: AsyncConnection,
    environment: str,
    cursor: Cursor,
    *,
    customer_id: UUID | None = None,
    method: str | None = None,
    created: Span | None = None,
) -> Page:
    """A page of setup intents, newest first."""
    scope = setup_intent.c.environment == environment
    query = select(setup_intent).where(scope, *during(setup_intent.c.created, created))
    if customer_id is not None:
        query = query.where(setup_intent.c.customer_id == customer_id)
    if method is not None:
        query = query.where(setup_intent.c.payment_method == method)
    return await page(tx, query, setup_intent, kind=KIND, scope=scope, cursor=cursor)
