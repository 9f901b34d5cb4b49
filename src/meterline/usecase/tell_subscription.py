"""Tell what became of a wallet's subscription, in the transaction in which it did."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.store import customer as customers
from meterline.store import notice
from meterline.store.offer import WalletSubscription
from meterline.wallet.news import SubscriptionNews, SubscriptionTopic


async def tell_subscription(
    tx: AsyncConnection, topic: SubscriptionTopic, told: WalletSubscription, *, now: datetime
) -> None:
    """Write the notice of a topic; `now` is the customer's time, UTC."""
    owner = (await customers.find_all(tx, [told.customer_id]))[told.customer_id]
    news = SubscriptionNews(
        environment=told.environment,
        id=told.id,
        customer=owner.id,
        status=told.status,
        products=tuple((each.product, each.code, each.version) for each in told.products),
        started_at=told.starts_at,
        renews_at=told.renews_at,
        created=now,
    )
    await notice.add(tx, environment=told.environment, customer_id=told.customer_id, type=topic, subject=news, now=now)
