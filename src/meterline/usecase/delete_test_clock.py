"""Delete a test clock with everything that lives on it."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.refusal import Missing, Refusal
from meterline.store import clock as store
from meterline.store import customer as customers
from meterline.store import due, notice
from meterline.subscription.clock import TestClock
from meterline.usecase.create_test_clock import EXPIRY, NOBODY
from meterline.usecase.delete_customer import delete_customer


async def delete_test_clock(tx: AsyncConnection, *, environment: str, id: str, now: datetime) -> TestClock:
    """The clock as it was. Its customers are deleted, their subscriptions end, and nothing falls due any more.

    `now` is the wall clock. Raises Missing, or Refusal while the clock is advancing.
    """
    clock = await store.find(tx, environment=environment, id=id, lock=True)
    if clock is None:
        raise Missing("test_helpers.test_clock", id, param="id", subject=True)
    if clock.status == "advancing":
        raise Refusal(
            "Test clock advancement underway - cannot delete this test clock until it is ready.",
            code="test_clock_advancing",
        )
    for customer in await customers.on_clock(tx, environment, id):
        await delete_customer(tx, environment=environment, id=customer.id, now=now)
    await due.remove_clock(tx, environment=environment, clock=id)
    await due.remove(tx, customer_id=NOBODY, subject=id, kinds=[EXPIRY])
    await store.remove(tx, clock)
    await notice.add(
        tx,
        environment=environment,
        customer_id=None,
        type="test_helpers.test_clock.deleted",
        subject=clock,
        now=now,
    )
    return clock
