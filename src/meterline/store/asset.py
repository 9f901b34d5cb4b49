"""Assets: currencies and units of the seller's own, and at what rate one buys the other, from when on."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Column, Integer, PrimaryKeyConstraint, Table, Text, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.money import CURRENCIES, EXACT
from meterline.refusal import Conflict, Missing, Refusal
from meterline.store import row, schema
from meterline.store.ledger import AMOUNT

asset = Table(
    "asset",
    schema.metadata,
    schema.environment(),
    Column("code", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("precision", Integer, nullable=False),
    Column("label", Text),
    Column("symbol", Text),
    schema.document("metadata"),
    schema.instant("created", nullable=False),
    PrimaryKeyConstraint("environment", "code"),
)

asset_rate = Table(
    "asset_rate",
    schema.metadata,
    schema.environment(),
    Column("code", Text, nullable=False),
    Column("source", Text, nullable=False),
    schema.instant("valid_from", nullable=False),
    schema.instant("valid_to"),
    Column("rate", AMOUNT, nullable=False),
    PrimaryKeyConstraint("environment", "code", "source", "valid_from"),
)

_DIVISION_DIGITS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """A unit of the seller's own. `precision` is how many decimals are shown."""

    environment: str
    code: str
    name: str
    precision: int
    label: str | None
    symbol: str | None
    metadata: Mapping[str, Any]
    created: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How much of `source` one unit of the asset costs, from `valid_from` until just before `valid_to`."""

    source: str
    rate: Decimal
    valid_from: datetime
    valid_to: datetime | None


async def add(tx: AsyncConnection, new: Asset) -> None:
    """Store a new asset. Raises Conflict for a code that is taken, by a currency or another asset."""
    statement = insert(asset).values(row.values(new, asset)).on_conflict_do_nothing()
    if new.code.lower() in CURRENCIES or (await tx.execute(statement)).rowcount == 0:
        raise Conflict(f"The asset '{new.code}' exists already.", code="code_taken", param="code")


async def all_of(tx: AsyncConnection, environment: str) -> list[Asset]:
    """The seller's own assets, by code."""
    rows = await tx.execute(select(asset).where(asset.c.environment == environment).order_by(asset.c.code))
    return [row.load(Asset, found) for found in rows]


async def rates(tx: AsyncConnection, environment: str, code: str) -> list[Rate]:
    """Every rate an asset ever had, the newest first."""
    key = asset_rate.c
    rows = await tx.execute(
        select(asset_rate)
        .where(key.environment == environment, key.code == code)
        .order_by(key.source, key.valid_from.desc())
    )
    return [row.load(Rate, found) for found in rows]


async def set_rate(
    tx: AsyncConnection, *, environment: str, code: str, source: str, rate: Decimal, valid_from: datetime
) -> None:
    """Let an asset cost that much from an instant on; the rate before it ends there. Raises Conflict out of order."""
    key = asset_rate.c
    scope = (key.environment == environment, key.code == code, key.source == source)
    last = await tx.scalar(select(key.valid_from).where(*scope, key.valid_to.is_(None)).with_for_update())
    if last is not None and last >= valid_from:
        raise Conflict("A rate is valid from after the one before it.", code="rate_order", param="valid_from")
    await tx.execute(update(asset_rate).where(*scope, key.valid_to.is_(None)).values(valid_to=valid_from))
    await tx.execute(
        insert(asset_rate).values(
            environment=environment, code=code, source=source, valid_from=valid_from, valid_to=None, rate=rate
        )
    )


async def rate_at(tx: AsyncConnection, environment: str, code: str, source: str, at: datetime) -> Rate:
    """The rate in force at an instant. Raises Missing."""
    key = asset_rate.c
    found = (
        await tx.execute(
            select(asset_rate)
            .where(key.environment == environment, key.code == code, key.source == source, key.valid_from <= at)
            .order_by(key.valid_from.desc())
            .limit(1)
        )
    ).first()
    if found is None:
        raise Missing("rate of asset", f"{code} in {source}", param="asset")
    return row.load(Rate, found)


async def units_for(
    tx: AsyncConnection, environment: str, code: str, amount: Decimal, source: str, *, at: datetime
) -> Decimal:
    """How many units an amount of `source` buys at an instant, to many more digits than are booked."""
    found = await rate_at(tx, environment, code, source, at)
    if found.rate == 0:
        raise Refusal(f"{code} is not sold at a rate of zero.", code="rate_zero")
    context = EXACT.copy()
    context.prec = _DIVISION_DIGITS
    context.clear_traps()
    return context.divide(amount, found.rate)
