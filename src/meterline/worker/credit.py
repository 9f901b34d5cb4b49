"""What falls due for billing credits."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.store.due import Due
from meterline.usecase import grant_credits
from meterline.worker.handler import InTransaction


async def expire(tx: AsyncConnection, row: Due, now: datetime) -> None:
    """A grant's time is over."""
    await grant_credits.expire_due(tx, environment=row.environment, id=row.subject, now=now)


HANDLERS: Mapping[str, InTransaction] = {grant_credits.EXPIRE: expire}
"""By the kind of due work."""
