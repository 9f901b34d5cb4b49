"""What falls due for payments: answers that are outstanding."""

from collections.abc import Mapping
from datetime import datetime

from meterline.store.database import Database
from meterline.store.due import Due
from meterline.usecase import ask_processor, dispute_payment, refund_payment, tell_processor
from meterline.usecase.resolve_attempt import resolve_attempt
from meterline.worker.handler import InStages


async def attempt(database: Database, row: Due, now: datetime) -> None:
    """A processor has to be asked (again) for money."""
    await resolve_attempt(database, environment=row.environment, id=row.subject, now=now)


async def refund(database: Database, row: Due, now: datetime) -> None:
    """A processor has to be asked (again) to give money back."""
    await tell_processor.ask_for_refund(database, environment=row.environment, id=row.subject, now=now)


async def capture(database: Database, row: Due, now: datetime) -> None:
    """Authorized money is to be taken."""
    await tell_processor.capture(database, environment=row.environment, id=row.subject, now=now)


async def release(database: Database, row: Due, now: datetime) -> None:
    """Authorized money is to be let go of."""
    await tell_processor.release(database, environment=row.environment, id=row.subject, now=now)


async def evidence(database: Database, row: Due, now: datetime) -> None:
    """A processor has to be told what was said about a dispute."""
    await tell_processor.send_evidence(database, environment=row.environment, id=row.subject, now=now)


STAGED: Mapping[str, InStages] = {
    ask_processor.RESOLVE: attempt,
    ask_processor.CAPTURE: capture,
    ask_processor.RELEASE: release,
    refund_payment.RESOLVE: refund,
    dispute_payment.SEND: evidence,
}
"""By the kind of due work."""
