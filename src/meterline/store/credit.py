"""Billing credits: grants, and every movement of their balances."""

from collections.abc import Sequence
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
    func,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.invoice.credit import CreditGrant, CreditTransaction
from meterline.refusal import Missing
from meterline.store import public_id, schema
from meterline.store.identifier import uuid7
from meterline.store.key import among
from meterline.store.page import Cursor, Page, page
from meterline.store.row import load, values
from meterline.store.side_by_side import ask

GRANT = "credit grant"
TRANSACTION = "credit balance transaction"

credit_grant = Table(
    "credit_grant",
    schema.metadata,
    schema.environment(),
    schema.customer_id(),
    schema.public_id(),
    schema.sequence(),
    Column("customer", Text, nullable=False),
    Column("test_clock", Text),
    schema.instant("created", nullable=False),
    schema.instant("updated", nullable=False),
    Column("currency", Text, nullable=False),
    Column("value", BigInteger, nullable=False),
    Column("remaining", BigInteger, nullable=False),
    Column("category", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    schema.instant("effective_at", nullable=False),
    schema.instant("expires_at"),
    schema.instant("voided_at"),
    Column("applied", Boolean, nullable=False),
    Column("prices", JSONB(none_as_null=True)),
    Column("name", Text),
    schema.document("metadata"),
    PrimaryKeyConstraint("customer_id", "id"),
    Index("ix_credit_grant_sequence", "environment", "sequence"),
    Index("ix_credit_grant_customer", "customer_id", "sequence"),
)

credit_transaction = Table(
    "credit_transaction",
    schema.metadata,
    schema.environment(),
    schema.customer_id(),
    schema.public_id(),
    schema.sequence(),
    Column("customer", Text, nullable=False),
    Column("test_clock", Text),
    Column("grant", Text, nullable=False),
    Column("movement", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    schema.instant("created", nullable=False),
    schema.instant("effective_at", nullable=False),
    Column("invoice", Text),
    Column("line", Text),
    PrimaryKeyConstraint("customer_id", "id"),
    Index("ix_credit_transaction_sequence", "environment", "sequence"),
    Index("ix_credit_transaction_grant", "customer_id", "grant", "sequence"),
    Index("ix_credit_transaction_invoice", "customer_id", "invoice"),
)


async def add(tx: AsyncConnection, new: CreditGrant) -> None:
    """Store a new grant and make its id known."""
    await tx.execute(insert(credit_grant).values(values(new, credit_grant, sequence=uuid7())))
    await public_id.add(tx, environment=new.environment, customer_id=new.customer_id, kind=GRANT, ids=[new.id])


async def save(tx: AsyncConnection, changed: CreditGrant) -> None:
    """Store a changed grant."""
    await tx.execute(
        update(credit_grant)
        .where(credit_grant.c.customer_id == changed.customer_id, credit_grant.c.id == changed.id)
        .values(values(changed, credit_grant))
    )


async def find(tx: AsyncConnection, environment: str, ids: Sequence[str]) -> dict[str, CreditGrant]:
    """The grants with those ids; unknown ones are left out."""
    owners = await public_id.owners(tx, environment=environment, kind=GRANT, ids=ids)
    query = select(credit_grant).where(credit_grant.c.customer_id.in_(owners.values()), credit_grant.c.id.in_(owners))
    return {row.id: load(CreditGrant, row) for row in await tx.execute(query)}


async def get(tx: AsyncConnection, environment: str, id: str) -> CreditGrant:
    """The grant that a call is about. Raises Missing."""
    found = (await find(tx, environment, [id])).get(id)
    if found is None:
        raise Missing(GRANT, id, param="id", subject=True)
    return found


async def lock(tx: AsyncConnection, *, customer_id: UUID, id: str) -> CreditGrant | None:
    """The grant, locked until the transaction ends."""
    query = (
        select(credit_grant).where(credit_grant.c.customer_id == customer_id, credit_grant.c.id == id).with_for_update()
    )
    row = (await tx.execute(query)).one_or_none()
    return None if row is None else load(CreditGrant, row)


async def with_something_left(
    tx: AsyncConnection, *, customer_id: UUID, currency: str | None = None, locked: bool = False
) -> list[CreditGrant]:
    """The customer's grants that are not used up, oldest first."""
    found = await ask(_unused_locked if locked else _unused, tx, customer_id)
    return [each for each in found if currency in (None, each.currency)]


async def _unused(
    tx: AsyncConnection, customer_ids: Sequence[UUID], *, locked: bool = False
) -> list[list[CreditGrant]]:
    key = credit_grant.c
    query = select(credit_grant).where(among((key.customer_id,), [(id,) for id in customer_ids]), key.remaining > 0)
    query = query.order_by(key.customer_id, key.sequence)
    found: dict[UUID, list[CreditGrant]] = {id: [] for id in customer_ids}
    for row in await tx.execute(query.with_for_update() if locked else query):
        found[row.customer_id].append(load(CreditGrant, row))
    return [found[id] for id in customer_ids]


async def _unused_locked(tx: AsyncConnection, customer_ids: Sequence[UUID]) -> list[list[CreditGrant]]:
    return await _unused(tx, customer_ids, locked=True)


async def all_of(tx: AsyncConnection, *, customer_id: UUID) -> list[CreditGrant]:
    """Every grant that the customer ever got and that was not voided, oldest first."""
    query = select(credit_grant).where(credit_grant.c.customer_id == customer_id, credit_grant.c.voided_at.is_(None))
    return [load(CreditGrant, row) for row in await tx.execute(query.order_by(credit_grant.c.sequence))]


async def count_unused(tx: AsyncConnection, *, customer_id: UUID) -> int:
    """How many grants of the customer have something left."""
    query = select(func.count()).where(credit_grant.c.customer_id == customer_id, credit_grant.c.remaining > 0)
    return int(await tx.scalar(query) or 0)


async def listed(tx: AsyncConnection, environment: str, cursor: Cursor, *, customer_id: UUID | None = None) -> Page:
    """A page of grants, newest first."""
    scope = credit_grant.c.environment == environment
    query = select(credit_grant).where(scope)
    if customer_id is not None:
        query = query.where(credit_grant.c.customer_id == customer_id)
    return await page(tx, query, credit_grant, kind=GRANT, scope=scope, cursor=cursor)


async def record(tx: AsyncConnection, movement: CreditTransaction) -> None:
    """Store a movement of a grant's balance; it never changes."""
    await tx.execute(insert(credit_transaction).values(values(movement, credit_transaction, sequence=uuid7())))
    await public_id.add(
        tx, environment=movement.environment, customer_id=movement.customer_id, kind=TRANSACTION, ids=[movement.id]
    )


async def applied_to(tx: AsyncConnection, *, customer_id: UUID, invoice: str) -> list[CreditTransaction]:
    """What an invoice used of credits, in the order of use."""
    query = (
        select(credit_transaction)
        .where(
            credit_transaction.c.customer_id == customer_id,
            credit_transaction.c.invoice == invoice,
            credit_transaction.c.movement == "credits_applied",
        )
        .order_by(credit_transaction.c.sequence)
    )
    return [load(CreditTransaction, row) for row in await tx.execute(query)]


async def find_transactions(tx: AsyncConnection, environment: str, ids: Sequence[str]) -> dict[str, CreditTransaction]:
    """The movements with those ids; unknown ones are left out."""
    owners = await public_id.owners(tx, environment=environment, kind=TRANSACTION, ids=ids)
    query = select(credit_transaction).where(
        credit_transaction.c.customer_id.in_(owners.values()), credit_transaction.c.id.in_(owners)
    )
    return {row.id: load(CreditTransaction, row) for row in await tx.execute(query)}


async def transactions(
    tx: AsyncConnection, environment: str, cursor: Cursor, *, customer_id: UUID, grant: str | None = None
) -> Page:
    """A page of the movements of a customer's grants, or of one of them, newest first."""
    scope = credit_transaction.c.environment == environment
    query = select(credit_transaction).where(scope, credit_transaction.c.customer_id == customer_id)
    if grant is not None:
        query = query.where(credit_transaction.c.grant == grant)
    return await page(tx, query, credit_transaction, kind=TRANSACTION, scope=scope, cursor=cursor)
