"""Set up a test clock."""

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.refusal import Refusal
from meterline.store import catalog_version, due, notice
from meterline.store import clock as store
from meterline.store import customer as customers
from meterline.store import subscription as subscriptions
from meterline.store.identifier import public, uuid7
from meterline.subscription.clock import LIFETIME, TestClock

NOBODY = UUID(int=0)
"""The customer of due work that is no customer's."""
EXPIRY = "clock_expiry"


async def create_test_clock(
    tx: AsyncConnection,
    *,
    environment: str,
    frozen_time: datetime,
    name: str | None,
    customer: str | None = None,
    now: datetime,
) -> TestClock:
    """A clock that stands at `frozen_time`. `now` is the wall clock, by which it is deleted after 30 days.

    `customer` is put on the clock for good; refused for one that lives on a clock or was sold something already.
    """
    clock = TestClock(
        environment=environment,
        id=public("clock"),
        sequence=uuid7(),
        name=name,
        created=now,
        deletes_after=now + LIFETIME,
        frozen_time=frozen_time,
    )
    await store.add(tx, clock)
    if customer is not None:
        await _attach(tx, clock, customer)
    await due.add(
        tx,
        environment=environment,
        customer_id=NOBODY,
        kind=EXPIRY,
        subject=clock.id,
        boundary=clock.deletes_after,
        due_at=clock.deletes_after,
        clock=None,
    )
    await notice.add(
        tx,
        environment=environment,
        customer_id=None,
        type="test_helpers.test_clock.created",
        subject=clock,
        now=now,
    )
    return clock


async def _attach(tx: AsyncConnection, clock: TestClock, customer: str) -> None:
    found = await customers.get(tx, clock.environment, customer, lock=True)
    sold = await subscriptions.of_customer(tx, customer_id=found.customer_id, live_only=False)
    if found.test_clock is not None or sold:
        raise Refusal(
            f"Customer {customer} cannot be attached to a test clock: it is attached to one, or has subscriptions.",
            param="customer",
        )
    await customers.save(tx, replace(found, test_clock=clock.id))
    await catalog_version.bump(tx, clock.environment)
