"""Payment methods.

A method that is attached to nobody lives under the nil customer, so that the key can lead with the customer
like everywhere else; attaching and detaching move the row.
"""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from sqlalchemy import Boolean, Column, Index, PrimaryKeyConstraint, Table, Text, delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.payment.method import PaymentMethod
from meterline.refusal import Missing
from meterline.store import public_id, schema
from meterline.store.identifier import uuid7
from meterline.store.key import among
from meterline.store.page import Cursor, Page, page
from meterline.store.row import load, values
from meterline.store.side_by_side import ask

KIND = "PaymentMethod"
NOBODY = UUID(int=0)

payment_method = Table(
    "payment_method",
    schema.metadata,
    schema.environment(),
    schema.customer_id(),
    schema.public_id(),
    schema.sequence(),
    Column("customer", Text),
    schema.instant("created", nullable=False),
    Column("type", Text, nullable=False),
    schema.document("card"),
    Column("processor", Text, nullable=False),
    Column("reference", Text, nullable=False),
    schema.document("billing_details"),
    Column("allow_redisplay", Text, nullable=False),
    Column("used", Boolean, nullable=False),
    schema.document("metadata"),
    PrimaryKeyConstraint("customer_id", "id"),
    Index("ix_payment_method_sequence", "environment", "sequence"),
    Index("ix_payment_method_customer", "customer_id", "sequence"),
)


async def add(tx: AsyncConnection, new: PaymentMethod) -> None:
    """Store a new method and make its id known."""
    await tx.execute(insert(payment_method).values(values(new, payment_method, sequence=uuid7())))
    await public_id.add(tx, environment=new.environment, customer_id=new.customer_id, kind=KIND, ids=[new.id])


async def save(tx: AsyncConnection, changed: PaymentMethod) -> None:
    """Store a changed method that stays with its customer."""
    await tx.execute(
        update(payment_method)
        .where(
            payment_method.c.customer_id == changed.customer_id,
            payment_method.c.id == changed.id,
        )
        .values(values(changed, payment_method))
    )


async def move(tx: AsyncConnection, method: PaymentMethod, *, customer_id: UUID, customer: str | None) -> PaymentMethod:
    """The method under another customer (or nobody). A new row, since the customer is part of the key."""
    moved = replace(method, customer_id=customer_id, customer=customer, used=True)
    sequence = await tx.scalar(
        delete(payment_method)
        .where(payment_method.c.customer_id == method.customer_id, payment_method.c.id == method.id)
        .returning(payment_method.c.sequence)
    )
    assert sequence is not None, "the method was locked"
    await tx.execute(insert(payment_method).values(values(moved, payment_method, sequence=sequence)))
    await public_id.move(tx, environment=method.environment, id=method.id, customer_id=customer_id)
    return moved


async def find(tx: AsyncConnection, environment: str, ids: Sequence[str]) -> dict[str, PaymentMethod]:
    """The methods with those ids; unknown ones are left out."""
    owners = await public_id.owners(tx, environment=environment, kind=KIND, ids=ids)
    return await ask(_find_each, tx, tuple((customer_id, id) for id, customer_id in owners.items()))


async def _find_each(
    tx: AsyncConnection, asked: Sequence[tuple[tuple[UUID, str], ...]]
) -> list[dict[str, PaymentMethod]]:
    keys = [key for each in asked for key in each]
    if not keys:
        return [{} for _ in asked]
    query = select(payment_method).where(among((payment_method.c.customer_id, payment_method.c.id), keys))
    found = {(row.customer_id, row.id): load(PaymentMethod, row) for row in await tx.execute(query)}
    return [{key[1]: found[key] for key in each if key in found} for each in asked]


async def lock(tx: AsyncConnection, environment: str, id: str, *, param: str = "payment_method") -> PaymentMethod:
    """The method that a call is about, locked until the transaction ends. Raises Missing."""
    owner = await public_id.owner(tx, environment=environment, kind=KIND, id=id)
    query = select(payment_method).where(payment_method.c.customer_id == owner, payment_method.c.id == id)
    row = None if owner is None else (await tx.execute(query.with_for_update())).one_or_none()
    if row is None:
        raise Missing(KIND, id, param=param, subject=True)
    return load(PaymentMethod, row)


async def of_customer(
    tx: AsyncConnection,
    environment: str,
    customer_id: UUID,
    cursor: Cursor,
    *,
    type: str | None = None,
    allow_redisplay: str | None = None,
) -> Page:
    """A page of a customer's methods, newest first."""
    scope = (payment_method.c.environment == environment) & (payment_method.c.customer_id == customer_id)
    query = select(payment_method).where(scope)
    if type is not None:
        query = query.where(payment_method.c.type == type)
    if allow_redisplay is not None:
        query = query.where(payment_method.c.allow_redisplay == allow_redisplay)
    return await page(tx, query, payment_method, kind=KIND, scope=scope, cursor=cursor)
