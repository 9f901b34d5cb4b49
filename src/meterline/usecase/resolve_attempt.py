"""Find out what became of an attempt, or of a refund, whose answer is not known: ask again under the same key."""

import asyncio
from dataclasses import dataclass
from datetime import datetime

from meterline.gateway.processor import Collection
from meterline.payment.payment import Attempt, Outcome, Unknown, answered
from meterline.store import payment as payments
from meterline.store import payment_method
from meterline.store import refund as refunds
from meterline.store.database import Database
from meterline.usecase import refund_payment
from meterline.usecase.ask_processor import PROCESSORS, collection
from meterline.usecase.lock_invoice import lock_invoice
from meterline.usecase.take_payment import settle_payment


class StillUnknown(Exception):
    """The processor could not tell either; it is asked again later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    processor: str
    collection: Collection


async def resolve_attempt(database: Database, *, environment: str, id: str, now: datetime) -> None:
    """Ask the processor between transactions, and record its answer once. Raises StillUnknown."""
    question = await _question(database, environment, id)
    if question is None:
        return
    processor = PROCESSORS[question.processor]
    outcome = await asyncio.to_thread(processor.collect, question.collection)
    if isinstance(outcome, Unknown):
        raise StillUnknown(id)
    await record_answer(database, environment=environment, id=id, outcome=outcome, now=now)


async def _question(database: Database, environment: str, id: str) -> _Question | None:
    async with database.begin() as tx:
        attempt = (await payments.find_charges(tx, environment, [id]))[id]
        if attempt.outcome is not None:
            return None
        payment = await payments.get(tx, environment, attempt.payment)
        method = (await payment_method.find(tx, environment, [attempt.payment_method]))[attempt.payment_method]
        wanted = collection(payment, attempt, method, again=True)
    return _Question(processor=attempt.processor, collection=wanted)


async def record_answer(database: Database, *, environment: str, id: str, outcome: Outcome, now: datetime) -> Attempt:
    """Record the answer to an attempt, however often and from wherever it comes; only the first one counts."""
    async with database.begin() as tx:
        seen = (await payments.find_charges(tx, environment, [id]))[id]
        payment = await payments.get(tx, environment, seen.payment)
        if payment.invoice is not None:
            await lock_invoice(tx, environment=environment, id=payment.invoice)
        payment = await payments.lock(tx, customer_id=seen.customer_id, id=payment.id)
        attempt = await payments.lock_attempt(tx, customer_id=seen.customer_id, id=id)
        if attempt.outcome is not None or isinstance(outcome, Unknown):
            return attempt
        attempt = answered(attempt, outcome, capture=payment.capture_method != "manual")
        await payments.save_attempt(tx, attempt)
        await settle_payment(tx, payment, attempt, outcome, now=now)
    return attempt


async def resolve_refund(database: Database, *, environment: str, id: str, now: datetime) -> None:
    """Ask a processor over a network for a pending refund. Raises StillUnknown."""
    async with database.begin() as tx:
        refund = (await refunds.find(tx, environment, [id]))[id]
        charge = (await payments.find_charges(tx, environment, [refund.charge]))[refund.charge]
    if refund.status in ("failed", "canceled") or charge.reference is None:
        return
    processor, reference = PROCESSORS[refund.processor], charge.reference

    def ask() -> Outcome:
        return processor.refund(reference, amount=refund.amount, currency=refund.currency, key=refund.id, again=True)

    outcome = await asyncio.to_thread(ask)
    if isinstance(outcome, Unknown):
        raise StillUnknown(id)
    async with database.begin() as tx:
        locked = await refunds.lock(tx, customer_id=refund.customer_id, id=id)
        await refund_payment.conclude(tx, locked, outcome, now=now)
