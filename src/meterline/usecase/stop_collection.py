"""Stop the automatic collection of a subscription's invoices: nobody is charged by surprise after the end."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.invoice import state
from meterline.store import invoice as invoices
from meterline.subscription.model import Subscription
from meterline.usecase import record_invoice
from meterline.usecase.lock_invoice import lock_invoice


async def stop_collection(tx: AsyncConnection, subscription: Subscription, *, now: datetime) -> None:
    """The subscription's drafts and open invoices no longer advance by themselves; they can still be paid."""
    pending = await invoices.of_subscription(
        tx, customer_id=subscription.customer_id, subscription=subscription.id, status=("draft", "open")
    )
    for seen in pending:
        before = (await lock_invoice(tx, environment=seen.environment, id=seen.id)).invoice
        after = state.held_back(before)
        if after != before:
            await record_invoice.changed(tx, before, after, types=("invoice.updated",), now=now)
            await record_invoice.call_off(tx, after)
