"""What falls due for subscriptions, their discounts, and test clocks."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.store import clock
from meterline.store.due import Due
from meterline.usecase import close_period
from meterline.usecase.create_test_clock import EXPIRY
from meterline.usecase.delete_test_clock import delete_test_clock
from meterline.usecase.discount_subscription import end_discount
from meterline.usecase.redeem_coupon import END
from meterline.worker.handler import InTransaction


async def expire_clock(tx: AsyncConnection, row: Due, now: datetime) -> None:
    """A test clock has lived its thirty days."""
    if await clock.find(tx, environment=row.environment, id=row.subject) is not None:
        await delete_test_clock(tx, environment=row.environment, id=row.subject, now=now)


CHUNKED: Mapping[str, InTransaction] = {
    "renewal": close_period.close_period,
    "cancellation": close_period.end_as_planned,
    "trial_notice": close_period.announce_trial_end,
    "first_payment_expiry": close_period.expire_first_payment,
    "collection_resumption": close_period.resume_collection,
}
"""What comes up for many subscriptions at once, by the kind of due work."""

HANDLERS: Mapping[str, InTransaction] = {**CHUNKED, END: end_discount, EXPIRY: expire_clock}
"""By the kind of due work."""
