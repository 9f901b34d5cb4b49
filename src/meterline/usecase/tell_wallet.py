"""Tell what happened to a wallet, in the transaction in which it did."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.store import customer as customers
from meterline.store import notice
from meterline.store.top_up import TopUp
from meterline.wallet.news import Topic, WalletNews


async def tell_wallet(
    tx: AsyncConnection,
    *,
    environment: str,
    customer_id: UUID,
    topic: Topic,
    about: str,
    asset: str,
    amount: Decimal | None = None,
    reason: str | None = None,
    again_at: datetime | None = None,
    expires_at: datetime | None = None,
    now: datetime,
) -> None:
    """Write the notice of a topic about the thing with that id; `now` is the customer's time, UTC."""
    owner = (await customers.find_all(tx, [customer_id]))[customer_id]
    news = WalletNews(
        environment=environment,
        id=about,
        customer=owner.id,
        topic=topic,
        asset=asset,
        amount=amount,
        reason=reason,
        again_at=again_at,
        expires_at=expires_at,
        created=now,
    )
    await notice.add(tx, environment=environment, customer_id=customer_id, type=topic, subject=news, now=now)


async def tell_top_up(tx: AsyncConnection, topic: Topic, told: TopUp, *, now: datetime) -> None:
    """Write the notice of a topic about a top-up; its secret is not part of it."""
    owner = (await customers.find_all(tx, [told.customer_id]))[told.customer_id]
    news = WalletNews(
        environment=told.environment,
        id=told.id,
        customer=owner.id,
        topic=topic,
        asset=told.asset,
        amount=told.amount,
        price=told.price,
        currency=told.currency,
        reason=told.failure,
        created=now,
    )
    await notice.add(tx, environment=told.environment, customer_id=told.customer_id, type=topic, subject=news, now=now)
