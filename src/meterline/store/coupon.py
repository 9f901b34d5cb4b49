"""Coupons. A deleted one keeps its row, as a cursor and for who has it; its id can be given to a new coupon."""

from collections.abc import Sequence

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.discount import Coupon
from meterline.refusal import Missing, Refusal
from meterline.store import schema
from meterline.store.identifier import uuid7
from meterline.store.page import Cursor, Page, Span, during, page
from meterline.store.row import load, values

KIND = "coupon"

coupon = Table(
    "coupon",
    schema.metadata,
    schema.environment(),
    schema.public_id(),
    schema.sequence(),
    schema.instant("created", nullable=False),
    Column("duration", Text, nullable=False),
    Column("duration_in_months", Integer),
    Column("percent_off", Numeric),
    Column("amount_off", BigInteger),
    Column("currency", Text),
    schema.document("currency_options"),
    Column("products", JSONB(none_as_null=True)),
    Column("max_redemptions", BigInteger),
    schema.instant("redeem_by"),
    Column("times_redeemed", BigInteger, nullable=False),
    Column("name", Text),
    schema.document("metadata"),
    Column("deleted", Boolean, nullable=False),
    PrimaryKeyConstraint("environment", "id"),
    CheckConstraint("times_redeemed <= max_redemptions", name="redeemed_as_often_as_allowed"),
    Index("ix_coupon_sequence", "environment", "sequence"),
)


async def add(tx: AsyncConnection, new: Coupon) -> None:
    """Insert a coupon, in the place of a deleted one of that id; refuses the id of a living one."""
    row = values(new, coupon, sequence=uuid7())
    statement = insert(coupon).values(row)
    taken = statement.on_conflict_do_update(
        index_elements=[coupon.c.environment, coupon.c.id], set_=row, where=coupon.c.deleted
    )
    if (await tx.execute(taken)).rowcount == 0:
        raise Refusal("Coupon already exists.", code="resource_already_exists", param="id")


async def find(tx: AsyncConnection, environment: str, ids: Sequence[str]) -> dict[str, Coupon]:
    """The coupons with those ids, deleted ones too; unknown ones are left out."""
    query = select(coupon).where(coupon.c.environment == environment, coupon.c.id.in_(ids))
    return {row.id: load(Coupon, row) for row in await tx.execute(query)}


async def lock(tx: AsyncConnection, environment: str, id: str) -> Coupon:
    """The living coupon that a call is about, locked until the transaction ends. Raises Missing."""
    query = select(coupon).where(coupon.c.environment == environment, coupon.c.id == id, ~coupon.c.deleted)
    row = (await tx.execute(query.with_for_update())).one_or_none()
    if row is None:
        raise Missing(KIND, id, param="coupon", subject=True)
    return load(Coupon, row)


async def save(tx: AsyncConnection, changed: Coupon) -> None:
    """Store a changed coupon that was locked."""
    await tx.execute(
        update(coupon)
        .where(coupon.c.environment == changed.environment, coupon.c.id == changed.id)
        .values(values(changed, coupon))
    )


async def redeem(tx: AsyncConnection, found: Coupon) -> Coupon | None:
    """Count one redemption, which keeps others from this coupon until the transaction ends; None when it ran out."""
    left = coupon.c.max_redemptions.is_(None) | (coupon.c.times_redeemed < coupon.c.max_redemptions)
    statement = (
        update(coupon)
        .where(coupon.c.environment == found.environment, coupon.c.id == found.id, ~coupon.c.deleted, left)
        .values(times_redeemed=coupon.c.times_redeemed + 1)
        .returning(coupon)
    )
    row = (await tx.execute(statement)).one_or_none()
    return None if row is None else load(Coupon, row)


async def listed(tx: AsyncConnection, environment: str, cursor: Cursor, *, created: Span | None = None) -> Page:
    """A page of living coupons, newest first."""
    scope = coupon.c.environment == environment
    query = select(coupon).where(scope, ~coupon.c.deleted, *during(coupon.c.created, created))
    return await page(tx, query, coupon, kind=KIND, scope=scope, cursor=cursor)
