"""Stop the automatic collection of a subscription's invoices: nobody is charged by surprise after the end."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.store import due
from meterline.store import invoice as invoices
from meterline.subscription.model import Subscription
from meterline.usecase import record_invoice


async def stop_collection(tx: AsyncConnection, subscription: Subscription, *, now: datetime) -> None:
    """Switch `auto_advance` off on the subscription's drafts and open invoices; they can still be paid."""
    pending = await invoices.of_subscription(
        tx, customer_id=subscription.customer_id, subscription=subscription.id, status=["draft", "open"]
    )
    for before in pending:
        after = replace(before, auto_advance=False, automatically_finalizes_at=None, next_payment_attempt=None)
        if after == before:
            continue
        kinds = [record_invoice.FINALIZE, record_invoice.COLLECT]
        await due.remove(tx, customer_id=before.customer_id, subject=before.id, kinds=kinds)
        await record_invoice.changed(tx, before, after, types=("invoice.updated",), now=now)
