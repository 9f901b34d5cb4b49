"""Disputes: opened by the bank, argued with evidence, accepted, decided. The money moves with them.

The built-in processor decides at once. One over a network is told by the worker what was said here, and tells by
webhook, or when polled, how the dispute stands; told often and in any order, each movement of the money is booked once.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.payment.dispute import CLOSED, Dispute, DisputeStatus, told
from meterline.payment.payment import Attempt
from meterline.store import dispute as store
from meterline.store import notice, payment_method, statement
from meterline.store import payment as payments
from meterline.store.identifier import public
from meterline.usecase import keep_books
from meterline.usecase.ask_processor import PROCESSORS, plan
from meterline.usecase.state_movement import state_movement
from meterline.usecase.take_back_value import give_back_value, going_back, take_back_value

TIME_TO_ANSWER = timedelta(days=7)

SEND = "send_evidence"
"""The kind of due work that tells a processor over a network what was said about a dispute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """What a bank says. `amount` is in minor units; `reference` is the dispute's name at its processor."""

    reason: str
    status: DisputeStatus = "needs_response"
    amount: int | None = None
    reference: str | None = None
    due_by: datetime | None = None


async def dispute_at_once(tx: AsyncConnection, charge: Attempt, *, now: datetime) -> Dispute | None:
    """Open the dispute that a test card brings about as soon as its money is taken; None for any other card."""
    method = charge.presented
    if method is None:
        methods = await payment_method.find(tx, charge.environment, [charge.payment_method])
        method = methods.get(charge.payment_method)
    reason = None if method is None else PROCESSORS[charge.processor].disputed(method.reference)
    return None if reason is None else await open_dispute(tx, charge, Objection(reason=reason), now=now)


async def open_dispute(tx: AsyncConnection, charge: Attempt, said: Objection, *, now: datetime) -> Dispute:
    """A bank objects to a charge, and mostly takes its money back meanwhile. `now` is the customer's time, UTC."""
    new = Dispute(
        environment=charge.environment,
        customer_id=charge.customer_id,
        id=public("du"),
        charge=charge.id,
        payment=charge.payment,
        processor=charge.processor,
        amount=charge.refundable if said.amount is None else said.amount,
        currency=charge.currency,
        reason=said.reason,
        status=said.status,
        created=now,
        due_by=said.due_by or now + TIME_TO_ANSWER,
        reference=said.reference,
        brand=charge.presented.card.brand if charge.presented is not None else None,
    )
    await store.add(tx, new)
    await _tell(tx, "charge.dispute.created", new, now=now)
    return await _moved(tx, replace(new, status="warning_needs_response"), new, now=now)


async def hear_objection(tx: AsyncConnection, seen: Attempt, said: Objection, *, now: datetime) -> Dispute:
    """Record what a processor tells of a dispute, for the first time or again."""
    assert said.reference is not None, "a processor names its disputes"
    charge = await payments.lock_attempt(tx, customer_id=seen.customer_id, id=seen.id)
    known = await store.by_reference(
        tx, customer_id=charge.customer_id, processor=charge.processor, reference=said.reference
    )
    if known is None:
        return await open_dispute(tx, charge, said, now=now)
    return await _changed(tx, known, told(known, said.status), now=now)


async def change_dispute(
    tx: AsyncConnection, seen: Dispute, change: Callable[[Dispute], Dispute], *, now: datetime
) -> Dispute:
    """The dispute after evidence, submission or acceptance. Refuses what is decided."""
    before = await store.lock(tx, customer_id=seen.customer_id, id=seen.id)
    after = change(before)
    if after.unsent is not None and after.unsent != before.unsent:
        processor = PROCESSORS[after.processor]
        if processor.networked:
            await plan(tx, after, SEND, now=now)
        else:
            after = replace(told(after, tell(after)), unsent=None)
    return await _changed(tx, before, after, now=now)


def tell(dispute: Dispute) -> DisputeStatus:
    """Tell a processor what was said about a dispute; how it stands. Networked, it is told outside of transactions."""
    processor, reference = PROCESSORS[dispute.processor], dispute.reference or dispute.id
    said = hashlib.sha256(repr(sorted(dispute.evidence.items())).encode()).hexdigest()[:16]
    key = f"{dispute.id}-{dispute.unsent}-{said}"
    if dispute.unsent == "accepted":
        return processor.accept(reference, key=key)
    return processor.argue(reference, evidence=dispute.evidence, submit=dispute.unsent == "submitted", key=key)


async def sent(tx: AsyncConnection, dispute: Dispute, status: DisputeStatus, *, now: datetime) -> Dispute:
    """Record that a processor was told, and how the dispute stands there; more may have been said meanwhile."""
    before = await store.lock(tx, customer_id=dispute.customer_id, id=dispute.id)
    after = told(before, status)
    if (before.evidence, before.unsent) == (dispute.evidence, dispute.unsent):
        after = replace(after, unsent=None)
    elif before.unsent is not None:
        await plan(tx, before, SEND, now=now)
    return await _changed(tx, before, after, now=now)


async def _changed(tx: AsyncConnection, before: Dispute, after: Dispute, *, now: datetime) -> Dispute:
    if after == before:
        return before
    await store.save(tx, after)
    if replace(after, unsent=before.unsent) != before:
        await _tell(tx, "charge.dispute.updated", after, previous=before, now=now)
    if after.status in CLOSED and before.status not in CLOSED:
        await _tell(tx, "charge.dispute.closed", after, now=now)
    return await _moved(tx, before, after, now=now)


async def _moved(tx: AsyncConnection, before: Dispute, after: Dispute, *, now: datetime) -> Dispute:
    """Book the money that the bank took or gave back with a change, and the wallet's part in it."""
    if after.away == before.away:
        return after
    charge = await payments.lock_attempt(tx, customer_id=after.customer_id, id=after.charge)
    await payments.save_attempt(tx, replace(charge, disputed=after.away))
    await keep_books.money_disputed(tx, after, won=not after.away, now=now)
    line = await state_movement(
        tx,
        environment=after.environment,
        customer_id=after.customer_id,
        type="adjustment",
        source=after.id,
        processor=after.processor,
        amount=-after.amount if after.away else after.amount,
        currency=after.currency,
        now=now,
    )
    if line is not None:
        written = (await statement.find(tx, after.environment, [line]))[line]
        after = replace(after, balance_transactions=(*after.balance_transactions, written))
        await store.save(tx, after)
    if after.away:
        taken = await take_back_value(tx, going_back(after, before=charge.amount_refunded), now=now)
        after = replace(after, taken=taken)
        await store.save(tx, after)
        await _tell(tx, "charge.dispute.funds_withdrawn", after, now=now)
        return after
    if after.taken is not None:
        await give_back_value(tx, going_back(after), after.taken, now=now)
    await _tell(tx, "charge.dispute.funds_reinstated", after, now=now)
    return after


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
