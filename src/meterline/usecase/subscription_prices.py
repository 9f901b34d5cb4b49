"""The prices that a subscription's decisions need, in its currency."""

from collections.abc import Collection, Mapping

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.catalog import Price
from meterline.refusal import Missing
from meterline.store import price as store
from meterline.subscription.model import Subscription


async def prices_of(
    tx: AsyncConnection, subscription: Subscription, *, also: Collection[str] = ()
) -> Mapping[str, Price]:
    """The prices of the items, of their last debits, and of the ids in `also`, by id."""
    ids = {item.price for item in subscription.items}
    ids |= {item.billed.price for item in subscription.items if item.billed is not None}
    found = await store.find(tx, subscription.environment, ids | set(also))
    return {id: price.in_currency(subscription.currency) for id, price in found.items()}


async def named_prices(tx: AsyncConnection, *, environment: str, named: Mapping[str, str]) -> dict[str, Price]:
    """The prices that parameters name (`{"items[0][price]": "price_…"}`) by parameter. Raises Missing."""
    found = await store.find(tx, environment, set(named.values()))
    for param, id in named.items():
        if id not in found:
            raise Missing("price", id, param=param)
    return {param: found[id] for param, id in named.items()}
