"""Find out what became of an attempt whose answer is not known: ask again under the same key, and record it once."""

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.gateway.processor import Collection, Processor
from meterline.ledger.transaction import Cause
from meterline.payment.payment import Attempt, Outcome, Payment, Refused, Succeeded, Unknown, answered, canceled
from meterline.store import checkout as checkouts
from meterline.store import payment as payments
from meterline.store import payment_method
from meterline.store.database import Database
from meterline.usecase import keep_books, record_payment
from meterline.usecase.ask_processor import PROCESSORS, collection
from meterline.usecase.lock_invoice import lock_invoice
from meterline.usecase.refund_payment import refund_payment
from meterline.usecase.take_payment import settle_capture, settle_payment

SUPERSEDED = Refused(
    code="payment_intent_unexpected_state", message="The card's holder confirmed an earlier attempt of this payment."
)
"""What an attempt comes to that was not made any more."""


class StillUnknown(Exception):
    """The processor could not tell either; it is asked again later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """What is asked, and the earlier attempts that wait for the card's holder: they are let go of first."""

    processor: Processor
    collection: Collection
    waiting: tuple[Attempt, ...]


async def resolve_attempt(database: Database, *, environment: str, id: str, now: datetime) -> None:
    """Ask the processor between transactions, and record its answer once. Raises StillUnknown.

    What the processor knows and is still busy with is told by it, or found when it is polled.
    """
    question = await _question(database, environment, id)
    if question is None:
        return
    for earlier in question.waiting:
        if await _confirmed_after_all(database, question.processor, earlier, now=now):
            return
    outcome = await asyncio.to_thread(question.processor.collect, question.collection)
    if isinstance(outcome, Unknown):
        if outcome.reference is None:
            raise StillUnknown(id)
        return
    await record_answer(database, environment=environment, id=id, outcome=outcome, now=now)


async def _question(database: Database, environment: str, id: str) -> _Question | None:
    async with database.begin() as tx:
        attempt = (await payments.find_charges(tx, environment, [id]))[id]
        if attempt.outcome is not None:
            return None
        payment = await payments.get(tx, environment, attempt.payment)
        method = (await payment_method.find(tx, environment, [attempt.payment_method]))[attempt.payment_method]
        earlier = await payments.attempts(tx, payment)
    processor = PROCESSORS[attempt.processor]
    waiting = [each for each in earlier if each.outcome == "action_needed" and each.processor == attempt.processor]
    return _Question(
        processor=processor,
        collection=collection(payment, attempt, method, again=True),
        waiting=tuple(waiting) if processor.networked else (),
    )


async def _confirmed_after_all(database: Database, processor: Processor, earlier: Attempt, *, now: datetime) -> bool:
    """Let go of what waits for the card's holder; whether they had confirmed it, which makes it the payment's."""
    assert earlier.reference is not None, "what waits has a name at its processor"
    outcome = await asyncio.to_thread(processor.release, earlier.reference, key=f"{earlier.id}-release")
    if isinstance(outcome, Unknown):
        raise StillUnknown(earlier.id)
    await record_answer(database, environment=earlier.environment, id=earlier.id, outcome=outcome, now=now)
    return isinstance(outcome, Succeeded)


async def record_answer(
    database: Database, *, environment: str, id: str, outcome: Outcome, captured: int = 0, now: datetime
) -> Attempt:
    """Record the answer to an attempt, however often and from wherever it comes; only the first one counts.

    `captured` is what was taken in the end of money that was only authorized, in minor units.
    """
    async with database.begin() as tx:
        seen = (await payments.find_charges(tx, environment, [id]))[id]
        payment = await payments.get(tx, environment, seen.payment)
        if payment.invoice is not None:
            await lock_invoice(tx, environment=environment, id=payment.invoice)
        await checkouts.of_result(tx, environment, payment.id, lock=True)
        payment = await payments.lock(tx, customer_id=seen.customer_id, id=payment.id)
        attempt = await payments.lock_attempt(tx, customer_id=seen.customer_id, id=id)
        if isinstance(outcome, Unknown):
            return attempt
        match attempt.outcome:
            case None:
                return await _answered(tx, payment, attempt, outcome, now=now)
            case "action_needed":
                await _waited(tx, payment, attempt, outcome, now=now)
            case "succeeded" if not attempt.captured:
                await _authorized(tx, payment, attempt, outcome, captured=captured, now=now)
            case _:
                pass
    return attempt


async def _answered(
    tx: AsyncConnection, payment: Payment, attempt: Attempt, outcome: Outcome, *, now: datetime
) -> Attempt:
    attempt = answered(attempt, outcome, capture=payment.capture_method != "manual")
    await payments.save_attempt(tx, attempt)
    await settle_payment(tx, payment, attempt, outcome, now=now)
    return attempt


async def _waited(tx: AsyncConnection, payment: Payment, attempt: Attempt, outcome: Outcome, *, now: datetime) -> None:
    """The card's holder confirmed or refused, maybe after another attempt was begun, or the payment was over."""
    if not isinstance(outcome, Succeeded | Refused):
        return
    attempts = await payments.attempts(tx, payment)
    if payment.status == "requires_action" and attempts[-1].id == attempt.id:
        await _answered(tx, payment, attempt, outcome, now=now)
        return
    if isinstance(outcome, Refused):
        await payments.save_attempt(tx, answered(attempt, outcome, capture=True))
        return
    if payment.status in ("succeeded", "canceled") or attempt.amount != payment.amount:
        await _give_back(tx, payment, attempt, outcome, now=now)
        return
    for later in attempts:
        if later.outcome is None:
            payment = await _refused(tx, later, now=now)
    await _answered(tx, payment, attempt, outcome, now=now)


async def _refused(tx: AsyncConnection, later: Attempt, *, now: datetime) -> Payment:
    """An attempt that is not made any more; its payment after it."""
    payment = await payments.lock(tx, customer_id=later.customer_id, id=later.payment)
    await _answered(tx, payment, later, SUPERSEDED, now=now)
    return await payments.lock(tx, customer_id=later.customer_id, id=later.payment)


async def _give_back(
    tx: AsyncConnection, payment: Payment, attempt: Attempt, outcome: Succeeded, *, now: datetime
) -> None:
    """Money arrived for a payment that was over, or is about another amount: it is booked, and goes back."""
    taken = answered(attempt, outcome, capture=True)
    await payments.save_attempt(tx, taken)
    await record_payment.tell_attempt(tx, taken, outcome, now=now)
    await keep_books.money_received(
        tx,
        environment=payment.environment,
        customer_id=payment.customer_id,
        amount=taken.amount,
        currency=payment.currency,
        processor=taken.processor,
        settles="refunds",
        cause=Cause("charge", taken.id),
        now=now,
    )
    await refund_payment(tx, charge=taken, amount=None, reason="duplicate", metadata={}, keeps_value=True, now=now)


async def _authorized(
    tx: AsyncConnection, payment: Payment, attempt: Attempt, outcome: Outcome, *, captured: int, now: datetime
) -> None:
    """Authorized money was taken, or let go of, at the processor itself."""
    if payment.status not in ("requires_capture", "processing"):
        return
    if captured:
        await settle_capture(tx, payment, attempt, captured, now=now)
    elif isinstance(outcome, Refused):
        await payments.save_attempt(tx, replace(attempt, capturing=None))
        held = replace(payment, status="requires_capture")
        await record_payment.became(tx, canceled(held, reason="automatic", now=now), now=now)
