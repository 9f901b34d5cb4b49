"""What falls due for checkouts."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.store.due import Due
from meterline.usecase import check_out
from meterline.worker.handler import InTransaction


async def expire(tx: AsyncConnection, row: Due, now: datetime) -> None:
    """Nobody finished a checkout in time."""
    await check_out.expire_due(tx, environment=row.environment, id=row.subject, now=now)


HANDLERS: Mapping[str, InTransaction] = {check_out.EXPIRE: expire}
"""By the kind of due work."""
