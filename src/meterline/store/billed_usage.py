"""Where usage ended up: the invoice lines and wallet debits that an event went into."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import and_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.store.invoice import invoice, invoice_line
from meterline.store.offer import usage_fee
from meterline.store.price import price


async def lines(
    tx: AsyncConnection, *, environment: str, customer_id: UUID, meter: str, occurred_at: datetime
) -> list[dict[str, Any]]:
    """The invoice lines whose window of usage on the meter holds the instant."""
    rows = await tx.execute(
        select(invoice_line.c.invoice, invoice_line.c.id, invoice_line.c.price, invoice.c.status)
        .join(
            invoice,
            and_(invoice.c.customer_id == invoice_line.c.customer_id, invoice.c.id == invoice_line.c.invoice),
        )
        .join(price, and_(price.c.environment == environment, price.c.id == invoice_line.c.price))
        .where(
            invoice_line.c.customer_id == customer_id,
            invoice_line.c.usage_start <= occurred_at,
            invoice_line.c.usage_end > occurred_at,
            price.c.recurring["meter"].astext == meter,
        )
        .order_by(invoice_line.c.sequence)
    )
    return [{"invoice": r.invoice, "invoice_status": r.status, "line": r.id, "price": r.price} for r in rows]


async def debits(
    tx: AsyncConnection, *, customer_id: UUID, occurred_at: datetime, identifier16: UUID
) -> list[dict[str, Any]]:
    """What wallets were debited for the event."""
    fee = usage_fee.c
    rows = await tx.execute(
        select(fee.asset, fee.amount, fee.price, fee.subscription).where(
            fee.customer_id == customer_id, fee.occurred_at == occurred_at, fee.identifier16 == identifier16
        )
    )
    return [
        {"amount": format(r.amount, "f"), "asset": r.asset, "price": r.price, "subscription": r.subscription}
        for r in rows
    ]
