"""Promotion codes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    Index,
    PrimaryKeyConstraint,
    Table,
    Text,
    exists,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.discount import PromotionCode
from meterline.refusal import Missing, Refusal
from meterline.store import schema
from meterline.store.coupon import coupon
from meterline.store.identifier import uuid7
from meterline.store.page import Cursor, Page, Span, during, page
from meterline.store.row import load, values

KIND = "promotion code"

promotion_code = Table(
    "promotion_code",
    schema.metadata,
    schema.environment(),
    schema.public_id(),
    schema.sequence(),
    Column("code", Text, nullable=False),
    Column("typed", Text, nullable=False),
    Column("coupon", Text, nullable=False),
    schema.instant("created", nullable=False),
    Column("active", Boolean, nullable=False),
    Column("customer", Text),
    schema.instant("expires_at"),
    Column("max_redemptions", BigInteger),
    Column("times_redeemed", BigInteger, nullable=False),
    schema.document("restrictions"),
    schema.document("metadata"),
    PrimaryKeyConstraint("environment", "id"),
    CheckConstraint("times_redeemed <= max_redemptions", name="redeemed_as_often_as_allowed"),
    Index("ix_promotion_code_sequence", "environment", "sequence"),
    Index("ix_promotion_code_coupon", "environment", "coupon", "sequence"),
    Index("ix_promotion_code_typed", "environment", "typed", "sequence"),
    Index(
        "ix_promotion_code_active",
        "environment",
        "typed",
        "customer",
        unique=True,
        postgresql_where=text("active"),
        postgresql_nulls_not_distinct=True,
    ),
)
"""`typed` is the code as it is compared: in lower case."""


async def add(tx: AsyncConnection, new: PromotionCode) -> None:
    """Insert a code; refuses words that another active one has."""
    statement = insert(promotion_code).values(_row(new) | {"sequence": uuid7()}).on_conflict_do_nothing()
    if (await tx.execute(statement)).rowcount == 0:
        raise taken(new)


def taken(new: PromotionCode) -> Refusal:
    """The words are in use."""
    return Refusal(f"An active promotion code with `code: {new.code}` already exists.", param="code")


async def find(tx: AsyncConnection, environment: str, ids: Sequence[str]) -> dict[str, PromotionCode]:
    """The codes with those ids; unknown ones are left out."""
    query = select(promotion_code).where(promotion_code.c.environment == environment, promotion_code.c.id.in_(ids))
    return {row.id: load(PromotionCode, row) for row in await tx.execute(query)}


async def lock(tx: AsyncConnection, environment: str, id: str) -> PromotionCode:
    """The code that a call is about, locked until the transaction ends. Raises Missing."""
    query = select(promotion_code).where(promotion_code.c.environment == environment, promotion_code.c.id == id)
    row = (await tx.execute(query.with_for_update())).one_or_none()
    if row is None:
        raise Missing(KIND, id, param="promotion_code", subject=True)
    return load(PromotionCode, row)


async def active(
    tx: AsyncConnection,
    environment: str,
    *,
    code: str | None = None,
    coupon: str | None = None,
) -> list[PromotionCode]:
    """The codes that are switched on and read like that, or are for that coupon, oldest first, locked."""
    query = select(promotion_code).where(promotion_code.c.environment == environment, promotion_code.c.active)
    if code is not None:
        query = query.where(promotion_code.c.typed == code.lower())
    if coupon is not None:
        query = query.where(promotion_code.c.coupon == coupon)
    query = query.order_by(promotion_code.c.sequence).with_for_update()
    return [load(PromotionCode, row) for row in await tx.execute(query)]


async def reading(tx: AsyncConnection, environment: str, code: str) -> list[PromotionCode]:
    """The codes that are switched on and read like that, whatever its case."""
    query = select(promotion_code).where(
        promotion_code.c.environment == environment, promotion_code.c.active, promotion_code.c.typed == code.lower()
    )
    return [load(PromotionCode, row) for row in await tx.execute(query)]


async def save(tx: AsyncConnection, changed: PromotionCode) -> None:
    """Store a changed code that was locked; refuses words that another active one has."""
    statement = (
        update(promotion_code)
        .where(promotion_code.c.environment == changed.environment, promotion_code.c.id == changed.id)
        .values(_row(changed))
    )
    try:
        await tx.execute(statement)
    except IntegrityError:
        raise taken(changed) from None


async def redeem(tx: AsyncConnection, found: PromotionCode) -> PromotionCode | None:
    """Count one redemption, which keeps others from this code until the transaction ends; None when it ran out."""
    column = promotion_code.c
    left = column.max_redemptions.is_(None) | (column.times_redeemed < column.max_redemptions)
    statement = (
        update(promotion_code)
        .where(column.environment == found.environment, column.id == found.id, column.active, left)
        .values(times_redeemed=column.times_redeemed + 1)
        .returning(promotion_code)
    )
    row = (await tx.execute(statement)).one_or_none()
    return None if row is None else load(PromotionCode, row)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What a list of codes is narrowed to; `active` is whether they work at `now`."""

    now: datetime
    active: bool | None = None
    code: str | None = None
    coupon: str | None = None
    customer: str | None = None
    created: Span | None = None


async def listed(tx: AsyncConnection, environment: str, cursor: Cursor, narrowed: Filter) -> Page:
    """A page of codes, newest first."""
    scope = promotion_code.c.environment == environment
    query = select(promotion_code).where(scope, *during(promotion_code.c.created, narrowed.created))
    typed = None if narrowed.code is None else narrowed.code.lower()
    for column, wanted in (
        (promotion_code.c.typed, typed),
        (promotion_code.c.coupon, narrowed.coupon),
        (promotion_code.c.customer, narrowed.customer),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    if narrowed.active is not None:
        works = _usable(narrowed.now)
        query = query.where(works if narrowed.active else ~works)
    return await page(tx, query, promotion_code, kind=KIND, scope=scope, cursor=cursor)


def _usable(now: datetime) -> ColumnElement[bool]:
    """As `PromotionCode.usable`."""
    code = promotion_code.c
    valid = exists().where(
        coupon.c.environment == code.environment,
        coupon.c.id == code.coupon,
        ~coupon.c.deleted,
        coupon.c.redeem_by.is_(None) | (coupon.c.redeem_by >= now),
        coupon.c.max_redemptions.is_(None) | (coupon.c.times_redeemed < coupon.c.max_redemptions),
    )
    return (
        code.active
        & (code.expires_at.is_(None) | (code.expires_at > now))
        & (code.max_redemptions.is_(None) | (code.times_redeemed < code.max_redemptions))
        & valid
    )


def _row(code: PromotionCode) -> dict[str, object]:
    return values(code, promotion_code, typed=code.code.lower())
