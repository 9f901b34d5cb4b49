"""What falls due for usage."""

from collections.abc import Mapping
from datetime import datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.store.database import Database
from meterline.store.due import Due
from meterline.store.stray import REPORT
from meterline.usecase.keep_usage import UPKEEP
from meterline.usecase.keep_usage import upkeep as keep_usage
from meterline.usecase.report_strays import report_strays
from meterline.worker.handler import InStages, InTransaction

log = structlog.get_logger(__name__)


async def report(tx: AsyncConnection, row: Due, now: datetime) -> None:
    """Ten seconds of stray events have passed."""
    await report_strays(tx, environment=row.environment, now=now)


async def upkeep(database: Database, _: Due, now: datetime) -> None:
    """The night's upkeep. A counter that is wrong is an error in the log, by name."""
    done = await keep_usage(database, now=now)
    for each in done.differences:
        log.error(
            "counter_differs",
            environment=each.environment,
            customer_id=str(each.customer_id),
            meter=each.meter,
            hour=each.hour.isoformat(),
            counted=[str(part) for part in each.counted],
            recounted=[str(part) for part in each.recounted],
        )
    log.info("usage_upkeep", dropped=done.dropped, differences=len(done.differences))


HANDLERS: Mapping[str, InTransaction] = {REPORT: report}
"""By the kind of due work."""
STAGED: Mapping[str, InStages] = {UPKEEP: upkeep}
