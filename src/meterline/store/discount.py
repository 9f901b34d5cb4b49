"""Discounts: coupons that were redeemed. One that is taken away keeps its row, for the invoices that it lowered."""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import Column, PrimaryKeyConstraint, Table, Text, select
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.discount import Discount
from meterline.store import schema
from meterline.store.kept import Kept
from meterline.store.key import among
from meterline.store.row import load
from meterline.store.side_by_side import ask

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
    return await ask(_of_customers, tx, tuple((customer_id, id) for id in sorted(set(ids))))


async def _of_customers(
    tx: AsyncConnection, asked: Sequence[tuple[tuple[UUID, str], ...]]
) -> list[dict[str, Discount]]:
    keys = [key for each in asked for key in each]
    query = select(discount).where(among((discount.c.customer_id, discount.c.id), keys))
    found = {(row.customer_id, row.id): load(Discount, row) for row in await tx.execute(query)}
    return [{key[1]: found[key] for key in each if key in found} for each in asked]
