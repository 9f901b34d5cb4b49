"""Change what a tax rate is called, and whether it can be put to new use."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.catalog import TaxRate
from meterline.store import notice, tax_rate


async def change_tax_rate(tx: AsyncConnection, *, before: TaxRate, after: TaxRate, now: datetime) -> TaxRate:
    """Store a changed rate that was locked, and tell it; nothing when nothing changed."""
    assert (after.percentage, after.inclusive) == (before.percentage, before.inclusive), "what is taken never changes"
    if after != before:
        await tax_rate.save(tx, after)
        await notice.add(
            tx,
            environment=after.environment,
            customer_id=None,
            type="tax_rate.updated",
            subject=after,
            previous=before,
            now=now,
        )
    return after
