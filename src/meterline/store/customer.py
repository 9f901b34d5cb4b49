"""Customers.

A customer is found by its public id through `public_id`, as everything that belongs to one is. A deleted customer
keeps its row, as a tombstone and a list cursor.
"""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    any_,
    cast,
    func,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, insert
from sqlalchemy.dialects.postgresql import UUID as UUID_COLUMN
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.customer import Customer
from meterline.refusal import Missing
from meterline.store import public_id, schema
from meterline.store.identifier import uuid7
from meterline.store.key import update_all
from meterline.store.page import Cursor, Page, Span, during, page
from meterline.store.row import load, values
from meterline.store.search import Searchable
from meterline.store.side_by_side import ask

KIND = "customer"

customer = Table(
    "customer",
    schema.metadata,
    schema.environment(),
    schema.customer_id(),
    schema.public_id(),
    schema.sequence(),
    schema.instant("created", nullable=False),
    Column("invoice_prefix", Text, nullable=False),
    Column("next_invoice_sequence", Integer, nullable=False),
    Column("name", Text),
    Column("email", Text),
    Column("phone", Text),
    Column("description", Text),
    Column("address", JSONB(none_as_null=True)),
    Column("shipping", JSONB(none_as_null=True)),
    Column("currency", Text),
    Column("balance", BigInteger, nullable=False),
    Column("discount", JSONB(none_as_null=True)),
    Column("delinquent", Boolean, nullable=False),
    Column("tax_exempt", Text, nullable=False),
    Column("timezone", Text, nullable=False),
    schema.document("invoice_settings"),
    schema.document("preferred_locales"),
    Column("test_clock", Text),
    schema.document("metadata"),
    schema.document("extra"),
    Column("deleted", Boolean, nullable=False),
    PrimaryKeyConstraint("customer_id"),
    Index("ix_customer_sequence", "environment", "sequence"),
    Index("ix_customer_id", "environment", "id"),
    Index("ix_customer_email", "environment", "email", "sequence"),
    Index("ix_customer_test_clock", "environment", "test_clock", postgresql_where=text("test_clock IS NOT NULL")),
)

SEARCH = Searchable(
    resource="customers",
    table=customer,
    fields={
        "created": (customer.c.created, "instant"),
        "email": (customer.c.email, "text"),
        "name": (customer.c.name, "text"),
        "phone": (customer.c.phone, "text"),
    },
    hidden=customer.c.deleted | customer.c.test_clock.is_not(None),
)


async def add(tx: AsyncConnection, new: Customer) -> None:
    """Store a new customer and make its id known."""
    await public_id.add(tx, environment=new.environment, customer_id=new.customer_id, kind=KIND, ids=[new.id])
    await tx.execute(insert(customer).values(values(new, customer, sequence=uuid7())))


async def find(tx: AsyncConnection, environment: str, ids: Collection[str]) -> dict[str, Customer]:
    """The customers with those public ids, tombstones (`deleted`) included; unknown ones are left out."""
    owners = await public_id.owners(tx, environment=environment, kind=KIND, ids=list(ids))
    return {found.id: found for found in (await find_all(tx, owners.values())).values()}


async def find_all(tx: AsyncConnection, customer_ids: Collection[UUID]) -> dict[UUID, Customer]:
    """The customers of those inner ids, tombstones included."""
    return await ask(_find_each, tx, tuple(customer_ids))


async def _find_each(tx: AsyncConnection, asked: Sequence[tuple[UUID, ...]]) -> list[dict[UUID, Customer]]:
    found = await _rows(tx, {id for ids in asked for id in ids})
    return [{id: found[id] for id in ids if id in found} for ids in asked]


async def _rows(tx: AsyncConnection, ids: Collection[UUID], *, lock: bool = False) -> dict[UUID, Customer]:
    query = select(customer).where(customer.c.customer_id == any_(cast(sorted(ids), ARRAY(UUID_COLUMN))))
    if lock:
        query = query.order_by(customer.c.customer_id).with_for_update()
    return {row.customer_id: load(Customer, row) for row in await tx.execute(query)}


async def get(
    tx: AsyncConnection,
    environment: str,
    id: str,
    *,
    param: str = "customer",
    subject: bool = False,
    lock: bool = False,
) -> Customer:
    """The living customer of that public id. Raises Missing, for deleted ones too.

    `lock` keeps others from changing the customer (balance, invoice sequence, currency) until the transaction ends.
    """
    owner = await public_id.owner(tx, environment=environment, kind=KIND, id=id)
    query = select(customer).where(customer.c.customer_id == owner, ~customer.c.deleted)
    row = None if owner is None else (await tx.execute(query.with_for_update() if lock else query)).one_or_none()
    if row is None:
        raise Missing(KIND, id, param=param, subject=subject)
    return load(Customer, row)


async def lock(tx: AsyncConnection, customer_id: UUID) -> Customer:
    """The customer of that inner id, tombstones included, locked until the transaction ends."""
    return await ask(_lock_all, tx, customer_id)


async def _lock_all(tx: AsyncConnection, customer_ids: Sequence[UUID]) -> list[Customer]:
    found = await _rows(tx, set(customer_ids), lock=True)
    return [found[id] for id in customer_ids]


async def save(tx: AsyncConnection, changed: Customer) -> None:
    """Store a changed customer that was locked."""
    await ask(_save_all, tx, changed)


async def _save_all(tx: AsyncConnection, changed: Sequence[Customer]) -> list[None]:
    await update_all(tx, customer, [values(each, customer) for each in changed])
    return [None] * len(changed)


async def listed(
    tx: AsyncConnection,
    environment: str,
    cursor: Cursor,
    *,
    email: str | None = None,
    test_clock: str | None = None,
    created: Span | None = None,
) -> Page:
    """A page of living customers, newest first: those off test clocks, or those on the one given."""
    scope = customer.c.environment == environment
    query = select(customer).where(scope, ~customer.c.deleted, *during(customer.c.created, created))
    query = query.where(customer.c.test_clock.is_not_distinct_from(test_clock))
    if email is not None:
        query = query.where(customer.c.email == email)
    return await page(tx, query, customer, kind=KIND, scope=scope, cursor=cursor)


async def on_clock(tx: AsyncConnection, environment: str, test_clock: str) -> list[Customer]:
    """The living customers on a test clock, oldest first."""
    query = (
        select(customer)
        .where(customer.c.environment == environment, customer.c.test_clock == test_clock, ~customer.c.deleted)
        .order_by(customer.c.sequence)
    )
    return [load(Customer, row) for row in await tx.execute(query)]


async def count_on_clock(tx: AsyncConnection, environment: str, test_clock: str) -> int:
    """How many living customers a test clock has."""
    query = (
        select(func.count())
        .select_from(customer)
        .where(customer.c.environment == environment, customer.c.test_clock == test_clock, ~customer.c.deleted)
    )
    return int(await tx.scalar(query) or 0)
