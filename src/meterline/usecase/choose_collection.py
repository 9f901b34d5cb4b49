"""Say how the usage of a metered price is collected from a customer: by invoice, from the wallet, or from both."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.catalog import Price
from meterline.catalog.collection import Collection
from meterline.customer import Customer
from meterline.refusal import Refusal
from meterline.store import collection as store
from meterline.store import ledger, meter
from meterline.store import subscription as subscriptions
from meterline.store.collection import Chosen
from meterline.store.database import driver
from meterline.subscription.model import Subscription
from meterline.usecase.collect_by_wallet import follow_subscription
from meterline.usecase.record_subscription import record_change
from meterline.usecase.subscribe_wallet import open_wallet

MEMBER = "collection"
"""The member of a subscription item's metadata that says how its usage is collected, unless by invoice."""


async def check_debitable(tx: AsyncConnection, price: Price) -> None:
    """Refuse a price whose usage cannot be debited event by event."""
    if price.recurring is None or price.recurring.meter is None:
        raise Refusal(
            f"The price '{price.id}' is not metered: only usage is paid from a wallet.",
            code="not_metered",
            param="price",
        )
    counted = (await meter.find(tx, price.environment, [price.recurring.meter]))[price.recurring.meter]
    if counted.formula == "unique" or counted.event_time_window is not None:
        raise Refusal(
            f"The meter '{counted.event_name}' does not add up event by event, so a wallet cannot pay for it.",
            code="not_debitable",
            param="price",
        )


async def collect(
    tx: AsyncConnection,
    *,
    customer: Customer,
    price: Price,
    collection: Collection,
    starts_at: datetime | None,
    now: datetime,
) -> Chosen:
    """Collect usage that happens from `starts_at` (the customer's now) on so. Refuses an instant that is past."""
    if collection != "invoice":
        await check_debitable(tx, price)
        await open_wallet(tx, environment=customer.environment, customer_id=customer.customer_id, now=now)
    starts = starts_at or now
    if starts < now:
        raise Refusal("Usage that happened is collected as it was set then.", code="in_past", param="effective_at")
    bought = [
        each
        for each in await subscriptions.of_customer(tx, customer_id=customer.customer_id)
        if any(item.price == price.id for item in each.items)
    ]
    locked = [await subscriptions.lock_of(tx, customer_id=each.customer_id, id=each.id) for each in bought]
    await ledger.lock(await driver(tx), environment=customer.environment, customer_ids=[customer.customer_id])
    new = Chosen(
        environment=customer.environment,
        customer_id=customer.customer_id,
        price=price.id,
        starts_at=starts,
        collection=collection,
        created=now,
    )
    await store.choose(tx, new)
    for subscription in locked:
        if subscription is not None:
            shown = _shown(subscription, price.id, collection) if starts == now else subscription
            await follow_subscription(tx, None, shown, now=now)
            await record_change(tx, subscription, shown, now=now)
    return new


def _shown(subscription: Subscription, price: str, collection: Collection) -> Subscription:
    """The subscription with the way written in the metadata of the price's item, where the other door shows it."""
    items = tuple(
        replace(item, metadata=_told(item.metadata, collection)) if item.price == price else item
        for item in subscription.items
    )
    return replace(subscription, items=items)


def _told(metadata: Mapping[str, str], collection: Collection) -> dict[str, str]:
    others = {name: value for name, value in metadata.items() if name != MEMBER}
    return others if collection == "invoice" else others | {MEMBER: collection}
