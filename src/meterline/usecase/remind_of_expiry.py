"""Tell ahead that value in a wallet is going to lapse."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.store import due, wallet
from meterline.store.database import driver
from meterline.usecase.tell_wallet import tell_wallet
from meterline.wallet.expiry import reminders, would_lapse

REMIND = "grant_expiring"
"""The kind of due work that looks at a grant ahead of its end."""


async def plan_reminders(
    tx: AsyncConnection,
    *,
    environment: str,
    customer_id: UUID,
    grant: str,
    expires_at: datetime,
    clock: str | None,
    now: datetime,
) -> None:
    """Plan when the end of a new grant is told ahead; `now` is the customer's time, UTC."""
    for at in reminders(expires_at=expires_at, now=now):
        await due.add(
            tx,
            environment=environment,
            customer_id=customer_id,
            kind=REMIND,
            subject=grant,
            boundary=at,
            due_at=at,
            clock=clock,
        )


async def remind_of_expiry(
    tx: AsyncConnection, *, environment: str, customer_id: UUID, id: str, reminder: datetime, now: datetime
) -> None:
    """Tell that a grant is about to end, if something of it is left; `now` is the customer's time, UTC.

    A look without the wallet's lock: what is told is what is left at this moment, and nothing is decided by it.
    """
    for grant in await wallet.grants(await driver(tx), customer_id, ids=[id]):
        amount = would_lapse(grant, reminder=reminder, now=now)
        if amount is not None:
            await tell_wallet(
                tx,
                environment=environment,
                customer_id=customer_id,
                topic="grant.expiring",
                about=id,
                asset=grant.asset,
                amount=amount,
                expires_at=grant.expires_at,
                now=now,
            )
