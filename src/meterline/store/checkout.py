"""Checkout sessions."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, PrimaryKeyConstraint, Table, Text, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.payment.checkout import Checkout
from meterline.refusal import Missing
from meterline.store import public_id, schema
from meterline.store.identifier import uuid7
from meterline.store.page import Cursor, Page, Span, during, page
from meterline.store.row import load, values

KIND = "checkout.session"

checkout = Table(
    "checkout",
    schema.metadata,
    schema.environment(),
    schema.customer_id(),
    schema.public_id(),
    schema.sequence(),
    Column("customer", Text),
    Column("mode", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("payment_status", Text, nullable=False),
    schema.instant("created", nullable=False),
    schema.instant("expires_at", nullable=False),
    Column("currency", Text),
    Column("amount", BigInteger, nullable=False),
    schema.document("lines"),
    Column("success_url", Text),
    Column("cancel_url", Text),
    Column("client_reference_id", Text),
    Column("email", Text),
    Column("make_customer", Boolean, nullable=False),
    Column("trial_days", Integer),
    Column("description", Text),
    Column("setup_future_usage", Text),
    schema.document("metadata"),
    schema.document("result_metadata"),
    Column("payment", Text),
    Column("setup", Text),
    Column("subscription", Text),
    Column("invoice", Text),
    Column("payer_name", Text),
    Column("payer_email", Text),
    PrimaryKeyConstraint("customer_id", "id"),
    Index("ix_checkout_sequence", "environment", "sequence"),
)


async def add(tx: AsyncConnection, new: Checkout) -> None:
    """Store a new session and make its id known."""
    await tx.execute(insert(checkout).values(values(new, checkout, sequence=uuid7())))
    await public_id.add(tx, environment=new.environment, customer_id=new.customer_id, kind=KIND, ids=[new.id])


async def save(tx: AsyncConnection, changed: Checkout) -> None:
    """Store a changed session; its key stays what it was when it was made."""
    await tx.execute(
        update(checkout)
        .where(checkout.c.customer_id == changed.customer_id, checkout.c.id == changed.id)
        .values(values(changed, checkout))
    )


async def find(tx: AsyncConnection, environment: str, ids: Sequence[str]) -> dict[str, Checkout]:
    """The sessions with those ids; unknown ones are left out."""
    owners = await public_id.owners(tx, environment=environment, kind=KIND, ids=ids)
    query = select(checkout).where(checkout.c.customer_id.in_(owners.values()), checkout.c.id.in_(owners))
    return {row.id: load(Checkout, row) for row in await tx.execute(query)}


async def get(tx: AsyncConnection, environment: str, id: str, *, lock: bool = False) -> Checkout:
    """The session that a call is about, locked if asked. Raises Missing."""
    owner: UUID | None = await public_id.owner(tx, environment=environment, kind=KIND, id=id)
    query = select(checkout).where(checkout.c.customer_id == owner, checkout.c.id == id)
    row = None if owner is None else (await tx.execute(query.with_for_update() if lock else query)).one_or_none()
    if row is None:
        raise Missing(KIND, id, param="session", subject=True)
    return load(Checkout, row)


async def listed(
    tx: AsyncConnection,
    environment: str,
    cursor: Cursor,
    *,
    customer: str | None = None,
    payment: str | None = None,
    subscription: str | None = None,
    status: str | None = None,
    created: Span | None = None,
) -> Page:
    """A page of sessions, newest first."""
    scope = checkout.c.environment == environment
    query = select(checkout).where(scope, *during(checkout.c.created, created))
    for column, wanted in (
        (checkout.c.customer, customer),
        (checkout.c.payment, payment),
        (checkout.c.subscription, subscription),
        (checkout.c.status, status),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    return await page(tx, query, checkout, kind=KIND, scope=scope, cursor=cursor)


async def of_result(tx: AsyncConnection, *, customer_id: UUID, id: str) -> Checkout | None:
    """The session that made a payment or a setup of that id; None where none did."""
    query = (
        select(checkout)
        .where(checkout.c.customer_id == customer_id, (checkout.c.payment == id) | (checkout.c.setup == id))
        .order_by(checkout.c.sequence.desc())
        .limit(1)
    )
    row = (await tx.execute(query)).one_or_none()
    return None if row is None else load(Checkout, row)
