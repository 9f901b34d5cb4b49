"""The table of token prices, by model, each from an instant on: what a call cost can always be looked up again."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Column, Integer, PrimaryKeyConstraint, Table, Text, select
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.catalog.token import TokenPrice
from meterline.refusal import Missing
from meterline.store import row, schema

token_price = Table(
    "token_price",
    schema.metadata,
    schema.environment(),
    Column("model", Text, nullable=False),
    schema.instant("valid_from", nullable=False),
    Column("provider", Text, nullable=False),
    Column("currency", Text, nullable=False),
    schema.document("prices"),
    Column("long_from", Integer),
    schema.document("long"),
    PrimaryKeyConstraint("environment", "model", "valid_from"),
)


_CHANGES = ("provider", "currency", "prices", "long_from", "long")


async def put(tx: AsyncConnection, environment: str, prices: Iterable[TokenPrice], *, valid_from: datetime) -> int:
    """Let these prices hold from an instant on, where they differ from those in force; returns how many did."""
    wanted = list(prices)
    known = {each.model: each for each in await in_force(tx, environment, at=valid_from)}
    rows = [
        row.values(each, token_price, environment=environment, valid_from=valid_from)
        for each in wanted
        if known.get(each.model) != each
    ]
    if rows:
        statement = insert(token_price)
        await tx.execute(
            statement.on_conflict_do_update(
                index_elements=["environment", "model", "valid_from"],
                set_={name: statement.excluded[name] for name in _CHANGES},
            ),
            rows,
        )
    return len(rows)


async def in_force(
    tx: AsyncConnection, environment: str, *, at: datetime, model: str | None = None
) -> list[TokenPrice]:
    """The prices in force at an instant, by model; of one model when it is named."""
    key = token_price.c
    query = (
        select(token_price)
        .ext(distinct_on(key.model))
        .where(key.environment == environment, key.valid_from <= at)
        .order_by(key.model, key.valid_from.desc())
    )
    if model is not None:
        query = query.where(key.model == model)
    return [row.load(TokenPrice, found) for found in await tx.execute(query)]


async def get(tx: AsyncConnection, environment: str, model: str, *, at: datetime) -> TokenPrice:
    """The price of a model at an instant. Raises Missing."""
    found = await in_force(tx, environment, at=at, model=model)
    if not found:
        raise Missing("token price of model", model, param="model")
    return found[0]
