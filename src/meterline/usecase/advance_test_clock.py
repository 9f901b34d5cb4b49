"""Ask for a test clock to be advanced; the worker does it."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.period import Cycle
from meterline.refusal import Missing
from meterline.store import clock as store
from meterline.store import due, notice
from meterline.store import subscription as subscriptions
from meterline.subscription import cycle
from meterline.subscription.clock import TestClock, check_advance
from meterline.usecase.find_prices import find_prices

_INTERVALS_AHEAD = 2


async def advance_test_clock(
    tx: AsyncConnection, *, environment: str, id: str, to: datetime, now: datetime
) -> TestClock:
    """The clock, `advancing`; it is `ready` once everything due on the way has happened. `now` is the wall clock.

    Raises Missing, or Refusal for an advance backwards, too far, or during another one.
    """
    clock = await store.find(tx, environment=environment, id=id, lock=True)
    if clock is None:
        raise Missing("test_helpers.test_clock", id, param="id", subject=True)
    check_advance(clock, to=to, horizons=await _horizons(tx, clock))
    advancing = replace(clock, status="advancing", target_frozen_time=to)
    await store.save(tx, advancing)
    await notice.add(
        tx,
        environment=environment,
        customer_id=None,
        type="test_helpers.test_clock.advancing",
        subject=advancing,
        now=now,
    )
    await due.kick(tx)
    return advancing


async def _horizons(tx: AsyncConnection, clock: TestClock) -> list[datetime]:
    """For every price of a living subscription on the clock: the instant two of its intervals ahead."""
    horizons: list[datetime] = []
    for subscription in await subscriptions.on_clock(tx, environment=clock.environment, clock=clock.id):
        prices = await find_prices(tx, subscription)
        for item in subscription.items:
            ahead = Cycle(anchor=clock.frozen_time, interval=cycle.interval(prices[item.price]))
            horizons.append(ahead.boundary(_INTERVALS_AHEAD))
    return horizons
