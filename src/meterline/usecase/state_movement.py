"""The statement of the built-in processor: a line for each movement of money, in the transaction that records it.

A processor over a network writes its own statement, which is read later: see `reconcile_processor`.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.payment.statement import LineType, StatementLine
from meterline.store import statement as store
from meterline.store.identifier import public
from meterline.usecase.ask_processor import PROCESSORS


async def state_movement(
    tx: AsyncConnection,
    *,
    environment: str,
    customer_id: UUID,
    type: LineType,
    source: str,
    processor: str,
    amount: int,
    currency: str,
    now: datetime,
) -> str | None:
    """The id of the new line, whose money is available at once; None where the processor writes its own."""
    if PROCESSORS[processor].networked:
        return None
    line = StatementLine(
        environment=environment,
        customer_id=customer_id,
        id=public("txn"),
        type=type,
        source=source,
        processor=processor,
        amount=amount,
        fee=0,
        currency=currency,
        created=now,
        available_on=now,
    )
    await store.add(tx, line)
    return line.id
