"""Discounts: coupons that were redeemed. One that is taken away keeps its row, for the invoices that it lowered."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import Column, PrimaryKeyConstraint, Table, Text, select
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.discount import Discount
from meterline.store import schema
from meterline.store.kept import Kept
from meterline.store.row import load

KIND = "discount"

discount = Table(
    "discount",
    schema.metadata,
    schema.environment(),
    schema.customer_id(),
    schema.public_id(),
    schema.sequence(),
    Column("customer", Text),
    schema.document("coupon"),
    schema.instant("start", nullable=False),
    schema.instant("end"),
    Column("promotion_code", Text),
    Column("subscription", Text),
    Column("subscription_item", Text),
    Column("invoice", Text),
    Column("invoice_item", Text),
    Column("checkout_session", Text),
    PrimaryKeyConstraint("customer_id", "id"),
)


_discounts = Kept(discount, Discount, KIND)
add, find = _discounts.add, _discounts.find


async def of_customer(tx: AsyncConnection, *, customer_id: UUID, ids: Collection[str]) -> dict[str, Discount]:
    """The customer's discounts of those ids."""
    if not ids:
        return {}
    query = select(discount).where(discount.c.customer_id == customer_id, discount.c.id.in_(sorted(set(ids))))
    return {row.id: load(Discount, row) for row in await tx.execute(query)}
