"""Assets: currencies and units of the seller's own, and at what rate one buys the other, from when on."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Column, Integer, PrimaryKeyConstraint, Table, Text, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.money import CURRENCIES, EXACT, MAX_DECIMALS, round_debit
from meterline.refusal import Conflict, Missing, Refusal
from meterline.store import row, schema
from meterline.store.ledger import AMOUNT

asset = Table(
    "asset",
    schema.metadata,
    schema.environment(),
    Column("code", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("precision", Integer),
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

_DIVISION_DIGITS = 60
MOST_UNITS = Decimal(10) ** 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """A unit of the seller's own. It is sold in amounts of `precision` decimals (null: as exactly as can be booked)."""

    environment: str
    code: str
    name: str
    precision: int | None
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


async def find(tx: AsyncConnection, environment: str, code: str) -> Asset | None:
    """The seller's own asset of that code."""
    query = select(asset).where(asset.c.environment == environment, asset.c.code == code)
    found = (await tx.execute(query)).first()
    return None if found is None else row.load(Asset, found)


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
    tx: AsyncConnection,
    *,
    environment: str,
    code: str,
    source: str,
    rate: Decimal,
    valid_from: datetime,
    valid_to: datetime | None = None,
) -> None:
    """Let an asset cost that much from an instant on, for ever or until another; the rate before it ends there.

    Raises Conflict out of order.
    """
    key = asset_rate.c
    scope = (key.environment == environment, key.code == code, key.source == source)
    latest = select(key.valid_from).where(*scope).order_by(key.valid_from.desc()).limit(1)
    last = await tx.scalar(latest.with_for_update())
    if last is not None and last >= valid_from:
        raise Conflict("A rate is valid from after the one before it.", code="rate_order", param="valid_from")
    if valid_to is not None and valid_to <= valid_from:
        raise Refusal("A rate ends after it began.", code="rate_order", param="valid_to")
    open_then = key.valid_to.is_(None) | (key.valid_to > valid_from)
    await tx.execute(update(asset_rate).where(*scope, open_then).values(valid_to=valid_from))
    statement = insert(asset_rate).values(
        environment=environment, code=code, source=source, valid_from=valid_from, valid_to=valid_to, rate=rate
    )
    if (await tx.execute(statement.on_conflict_do_nothing())).rowcount == 0:
        raise Conflict("A rate is valid from after the one before it.", code="rate_order", param="valid_from")


async def rate_at(tx: AsyncConnection, environment: str, code: str, source: str, at: datetime) -> Rate:
    """The rate in force at an instant. Raises Missing."""
    key = asset_rate.c
    found = (
        await tx.execute(
            select(asset_rate)
            .where(key.environment == environment, key.code == code, key.source == source)
            .where(key.valid_from <= at, key.valid_to.is_(None) | (key.valid_to > at))
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
    """How many units an amount of `source` buys at an instant, rounded to the decimals that the unit is sold in."""
    found = await rate_at(tx, environment, code, source, at)
    return units_at(amount, found.rate, await precision(tx, environment, code))


async def precision(tx: AsyncConnection, environment: str, code: str) -> int | None:
    """In how many decimals a unit is sold; None: as exactly as can be booked."""
    unit = await find(tx, environment, code)
    return None if unit is None else unit.precision


def units_at(amount: Decimal, rate: Decimal, decimals: int | None) -> Decimal:
    """How many units an amount buys at a rate, rounded to that many decimals, or as amounts are booked."""
    if rate == 0:
        raise Refusal("A unit is not sold at a rate of zero.", code="rate_zero")
    bought = round_debit(_divide(amount, rate), MAX_DECIMALS if decimals is None else decimals)
    if bought == 0:
        raise Refusal("The amount buys nothing of the unit.", code="amount_invalid", param="amount")
    if bought >= MOST_UNITS:
        raise Refusal("The amount buys more of the unit than can be kept.", code="amount_invalid", param="amount")
    return bought


def inverse(rate: Decimal) -> Decimal:
    """How many units one of the source buys, to many more digits than are booked. The rate is not zero."""
    return _divide(Decimal(1), rate)


def _divide(amount: Decimal, by: Decimal) -> Decimal:
    context = EXACT.copy()
    context.prec = _DIVISION_DIGITS
    context.clear_traps()
    return context.divide(amount, by)
