"""Prices. Their amounts are never updated; a lookup key has at most one holder, which a constraint says."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import (
    Boolean,
    Column,
    Index,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    case,
    literal,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.catalog import (
    Adjustment,
    ByDimension,
    CurrencyOption,
    CustomAmount,
    Graduated,
    Package,
    Percentage,
    PerUnit,
    Price,
    PriceModel,
    QuantityModel,
    RateRow,
    Recurring,
    StairStep,
    Volume,
)
from meterline.refusal import Missing, Refusal
from meterline.store import catalog_version
from meterline.store.identifier import uuid7
from meterline.store.key import among
from meterline.store.page import Cursor, Page, Span, during, page
from meterline.store.row import load, loads, values
from meterline.store.schema import document, environment, instant, metadata, public_id, sequence
from meterline.store.search import Searchable
from meterline.store.side_by_side import ask

price = Table(
    "price",
    metadata,
    environment(),
    public_id(),
    sequence(),
    Column("product", Text, nullable=False),
    Column("currency", Text, nullable=False),
    document("model"),
    document("adjustment"),
    Column("recurring", JSONB(none_as_null=True)),
    Column("active", Boolean, nullable=False),
    Column("inline", Boolean, nullable=False),
    Column("nickname", Text),
    Column("lookup_key", Text),
    Column("tax_behavior", Text, nullable=False),
    document("currency_options"),
    document("metadata"),
    instant("created", nullable=False),
    PrimaryKeyConstraint("environment", "id"),
    UniqueConstraint("environment", "lookup_key"),
    Index("ix_price_sequence", "environment", "sequence"),
    Index("ix_price_product", "environment", "product", "sequence"),
)

SEARCH = Searchable(
    resource="prices",
    table=price,
    fields={
        "active": (price.c.active, "flag"),
        "currency": (price.c.currency, "token"),
        "lookup_key": (price.c.lookup_key, "text"),
        "product": (price.c.product, "text"),
        "type": (case((price.c.recurring.is_(None), "one_time"), else_="recurring"), "token"),
    },
    hidden=price.c.inline,
)

_QUANTITY_MODELS: Mapping[str, type[QuantityModel]] = {
    "per_unit": PerUnit,
    "package": Package,
    "graduated": Graduated,
    "volume": Volume,
    "stairstep": StairStep,
    "percentage": Percentage,
}


async def add(tx: AsyncConnection, new: Price) -> None:
    """Store a new price. Refuses a lookup key that another price has, whether active or not."""
    statement = insert(price).values(values(new, price, sequence=uuid7()))
    done = await tx.execute(statement.on_conflict_do_nothing(index_elements=["environment", "lookup_key"]))
    if done.rowcount == 0:
        assert new.lookup_key is not None
        await refuse_taken(tx, new.environment, new.lookup_key)
    await catalog_version.bump(tx, new.environment)


async def refuse_taken(tx: AsyncConnection, environment: str, lookup_key: str, *, unless: str | None = None) -> None:
    """Refuse a lookup key that a price other than `unless` has."""
    holder = await holding(tx, environment, lookup_key)
    if holder is not None and holder.id != unless:
        raise Refusal(f"A price (`{holder.id}`) already uses that lookup key.", param="lookup_key")


async def holding(tx: AsyncConnection, environment: str, lookup_key: str) -> Price | None:
    """The price that has the lookup key, locked until the transaction ends."""
    query = select(price).where(price.c.environment == environment, price.c.lookup_key == lookup_key)
    found = (await tx.execute(query.with_for_update())).one_or_none()
    return None if found is None else load(Price, found)


async def find(tx: AsyncConnection, environment: str, ids: Collection[str]) -> dict[str, Price]:
    """The prices with those ids; unknown ones are left out."""
    return await ask(_find_each, tx, (environment, frozenset(ids)))


async def _find_each(tx: AsyncConnection, asked: Sequence[tuple[str, frozenset[str]]]) -> list[dict[str, Price]]:
    keys = sorted({(environment, id) for environment, ids in asked for id in ids})
    if not keys:
        return [{} for _ in asked]
    query = select(price).where(among((price.c.environment, price.c.id), keys))
    found = {(each.environment, each.id): load(Price, each) for each in await tx.execute(query)}
    return [
        {id: found[environment, id] for id in sorted(ids) if (environment, id) in found} for environment, ids in asked
    ]


async def get(
    tx: AsyncConnection, environment: str, id: str, *, param: str = "price", subject: bool = False, lock: bool = False
) -> Price:
    """The price of that id, with `lock` locked until the transaction ends. Raises Missing."""
    query = select(price).where(price.c.environment == environment, price.c.id == id)
    found = (await tx.execute(query.with_for_update() if lock else query)).one_or_none()
    if found is None:
        raise Missing("price", id, param=param, subject=subject)
    return load(Price, found)


async def save(tx: AsyncConnection, changed: Price) -> None:
    """Store what may change about a price that was locked."""
    await tx.execute(
        update(price)
        .where(price.c.environment == changed.environment, price.c.id == changed.id)
        .values(values(changed, price))
    )
    await catalog_version.bump(tx, changed.environment)


async def any_of_product(tx: AsyncConnection, environment: str, product: str) -> bool:
    """Whether a product has prices, inactive and inline ones included."""
    query = select(literal(1)).where(price.c.environment == environment, price.c.product == product).limit(1)
    return (await tx.scalar(query)) is not None


async def listed(
    tx: AsyncConnection,
    environment: str,
    cursor: Cursor,
    *,
    active: bool | None = None,
    currency: str | None = None,
    lookup_keys: Sequence[str] | None = None,
    product: str | None = None,
    type: str | None = None,
    recurring: Mapping[str, str] | None = None,
    created: Span | None = None,
) -> Page:
    """A page of prices, newest first, without those made inline. `recurring` filters by members of that name."""
    scope = price.c.environment == environment
    query = select(price).where(scope, ~price.c.inline, *during(price.c.created, created))
    equal = {price.c.active: active, price.c.currency: currency, price.c.product: product}
    query = query.where(*(column == value for column, value in equal.items() if value is not None))
    if lookup_keys is not None:
        query = query.where(price.c.lookup_key.in_(lookup_keys))
    if type is not None:
        query = query.where(price.c.recurring.is_(None) == (type == "one_time"))
    for name, value in (recurring or {}).items():
        path = ("interval", "unit") if name == "interval" else (name,)
        query = query.where(price.c.recurring[path].astext == value)
    return await page(tx, query, price, kind="price", scope=scope, cursor=cursor)


@loads(Price)
def _loaded(kept: Mapping[str, Any]) -> Price:
    return Price(
        environment=kept["environment"],
        id=kept["id"],
        product=kept["product"],
        currency=kept["currency"],
        model=model_of(kept["model"]),
        adjustment=msgspec.convert(kept["adjustment"], Adjustment, strict=False),
        recurring=msgspec.convert(kept["recurring"], Recurring | None, strict=False),
        active=kept["active"],
        inline=kept["inline"],
        nickname=kept["nickname"],
        lookup_key=kept["lookup_key"],
        tax_behavior=kept["tax_behavior"],
        currency_options={
            currency: CurrencyOption(model=model_of(option["model"]), tax_behavior=option["tax_behavior"])
            for currency, option in kept["currency_options"].items()
        },
        metadata=kept["metadata"],
        created=msgspec.convert(kept["created"], datetime, strict=False),
    )


def model_of(kept: Mapping[str, Any]) -> PriceModel:
    """The price model of plain data; its `kind` says which."""
    if kept["kind"] == "custom":
        return msgspec.convert(kept, CustomAmount, strict=False)
    if kept["kind"] == "by_dimension":
        rows = tuple(RateRow(match=row["match"], model=_quantity_model(row["model"])) for row in kept["rows"])
        return ByDimension(keys=tuple(kept["keys"]), rows=rows)
    return _quantity_model(kept)


def _quantity_model(kept: Mapping[str, Any]) -> QuantityModel:
    return msgspec.convert(kept, _QUANTITY_MODELS[kept["kind"]], strict=False)
