"""Delete a customer: what was billed stays explained, nothing more is billed."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.customer import Customer
from meterline.refusal import Missing
from meterline.store import catalog_version, notice
from meterline.store import customer as store
from meterline.store import subscription as subscriptions
from meterline.subscription.model import Cancellation
from meterline.usecase.cancel_subscription import cancel_subscription
from meterline.usecase.moment import moment


async def delete_customer(tx: AsyncConnection, *, environment: str, id: str, now: datetime) -> Customer:
    """The customer as a tombstone; their subscriptions end at once, without a bill. `now` is the wall clock, UTC.

    Raises Missing, for a deleted customer too.
    """
    found = await store.get(tx, environment, id, param="id", subject=True)
    await _cancel_all(tx, found, now=now)
    living = await store.lock(tx, found.customer_id)
    if living.deleted:
        raise Missing(store.KIND, id, param="id", subject=True)
    # Whoever held the lock before us may just have subscribed the customer.
    await _cancel_all(tx, found, now=now)
    gone = replace(living, deleted=True)
    await store.save(tx, gone)
    await catalog_version.bump(tx, environment)
    await notice.add(
        tx,
        environment=environment,
        customer_id=gone.customer_id,
        type="customer.deleted",
        subject=gone,
        now=await moment(tx, environment=environment, test_clock=gone.test_clock, now=now),
    )
    return gone


async def _cancel_all(tx: AsyncConnection, customer: Customer, *, now: datetime) -> None:
    for each in await subscriptions.of_customer(tx, customer_id=customer.customer_id):
        await cancel_subscription(
            tx,
            environment=customer.environment,
            id=each.id,
            invoice_now=False,
            prorate=False,
            details=Cancellation(),
            now=now,
        )
