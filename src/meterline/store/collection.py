"""How a customer's usage is collected under each price, and what the wallet paid of each window of usage."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import Column, PrimaryKeyConstraint, Table, Text, delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.catalog.collection import Collection, Setting
from meterline.period import Period
from meterline.store import row, schema
from meterline.store.database import driver
from meterline.store.key import among
from meterline.store.offer import Tariff, wallet_tariff
from meterline.store.side_by_side import ask

price_collection = Table(
    "price_collection",
    schema.metadata,
    schema.environment(),
    schema.customer_id(),
    Column("price", Text, nullable=False),
    schema.instant("starts_at", nullable=False),
    Column("collection", Text, nullable=False),
    schema.instant("created", nullable=False),
    PrimaryKeyConstraint("customer_id", "price", "starts_at"),
)
"""From when on which way; a setting lasts until the next one of the same price."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """One setting of a customer as it is kept."""

    environment: str
    customer_id: UUID
    price: str
    starts_at: datetime
    collection: Collection
    created: datetime


async def choose(tx: AsyncConnection, new: Chosen) -> None:
    """Keep a setting; one from the same instant is replaced."""
    values = row.values(new, price_collection)
    await tx.execute(
        insert(price_collection)
        .values(values)
        .on_conflict_do_update(
            index_elements=["customer_id", "price", "starts_at"],
            set_={"collection": new.collection, "created": new.created},
        )
    )


async def chosen(tx: AsyncConnection, customer_id: UUID) -> list[Chosen]:
    """Everything that was set for a customer, by price and in order of time."""
    return await ask(_chosen, tx, customer_id)


async def _chosen(tx: AsyncConnection, customer_ids: Sequence[UUID]) -> list[list[Chosen]]:
    key = price_collection.c
    query = select(price_collection).where(among((key.customer_id,), [(id,) for id in customer_ids]))
    found: dict[UUID, list[Chosen]] = {id: [] for id in customer_ids}
    for each in await tx.execute(query.order_by(key.price, key.starts_at)):
        found[each.customer_id].append(row.load(Chosen, each))
    return [found[id] for id in customer_ids]


async def any_chosen(tx: AsyncConnection, customer_id: UUID) -> bool:
    """Whether anything was ever set for the customer: else no wallet pays for what invoices bill."""
    return await ask(_any_chosen, tx, customer_id)


async def _any_chosen(tx: AsyncConnection, customer_ids: Sequence[UUID]) -> list[bool]:
    key = price_collection.c.customer_id
    query = select(key).distinct().where(among((key,), [(id,) for id in customer_ids]))
    found = set(await tx.scalars(query))
    return [id in found for id in customer_ids]


def settings(of: Sequence[Chosen]) -> dict[str, list[Setting]]:
    """The settings of each price."""
    found: dict[str, list[Setting]] = {}
    for each in of:
        found.setdefault(each.price, []).append(Setting(starts_at=each.starts_at, collection=each.collection))
    return found


async def end_tariff(tx: AsyncConnection, tariff: Tariff, *, at: datetime) -> None:
    """Usage from that instant on is not debited by it; a tariff that did not begin by then is dropped."""
    key = wallet_tariff.c
    same = (
        key.customer_id == tariff.customer_id,
        key.subscription == tariff.subscription,
        key.price == tariff.price,
        key.starts_at == tariff.starts_at,
    )
    if tariff.starts_at >= at:
        await tx.execute(delete(wallet_tariff).where(*same))
    else:
        await tx.execute(update(wallet_tariff).where(*same).values(ends_at=at))


Window = tuple[str, str, Period]
"""(subscription item, price, window of usage)."""

_PAID = """
SELECT w.n, sum(t.paid)
FROM unnest($2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[])
     WITH ORDINALITY AS w(item, price, starts, ends, n)
JOIN wallet_tally t ON t.customer_id = $1 AND t.subscription = w.item AND t.price = w.price
 AND t.span >= w.starts AND t.span < w.ends
GROUP BY w.n"""


async def paid(tx: AsyncConnection, *, customer_id: UUID, windows: Sequence[Window]) -> dict[int, Decimal]:
    """What the wallet paid of these windows, in major units by place; those it never paid for are left out."""
    if not windows:
        return {}
    rows = await (await driver(tx)).fetch(_PAID, customer_id, *_columns(windows))
    return {each[0] - 1: each[1] for each in rows}


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """How far debits have come in a window of an item's usage: what the wallet paid, what is left to the invoice."""

    item: str
    price: str
    span: datetime
    quantity: Decimal
    paid: Decimal
    uncovered: Decimal


async def counted(tx: AsyncConnection, customer_id: UUID, prices: Sequence[str]) -> list[Counted]:
    """The windows of subscription items that debits were made in under these prices, newest first.

    The quantities of a rate table's rows are added up.
    """
    rows = await (await driver(tx)).fetch(
        "SELECT t.subscription AS item, t.price, t.span, sum(t.quantity) AS quantity, sum(t.paid) AS paid,"
        " sum(t.uncovered) AS uncovered FROM wallet_tally t WHERE t.customer_id = $1 AND t.price = ANY($2::text[])"
        " AND t.subscription LIKE 'si\\_%' GROUP BY 1, 2, 3 ORDER BY 3 DESC, 1, 2",
        customer_id,
        list(prices),
    )
    return [Counted(**dict(each)) for each in rows]


_PAID_TOO_LATE = """
SELECT w.n, coalesce(sum(
  CASE WHEN e.through_stripe AND e.received_at > w.in_time THEN f.paid - coalesce(f.returned, 0)
       WHEN e.voided_at > w.in_time AND c.through_stripe THEN - f.returned
       ELSE 0 END), 0)
FROM unnest($2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::timestamptz[])
     WITH ORDINALITY AS w(item, price, starts, ends, in_time, n)
JOIN usage_fee f ON f.customer_id = $1 AND f.occurred_at >= w.starts AND f.occurred_at < w.ends
 AND f.subscription = w.item AND f.price = w.price
JOIN usage_event e ON e.customer_id = f.customer_id AND e.occurred_at = f.occurred_at
 AND e.identifier16 = f.identifier16
LEFT JOIN usage_correction c ON c.customer_id = e.customer_id AND c.id = e.voided_by
GROUP BY w.n"""


async def paid_too_late(
    tx: AsyncConnection, *, customer_id: UUID, windows: Sequence[Window], in_time: Sequence[datetime]
) -> dict[int, Decimal]:
    """What of `paid` follows from what Stripe's routes said after an instant (wall clock). Costs events."""
    if not windows:
        return {}
    rows = await (await driver(tx)).fetch(_PAID_TOO_LATE, customer_id, *_columns(windows), list(in_time))
    return {each[0] - 1: each[1] for each in rows}


def _columns(windows: Sequence[Window]) -> tuple[list[object], ...]:
    return (
        [item for item, _, _ in windows],
        [price for _, price, _ in windows],
        [window.start for _, _, window in windows],
        [window.end for _, _, window in windows],
    )
