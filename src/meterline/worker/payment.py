"""What falls due for payments: answers that are outstanding."""

from collections.abc import Mapping
from datetime import datetime

from meterline.store.database import Database
from meterline.store.due import Due
from meterline.usecase import ask_processor, refund_payment
from meterline.usecase.resolve_attempt import resolve_attempt, resolve_refund
from meterline.worker.handler import InStages


async def attempt(database: Database, row: Due, now: datetime) -> None:
    """A processor has to be asked (again) for money."""
    await resolve_attempt(database, environment=row.environment, id=row.subject, now=now)


async def refund(database: Database, row: Due, now: datetime) -> None:
    """A processor has to be asked (again) to give money back."""
    await resolve_refund(database, environment=row.environment, id=row.subject, now=now)


STAGED: Mapping[str, InStages] = {ask_processor.RESOLVE: attempt, refund_payment.RESOLVE: refund}
"""By the kind of due work."""
