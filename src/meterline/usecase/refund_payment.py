"""Give money back: a charge or a part of it, never more than was taken."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.payment.payment import Attempt, Outcome, Refused, Succeeded, Unknown
from meterline.payment.refund import Refund, RefundReason, refundable
from meterline.payment.statement import LineType
from meterline.store import notice
from meterline.store import payment as payments
from meterline.store import refund as store
from meterline.store.identifier import public
from meterline.usecase import keep_books, record_payment
from meterline.usecase.ask_processor import PROCESSORS, plan
from meterline.usecase.state_movement import state_movement
from meterline.usecase.take_back_value import give_back_value, going_back, take_back_value

RESOLVE = "resolve_refund"
"""The kind of due work that asks a processor over a network for a refund."""


async def refund_payment(
    tx: AsyncConnection,
    *,
    charge: Attempt,
    amount: int | None,
    reason: RefundReason | None,
    metadata: Mapping[str, str],
    value: Decimal | None = None,
    keeps_value: bool = False,
    now: datetime,
) -> Refund:
    """Refund `amount` (minor units, null for all that is left) of a charge. `now` is the customer's time, UTC.

    The amount is set aside on the charge at once, so that refunds in parallel cannot exceed it; so is what it bought
    in a wallet, `value` where the caller knows how much that is; nothing where the wallet never got any for this
    charge (`keeps_value`). Raises Refusal.
    """
    locked = await payments.lock_attempt(tx, customer_id=charge.customer_id, id=charge.id)
    wanted = refundable(locked, amount=amount)
    new = Refund(
        environment=locked.environment,
        customer_id=locked.customer_id,
        id=public("re"),
        customer=locked.customer,
        charge=locked.id,
        payment=locked.payment,
        payment_method=locked.payment_method,
        processor=locked.processor,
        amount=wanted,
        currency=locked.currency,
        created=now,
        status="pending",
        reason=reason,
        metadata=dict(metadata),
    )
    await payments.save_attempt(tx, replace(locked, amount_refunded=locked.amount_refunded + wanted))
    if not keeps_value:
        back = going_back(new, before=locked.amount_refunded)
        new = replace(new, taken=await take_back_value(tx, back, value=value, now=now))
    await store.add(tx, new)
    await _tell(tx, "refund.created", new, now=now)
    processor = PROCESSORS[locked.processor]
    if processor.networked:
        await plan(tx, new, RESOLVE, now=now)
        return new
    assert locked.reference is not None, "taken money has a name at its processor"
    outcome = processor.refund(locked.reference, amount=wanted, currency=new.currency, key=new.id)
    if isinstance(outcome, Unknown) or (isinstance(outcome, Succeeded) and not outcome.final):
        await plan(tx, new, RESOLVE, now=now)
    return await conclude(tx, new, outcome, now=now)


async def conclude(tx: AsyncConnection, refund: Refund, outcome: Outcome, *, now: datetime) -> Refund:
    """Record what a processor said to a locked refund. Silence leaves it as it is; money that went back can still
    fail to arrive, what failed is over."""
    done = refund.status == "succeeded" and isinstance(outcome, Succeeded)
    if done or refund.status in ("failed", "canceled") or isinstance(outcome, Unknown):
        return refund
    charge = await payments.lock_attempt(tx, customer_id=refund.customer_id, id=refund.charge)
    if isinstance(outcome, Succeeded):
        line = await _stated(tx, refund, "refund", -refund.amount, now=now)
        after = replace(refund, status="succeeded", balance_transaction=line)
        await keep_books.money_returned(tx, refund, failed=False, now=now)
        before = replace(charge, amount_refunded=charge.amount_refunded - refund.amount)
        await record_payment.tell(tx, "charge.refunded", charge, previous=before, now=now)
    else:
        why = outcome.code if isinstance(outcome, Refused) else "unknown"
        after = replace(refund, status="failed", failure_reason=why)
        if refund.status == "succeeded":
            await keep_books.money_returned(tx, refund, failed=True, now=now)
            line = await _stated(tx, refund, "refund_failure", refund.amount, now=now)
            after = replace(after, failure_balance_transaction=line)
        if refund.taken is not None:
            await give_back_value(tx, going_back(refund), refund.taken, now=now)
        await payments.save_attempt(tx, replace(charge, amount_refunded=charge.amount_refunded - refund.amount))
        await _tell(tx, "refund.failed", after, now=now)
    await store.save(tx, after)
    await _tell(tx, "refund.updated", after, previous=refund, now=now)
    return after


async def _stated(tx: AsyncConnection, refund: Refund, type: LineType, amount: int, *, now: datetime) -> str | None:
    return await state_movement(
        tx,
        environment=refund.environment,
        customer_id=refund.customer_id,
        type=type,
        source=refund.id,
        processor=refund.processor,
        amount=amount,
        currency=refund.currency,
        now=now,
    )


async def _tell(
    tx: AsyncConnection, type: str, refund: Refund, *, now: datetime, previous: Refund | None = None
) -> None:
    await notice.add(
        tx,
        environment=refund.environment,
        customer_id=refund.customer_id,
        type=type,
        subject=refund,
        previous=previous,
        now=now,
    )
