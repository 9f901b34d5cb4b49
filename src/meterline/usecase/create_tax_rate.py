"""Create a tax rate."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.catalog import TaxRate
from meterline.catalog.tax_rate import check_percentage
from meterline.store import notice, tax_rate


async def create_tax_rate(tx: AsyncConnection, *, new: TaxRate, now: datetime) -> TaxRate:
    """Store a new rate and tell it. Refuses a percentage that is none."""
    check_percentage(new.percentage)
    await tax_rate.add(tx, new)
    await notice.add(tx, environment=new.environment, customer_id=None, type="tax_rate.created", subject=new, now=now)
    return new
