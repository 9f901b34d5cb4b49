"""Change or delete a product."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.catalog import Product
from meterline.refusal import Refusal
from meterline.store import notice, price, product


async def change_product(tx: AsyncConnection, *, before: Product, after: Product, now: datetime) -> Product:
    """Store a changed product that was locked, and tell it; nothing when nothing changed.

    Raises Missing for a default price that does not exist; refuses one of another product.
    """
    if after == before:
        return before
    if after.default_price is not None and after.default_price != before.default_price:
        await _check_default(tx, after, after.default_price)
    await product.save(tx, after)
    await notice.add(
        tx,
        environment=after.environment,
        customer_id=None,
        type="product.updated",
        subject=after,
        previous=before,
        now=now,
    )
    return after


async def delete_product(tx: AsyncConnection, *, environment: str, id: str, now: datetime) -> Product:
    """Delete a product that was never priced. Raises Missing; refuses one that has prices."""
    gone = await product.lock(tx, environment, id)
    if await price.any_of_product(tx, environment, id):
        raise Refusal("This product cannot be deleted because it has one or more user-created prices.")
    await product.remove(tx, gone)
    await notice.add(tx, environment=environment, customer_id=None, type="product.deleted", subject=gone, now=now)
    return gone


async def _check_default(tx: AsyncConnection, changed: Product, default_price: str) -> None:
    found = await price.get(tx, changed.environment, default_price, param="default_price")
    if found.product != changed.id:
        raise Refusal(
            f"The price specified, `{found.id}`, belongs to another product and cannot be the default price of"
            f" `{changed.id}`.",
            param="default_price",
        )
    if not found.active:
        raise Refusal("The price specified is inactive. This field only accepts active prices.", param="default_price")
