"""What falls due for invoices."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.store.due import Due
from meterline.usecase import advance_invoice, record_invoice
from meterline.worker.handler import InTransaction


async def finalize(tx: AsyncConnection, row: Due, now: datetime) -> None:
    """A draft's hour is over."""
    await advance_invoice.finalize_due(tx, environment=row.environment, id=row.subject, now=now)


async def collect(tx: AsyncConnection, row: Due, now: datetime) -> None:
    """A planned attempt to collect has come."""
    await advance_invoice.collect_due(tx, environment=row.environment, id=row.subject, now=now)


async def overdue(tx: AsyncConnection, row: Due, now: datetime) -> None:
    """A due date has passed."""
    await advance_invoice.overdue(tx, environment=row.environment, id=row.subject, now=now)


HANDLERS: Mapping[str, InTransaction] = {
    record_invoice.FINALIZE: finalize,
    record_invoice.COLLECT: collect,
    record_invoice.OVERDUE: overdue,
}
"""By the kind of due work."""
