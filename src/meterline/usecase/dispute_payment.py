"""Disputes: opened by the bank, argued with evidence, accepted, decided. The money moves with them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.payment.dispute import Dispute
from meterline.payment.payment import Attempt
from meterline.store import dispute as store
from meterline.store import notice, payment_method
from meterline.store import payment as payments
from meterline.store.identifier import public
from meterline.usecase import keep_books
from meterline.usecase.ask_processor import PROCESSORS
from meterline.usecase.take_back_value import give_back_value, going_back, take_back_value

TIME_TO_ANSWER = timedelta(days=7)


async def dispute_at_once(tx: AsyncConnection, charge: Attempt, *, now: datetime) -> Dispute | None:
    """Open the dispute that a test card brings about as soon as its money is taken; None for any other card."""
    methods = await payment_method.find(tx, charge.environment, [charge.payment_method])
    method = methods.get(charge.payment_method)
    reason = None if method is None else PROCESSORS[charge.processor].disputed(method.reference)
    return None if reason is None else await open_dispute(tx, charge, reason=reason, now=now)


async def open_dispute(tx: AsyncConnection, charge: Attempt, *, reason: str, now: datetime) -> Dispute:
    """The bank takes the money of a charge back until the dispute is decided. `now` is the customer's time, UTC."""
    new = Dispute(
        environment=charge.environment,
        customer_id=charge.customer_id,
        id=public("du"),
        charge=charge.id,
        payment=charge.payment,
        processor=charge.processor,
        amount=charge.refundable,
        currency=charge.currency,
        reason=reason,
        status="needs_response",
        created=now,
        due_by=now + TIME_TO_ANSWER,
    )
    await payments.save_attempt(tx, replace(charge, disputed=True))
    back = going_back(new, before=charge.amount_refunded)
    new = replace(new, taken=await take_back_value(tx, back, now=now))
    await store.add(tx, new)
    await _book(tx, new, won=False, now=now)
    await _tell(tx, "charge.dispute.created", new, now=now)
    await _tell(tx, "charge.dispute.funds_withdrawn", new, now=now)
    return new


async def change_dispute(
    tx: AsyncConnection, seen: Dispute, change: Callable[[Dispute], Dispute], *, now: datetime
) -> Dispute:
    """The dispute after evidence, submission or acceptance; won money comes back. Refuses what is decided."""
    before = await store.lock(tx, customer_id=seen.customer_id, id=seen.id)
    after = change(before)
    if after == before:
        return before
    await store.save(tx, after)
    await _tell(tx, "charge.dispute.updated", after, previous=before, now=now)
    if after.status != before.status and after.status in ("won", "lost"):
        await _tell(tx, "charge.dispute.closed", after, now=now)
    if after.status == "won":
        charge = await payments.lock_attempt(tx, customer_id=after.customer_id, id=after.charge)
        await payments.save_attempt(tx, replace(charge, disputed=False))
        await _book(tx, after, won=True, now=now)
        if after.taken is not None:
            await give_back_value(tx, going_back(after), after.taken, now=now)
        await _tell(tx, "charge.dispute.funds_reinstated", after, now=now)
    return after


async def _book(tx: AsyncConnection, dispute: Dispute, *, won: bool, now: datetime) -> None:
    await keep_books.money_disputed(
        tx,
        environment=dispute.environment,
        customer_id=dispute.customer_id,
        amount=dispute.amount,
        currency=dispute.currency,
        processor=dispute.processor,
        dispute=dispute.id,
        won=won,
        now=now,
    )


async def _tell(
    tx: AsyncConnection, type: str, dispute: Dispute, *, now: datetime, previous: Dispute | None = None
) -> None:
    await notice.add(
        tx,
        environment=dispute.environment,
        customer_id=dispute.customer_id,
        type=type,
        subject=dispute,
        previous=previous,
        now=now,
    )
