"""Make a card known here that is saved at a processor over a network."""

import asyncio
from datetime import datetime

from meterline.store import payment_method
from meterline.store.database import Database
from meterline.usecase.ask_processor import PROCESSORS
from meterline.usecase.create_payment_method import LIVE, keep

STRIPE = "stripe"
"""The name of live mode's processor."""


async def import_method(database: Database, *, environment: str, id: str, now: datetime) -> None:
    """Keep the method that live mode's processor saves under this id, unless it is known or there is none.

    The processor is asked between transactions. `now` is the wall clock, UTC.
    """
    processor = PROCESSORS.get(STRIPE)
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
