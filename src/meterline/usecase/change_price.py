"""Change what may change about a price; move lookup keys from one price to another."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.catalog import Price
from meterline.store import notice, price


async def change_price(
    tx: AsyncConnection, *, before: Price, after: Price, transfer_lookup_key: bool = False, now: datetime
) -> Price:
    """Store a changed price that was locked, and tell it; nothing when nothing changed.

    Refuses a lookup key that another price holds, unless it is to be transferred.
    """
    if after == before:
        return before
    if after.lookup_key is not None and after.lookup_key != before.lookup_key:
        if transfer_lookup_key:
            await take_lookup_key(tx, after.environment, after.lookup_key, now=now)
        else:
            await price.refuse_taken(tx, after.environment, after.lookup_key, unless=after.id)
    await _record(tx, before, after, now=now)
    return after


async def take_lookup_key(tx: AsyncConnection, environment: str, lookup_key: str, *, now: datetime) -> None:
    """Free a lookup key: the price that holds it, if any, loses it, and that is told."""
    holder = await price.holding(tx, environment, lookup_key)
    if holder is not None:
        await _record(tx, holder, replace(holder, lookup_key=None), now=now)


async def _record(tx: AsyncConnection, before: Price, after: Price, *, now: datetime) -> None:
    await price.save(tx, after)
    await notice.add(
        tx,
        environment=after.environment,
        customer_id=None,
        type="price.updated",
        subject=after,
        previous=before,
        now=now,
    )
