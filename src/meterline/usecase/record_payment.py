"""Record a payment, a charge or a refund as it has become, and tell it."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.payment.payment import ActionNeeded, Attempt, Outcome, Payment, Refused, Succeeded, Unknown
from meterline.store import notice
from meterline.store import payment as payments
from meterline.usecase.state_movement import state_movement

_TOLD = {
    "succeeded": "payment_intent.succeeded",
    "requires_capture": "payment_intent.amount_capturable_updated",
    "requires_action": "payment_intent.requires_action",
    "requires_payment_method": "payment_intent.payment_failed",
    "processing": "payment_intent.processing",
    "canceled": "payment_intent.canceled",
}


async def tell(
    tx: AsyncConnection, type: str, subject: Payment | Attempt, *, now: datetime, previous: Attempt | None = None
) -> None:
    """Announce what happened to a payment or a charge."""
    await notice.add(
        tx,
        environment=subject.environment,
        customer_id=subject.customer_id,
        type=type,
        subject=subject,
        previous=previous,
        now=now,
    )


async def became(tx: AsyncConnection, after: Payment, *, now: datetime) -> None:
    """Store a payment whose status changed, and tell it."""
    await payments.save(tx, after)
    await tell(tx, _TOLD[after.status], after, now=now)


async def tell_attempt(tx: AsyncConnection, attempt: Attempt, outcome: Outcome, *, now: datetime) -> None:
    """Announce the charge that an attempt made, if it made one."""
    match outcome:
        case Succeeded():
            charge = await stated(tx, attempt, now=now) if attempt.captured else attempt
            await tell(tx, "charge.succeeded", charge, now=now)
        case Refused():
            await tell(tx, "charge.failed", attempt, now=now)
        case Unknown():
            await tell(tx, "charge.pending", attempt, now=now)
        case ActionNeeded():
            return


async def stated(tx: AsyncConnection, charge: Attempt, *, now: datetime) -> Attempt:
    """The locked charge whose money was taken, with its line on the statement of the processor, where that is ours."""
    line = await state_movement(
        tx,
        environment=charge.environment,
        customer_id=charge.customer_id,
        type="charge",
        source=charge.id,
        processor=charge.processor,
        amount=charge.amount_captured,
        currency=charge.currency,
        now=now,
    )
    after = replace(charge, balance_transaction=line)
    await payments.save_attempt(tx, after)
    return after
