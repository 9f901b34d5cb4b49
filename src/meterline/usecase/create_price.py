"""Create a price, and the product it prices where that is made along with it."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.catalog import Price, Product
from meterline.refusal import Missing, Refusal
from meterline.store import meter, notice, price, product
from meterline.usecase.change_price import take_lookup_key
from meterline.usecase.create_product import create_product


async def create_price(
    tx: AsyncConnection,
    *,
    new: Price,
    along_with: Product | None = None,
    transfer_lookup_key: bool = False,
    at: str = "",
    now: datetime,
) -> Price:
    """Store a new price and tell it. `along_with` is a product to make first.

    With `transfer_lookup_key` the price that holds the lookup key loses it. Raises Missing for a product or meter
    that does not exist; `at` is the hash that the caller's parameters stand in (`price_data`).
    """
    if along_with is not None:
        await create_product(tx, new=along_with, now=now)
    elif not await product.find(tx, new.environment, [new.product]):
        raise Missing("product", new.product, param=f"{at}[product]" if at else "product")
    await _check_meter(tx, new)
    if new.lookup_key is not None and transfer_lookup_key:
        await take_lookup_key(tx, new.environment, new.lookup_key, now=now)
    await price.add(tx, new)
    await notice.add(tx, environment=new.environment, customer_id=None, type="price.created", subject=new, now=now)
    return new


async def _check_meter(tx: AsyncConnection, new: Price) -> None:
    if new.recurring is None or new.recurring.meter is None:
        return
    found = (await meter.find(tx, new.environment, [new.recurring.meter])).get(new.recurring.meter)
    if found is None:
        raise Missing("billing meter", new.recurring.meter, param="recurring[meter]")
    if found.status != "active":
        raise Refusal(
            f"The meter `{found.id}` is inactive; a new price can only be backed by an active meter.",
            param="recurring[meter]",
        )
