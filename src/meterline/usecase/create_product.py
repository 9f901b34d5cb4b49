"""Create a product, and its default price where that is made along with it."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.catalog import Price, Product
from meterline.store import notice, price, product


async def create_product(
    tx: AsyncConnection, *, new: Product, default_price: Price | None = None, now: datetime
) -> Product:
    """Store a new product and tell it. `default_price` is a price of it to make along, and becomes its default.

    Refuses an id that was ever used.
    """
    made = new if default_price is None else replace(new, default_price=default_price.id)
    await product.add(tx, made)
    await _tell(tx, "product.created", made, now=now)
    if default_price is not None:
        await price.add(tx, default_price)
        await _tell(tx, "price.created", default_price, now=now)
    return made


async def _tell(tx: AsyncConnection, type: str, subject: Product | Price, *, now: datetime) -> None:
    await notice.add(tx, environment=subject.environment, customer_id=None, type=type, subject=subject, now=now)
