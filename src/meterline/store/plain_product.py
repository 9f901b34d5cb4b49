"""Products that no offer sells to wallets: those of the other door, with the prices that are theirs."""

from sqlalchemy import and_, exists, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.catalog import Price, Product
from meterline.store import row
from meterline.store.offer import offer
from meterline.store.price import price
from meterline.store.product import product


async def listed(
    tx: AsyncConnection, environment: str, *, offset: int, limit: int, id: str | None = None
) -> tuple[list[Product], int]:
    """Some active products without an offer, oldest first, and how many there are; with `id`, that one."""
    sold = exists().where(and_(offer.c.environment == product.c.environment, offer.c.product == product.c.id))
    scope = [product.c.environment == environment, product.c.active, ~product.c.deleted, ~sold]
    if id is not None:
        scope.append(product.c.id == id)
    count = await tx.scalar(select(func.count()).select_from(product).where(*scope))
    if limit <= 0:
        return [], count or 0
    rows = await tx.execute(select(product).where(*scope).order_by(product.c.sequence).offset(offset).limit(limit))
    return [row.load(Product, found) for found in rows], count or 0


async def prices_of(tx: AsyncConnection, environment: str, id: str) -> list[Price]:
    """The active prices of a product, oldest first."""
    rows = await tx.execute(
        select(price)
        .where(price.c.environment == environment, price.c.product == id, price.c.active)
        .order_by(price.c.sequence)
    )
    return [row.load(Price, found) for found in rows]
