"""What time it is for somebody: the wall clock, or the test clock that the customer lives on."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.refusal import Missing
from meterline.store import clock


async def moment(tx: AsyncConnection, *, environment: str, test_clock: str | None, now: datetime) -> datetime:
    """The frozen time of the test clock, or `now` (the wall clock, UTC) where there is none.

    Raises Missing when the clock does not exist.
    """
    if test_clock is None:
        return now
    found = await clock.find(tx, environment=environment, id=test_clock)
    if found is None:
        raise Missing("test_clock", test_clock, param="test_clock")
    return found.frozen_time
