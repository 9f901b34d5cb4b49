"""The prices that a subscription's decisions need, in its currency."""

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.catalog import Price
from meterline.refusal import Missing
from meterline.store import price as store
from meterline.subscription.model import Subscription
from meterline.usecase.create_price import create_price


async def find_prices(
    tx: AsyncConnection, subscription: Subscription, *, also: Collection[str] = ()
) -> Mapping[str, Price]:
    """The prices of the items, of their last debits, and of the ids in `also`, by id."""
    ids = {item.price for item in subscription.items}
    ids |= {item.billed.price for item in subscription.items if item.billed is not None}
    found = await store.find(tx, subscription.environment, ids | set(also))
    return {id: price.in_currency(subscription.currency) for id, price in found.items()}


async def find_asked_prices(
    tx: AsyncConnection, *, environment: str, asked: Mapping[str, str | Price], now: datetime
) -> dict[str, Price]:
    """The prices that a call asks for, by where it does (`items[0]`): named by id, or made up in the call.

    Those made up are created. Raises Missing. `now` is the wall clock.
    """
    named = {id for id in asked.values() if isinstance(id, str)}
    found = await store.find(tx, environment, named)
    prices: dict[str, Price] = {}
    for param, price in asked.items():
        if not isinstance(price, str):
            prices[param] = await create_price(tx, new=price, at=within(param, "price_data"), now=now)
        elif price in found:
            prices[param] = found[price]
        else:
            raise Missing("price", price, param=within(param, "price"))
    return prices


def within(param: str, name: str) -> str:
    """The spelling of a member of a parameter: `items[0][price]`, or plain `price` at the top."""
    return f"{param}[{name}]" if param else name
