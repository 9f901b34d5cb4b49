"""Make a card known here that is saved at a processor over a network, and hear what that processor tells."""

import asyncio
from datetime import datetime

from meterline.gateway.stripe_processor import Answer
from meterline.payment.payment import Unknown
from meterline.store import payment as payments
from meterline.store import payment_method
from meterline.store.database import Database
from meterline.usecase.ask_processor import PROCESSORS
from meterline.usecase.create_payment_method import LIVE, keep
from meterline.usecase.resolve_attempt import record_answer

_STRIPE = "stripe"


async def import_method(database: Database, *, environment: str, id: str, now: datetime) -> None:
    """Keep the method that live mode's processor saves under this id, unless it is known or there is none.

    The processor is asked between transactions. `now` is the wall clock, UTC.
    """
    processor = PROCESSORS.get(_STRIPE)
    if environment != LIVE or processor is None:
        return
    async with database.begin() as tx:
        if id in await payment_method.find(tx, environment, [id]):
            return
    registered = await asyncio.to_thread(processor.named, id)
    if registered is None:
        return
    async with database.begin() as tx:
        if id not in await payment_method.find(tx, environment, [id]):
            await keep(tx, environment=environment, processor=processor, registered=registered, id=id, now=now)


async def hear(database: Database, answer: Answer, *, now: datetime) -> bool:
    """Record what a processor tells of an attempt in live mode; whether it was one of ours.

    Told again, or in another order, it changes nothing.
    """
    if isinstance(answer.outcome, Unknown):
        return False
    async with database.begin() as tx:
        known = await payments.find_charges(tx, LIVE, [answer.attempt])
    if answer.attempt not in known:
        return False
    if known[answer.attempt].outcome is None:
        await record_answer(database, environment=LIVE, id=answer.attempt, outcome=answer.outcome, now=now)
    return True
