"""What a processor over a network is told or asked by the worker, between transactions, until it has answered."""

import asyncio
from dataclasses import replace
from datetime import datetime

from meterline.payment.payment import Outcome, Unknown
from meterline.store import dispute as disputes
from meterline.store import payment as payments
from meterline.store import refund as refunds
from meterline.store.database import Database
from meterline.usecase import dispute_payment, record_payment, refund_payment
from meterline.usecase.ask_processor import PROCESSORS
from meterline.usecase.resolve_attempt import StillUnknown, record_answer
from meterline.usecase.take_payment import settle_capture


async def ask_for_refund(database: Database, *, environment: str, id: str, now: datetime) -> None:
    """Ask for a refund. Raises StillUnknown; what the processor knows and is busy with is told by it later."""
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
        if outcome.reference is None:
            raise StillUnknown(id)
        return
    async with database.begin() as tx:
        locked = await refunds.lock(tx, customer_id=refund.customer_id, id=id)
        await refund_payment.conclude(tx, locked, outcome, now=now)


async def capture(database: Database, *, environment: str, id: str, now: datetime) -> None:
    """Take what was authorized. Silence is an error, and the same is asked again under the same key."""
    async with database.begin() as tx:
        charge = (await payments.find_charges(tx, environment, [id]))[id]
    amount, reference = charge.capturing, charge.reference
    if amount is None or reference is None:
        return
    processor = PROCESSORS[charge.processor]
    refused = await asyncio.to_thread(processor.capture, reference, amount=amount, key=f"{charge.id}-capture")
    async with database.begin() as tx:
        payment = await payments.lock(tx, customer_id=charge.customer_id, id=charge.payment)
        charge = await payments.lock_attempt(tx, customer_id=charge.customer_id, id=id)
        if charge.capturing is None:
            return
        if refused is None:
            await settle_capture(tx, payment, charge, amount, now=now)
            return
        await payments.save_attempt(tx, replace(charge, capturing=None))
        back = replace(payment, status="requires_capture", last_refusal=refused, refused_method=charge.presented)
        await record_payment.became(tx, back, now=now)


async def release(database: Database, *, environment: str, id: str, now: datetime) -> None:
    """Let go of what was authorized, or waits for the card's holder; money that was taken meanwhile is recorded."""
    async with database.begin() as tx:
        charge = (await payments.find_charges(tx, environment, [id]))[id]
    if charge.reference is None:
        return
    processor = PROCESSORS[charge.processor]
    outcome = await asyncio.to_thread(processor.release, charge.reference, key=f"{charge.id}-release")
    await record_answer(database, environment=environment, id=id, outcome=outcome, now=now)


async def send_evidence(database: Database, *, environment: str, id: str, now: datetime) -> None:
    """Tell what was said about a dispute."""
    async with database.begin() as tx:
        seen = await disputes.get(tx, environment, id)
    if seen.unsent is None:
        return
    status = await asyncio.to_thread(dispute_payment.tell, seen)
    async with database.begin() as tx:
        await dispute_payment.sent(tx, seen, status, now=now)
