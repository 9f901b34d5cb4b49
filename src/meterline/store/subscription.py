"""Subscriptions and their items: one aggregate, two tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Row,
    Table,
    Text,
    exists,
    false,
    func,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.refusal import Missing
from meterline.store import public_id, schema, tax_rate
from meterline.store.key import among, insert_all, update_all
from meterline.store.page import Cursor, Page, Span, during, page
from meterline.store.row import load, values
from meterline.store.search import Searchable
from meterline.store.side_by_side import ask
from meterline.subscription.model import ENDED, Subscription, SubscriptionItem

subscription = Table(
    "subscription",
    schema.metadata,
    schema.environment(),
    schema.customer_id(),
    schema.public_id(),
    schema.sequence(),
    Column("customer", Text, nullable=False),
    Column("test_clock", Text),
    schema.instant("created", nullable=False),
    schema.instant("start_date", nullable=False),
    Column("status", Text, nullable=False),
    Column("currency", Text, nullable=False),
    schema.instant("anchor", nullable=False),
    schema.document("billing_mode"),
    Column("anchor_config", JSONB(none_as_null=True)),
    Column("collection_method", Text, nullable=False),
    Column("days_until_due", Integer),
    Column("default_payment_method", Text),
    schema.document("default_tax_rates"),
    Column("description", Text),
    schema.document("metadata"),
    schema.instant("trial_start"),
    schema.instant("trial_end"),
    schema.document("trial_settings"),
    schema.instant("cancel_at"),
    Column("cancel_at_period_end", Boolean, nullable=False),
    Column("cancel_prorates", Boolean, nullable=False),
    schema.instant("canceled_at"),
    schema.instant("ended_at"),
    schema.document("cancellation"),
    Column("pause_collection", JSONB(none_as_null=True)),
    Column("paused", JSONB(none_as_null=True)),
    schema.document("invoice_settings"),
    schema.document("payment_settings"),
    schema.document("discounts"),
    Column("latest_invoice", Text),
    PrimaryKeyConstraint("customer_id", "id"),
    Index("ix_subscription_sequence", "environment", "sequence"),
    Index("ix_subscription_customer", "customer_id", "sequence"),
    Index(
        "ix_subscription_test_clock",
        "environment",
        "test_clock",
        postgresql_where=text("test_clock IS NOT NULL"),
    ),
)

subscription_item = Table(
    "subscription_item",
    schema.metadata,
    schema.environment(),
    schema.customer_id(),
    schema.public_id(),
    schema.sequence(),
    Column("subscription", Text, nullable=False),
    Column("price", Text, nullable=False),
    Column("quantity", BigInteger),
    schema.instant("created", nullable=False),
    schema.instant("period_start", nullable=False),
    schema.instant("period_end", nullable=False),
    schema.instant("usage_from"),
    Column("billed", JSONB(none_as_null=True)),
    schema.instant("billed_until"),
    schema.document("discounts"),
    schema.document("tax_rates"),
    schema.document("metadata"),
    Column("deleted", Boolean, nullable=False, server_default="false"),
    PrimaryKeyConstraint("customer_id", "id"),
    Index("ix_subscription_item_subscription", "customer_id", "subscription"),
    Index("ix_subscription_item_price", "environment", "price"),
)

SEARCH = Searchable(
    resource="subscriptions",
    table=subscription,
    fields={
        "created": (subscription.c.created, "instant"),
        "canceled_at": (subscription.c.canceled_at, "instant"),
        "status": (subscription.c.status, "token"),
        "customer": (subscription.c.customer, "token"),
    },
)


async def add(tx: AsyncConnection, new: Subscription) -> None:
    """Store a new subscription with its items and make their ids known."""
    await tx.execute(insert(subscription).values(_row(new)))
    await public_id.add(
        tx,
        environment=new.environment,
        customer_id=new.customer_id,
        kind="subscription",
        ids=[new.id],
    )
    await _save_items(tx, [new])


async def save(tx: AsyncConnection, changed: Subscription) -> None:
    """Store a changed subscription: items that are new are added, items that are gone are marked deleted."""
    await ask(_save_all, tx, changed)


async def _save_all(tx: AsyncConnection, changed: Sequence[Subscription]) -> list[None]:
    await update_all(tx, subscription, [_row(each) for each in changed])
    await _save_items(tx, changed)
    return [None] * len(changed)


def _row(thing: Subscription) -> dict[str, Any]:
    return values(thing, subscription, default_tax_rates=tax_rate.names(thing.default_tax_rates))


async def _save_items(tx: AsyncConnection, owners: Sequence[Subscription]) -> None:
    item = subscription_item
    mine = among((item.c.customer_id, item.c.subscription), [(each.customer_id, each.id) for each in owners])
    kept = {each.id for owner in owners for each in owner.items}
    stored = (await tx.execute(select(item.c.customer_id, item.c.id, item.c.deleted).where(mine))).all()
    gone = [(row.customer_id, row.id) for row in stored if not row.deleted and row.id not in kept]
    if gone:
        await tx.execute(update(item).where(among((item.c.customer_id, item.c.id), gone)).values(deleted=True))
    known = {row.id for row in stored}
    rows = [_item_row(owner, each) for owner in owners for each in owner.items]
    await update_all(tx, item, [row for row in rows if row["id"] in known])
    await insert_all(tx, item, [row for row in rows if row["id"] not in known])
    for owner in owners:
        await public_id.add(
            tx,
            environment=owner.environment,
            customer_id=owner.customer_id,
            kind="subscription_item",
            ids=[each.id for each in owner.items if each.id not in known],
        )


def _item_row(owner: Subscription, item: SubscriptionItem) -> dict[str, Any]:
    return values(
        item,
        subscription_item,
        environment=owner.environment,
        customer_id=owner.customer_id,
        subscription=owner.id,
        tax_rates=tax_rate.names(item.tax_rates),
    )


def _keys(rows: Sequence[Row[Any]]) -> list[tuple[UUID, str]]:
    return [(row.customer_id, row.id) for row in rows]


async def find(tx: AsyncConnection, environment: str, ids: Sequence[str]) -> dict[str, Subscription]:
    """The subscriptions with those ids; unknown ones are left out."""
    owners = await public_id.owners(tx, environment=environment, kind="subscription", ids=ids)
    query = select(subscription).where(subscription.c.customer_id.in_(owners.values()), subscription.c.id.in_(owners))
    found = await assemble(tx, (await tx.execute(query)).all())
    return {each.id: each for each in found}


async def lock(tx: AsyncConnection, *, environment: str, id: str, param: str = "id") -> Subscription:
    """The subscription, locked until the transaction ends. Raises Missing (the call's own subject)."""
    customer_id = await public_id.owner(tx, environment=environment, kind="subscription", id=id)
    found = None if customer_id is None else await lock_of(tx, customer_id=customer_id, id=id)
    if found is None:
        raise Missing("subscription", id, param=param, subject=True)
    return found


async def lock_of(tx: AsyncConnection, *, customer_id: UUID, id: str) -> Subscription | None:
    """The customer's subscription of that id, locked until the transaction ends."""
    return await ask(_lock_all, tx, (customer_id, id))


async def _lock_all(tx: AsyncConnection, keys: Sequence[tuple[UUID, str]]) -> list[Subscription | None]:
    key = (subscription.c.customer_id, subscription.c.id)
    query = select(subscription).where(among(key, keys)).order_by(*key).with_for_update()
    found = {(each.customer_id, each.id): each for each in await assemble(tx, (await tx.execute(query)).all())}
    return [found.get(each) for each in keys]


async def of_customer(tx: AsyncConnection, *, customer_id: UUID, live_only: bool = True) -> list[Subscription]:
    """A customer's subscriptions, newest first; by default those that have not ended."""
    query = select(subscription).where(subscription.c.customer_id == customer_id)
    if live_only:
        query = query.where(subscription.c.status.not_in(ENDED))
    return await assemble(tx, (await tx.execute(query.order_by(subscription.c.sequence.desc()))).all())


async def on_clock(tx: AsyncConnection, *, environment: str, clock: str) -> list[Subscription]:
    """The subscriptions on a test clock that have not ended."""
    query = select(subscription).where(
        subscription.c.environment == environment,
        subscription.c.test_clock == clock,
        subscription.c.status.not_in(ENDED),
    )
    return await assemble(tx, (await tx.execute(query.order_by(subscription.c.sequence))).all())


async def item_owner(tx: AsyncConnection, *, environment: str, id: str) -> tuple[UUID, str] | None:
    """The customer and the subscription that a (not deleted) item belongs to."""
    customer_id = await public_id.owner(tx, environment=environment, kind="subscription_item", id=id)
    if customer_id is None:
        return None
    item = subscription_item
    owner = await tx.scalar(
        select(item.c.subscription).where(item.c.customer_id == customer_id, item.c.id == id, ~item.c.deleted)
    )
    return None if owner is None else (customer_id, owner)


async def assemble(tx: AsyncConnection, rows: Sequence[Row[Any]]) -> list[Subscription]:
    """The aggregates of subscription rows, in the same order, items in the order they were added."""
    if not rows:
        return []
    item = subscription_item
    query = (
        select(item)
        .where(among((item.c.customer_id, item.c.subscription), _keys(rows)), ~item.c.deleted)
        .order_by(item.c.sequence)
    )
    found = (await tx.execute(query)).all()
    items: dict[str, list[SubscriptionItem]] = {row.id: [] for row in rows}
    for row, each in zip(found, await items_of(tx, found), strict=True):
        items[row.subscription].append(each)
    default = await tax_rate.named_in(tx, rows, "default_tax_rates")
    return [
        load(
            Subscription,
            row,
            items=tuple(items[row.id]),
            default_tax_rates=tax_rate.of(row.default_tax_rates, default),
        )
        for row in rows
    ]


async def items_of(tx: AsyncConnection, rows: Sequence[Row[Any]]) -> list[SubscriptionItem]:
    """The items in rows of `subscription_item`, in their order."""
    known = await tax_rate.named_in(tx, rows, "tax_rates")
    return [load(SubscriptionItem, row, tax_rates=tax_rate.of(row.tax_rates, known)) for row in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What a list of subscriptions is narrowed to.

    `period_end` bounds the earliest end among the items' periods, `period_start` the latest start. What lives on
    a test clock is shown by `clock` or `customer_id` only.
    """

    status: str | None = None
    customer_id: UUID | None = None
    price: str | None = None
    collection_method: str | None = None
    clock: str | None = None
    automatic_tax: bool | None = None
    created: Span | None = None
    period_start: Span | None = None
    period_end: Span | None = None


def _earliest_period_end() -> ColumnElement[Any]:
    """The earliest end of a current period among a subscription's items, as a column."""
    return _over_items(func.min(subscription_item.c.period_end))


def _latest_period_start() -> ColumnElement[Any]:
    """The latest start of a current period among a subscription's items, as a column."""
    return _over_items(func.max(subscription_item.c.period_start))


def _over_items(aggregate: ColumnElement[Any]) -> ColumnElement[Any]:
    item = subscription_item
    return (
        select(aggregate)
        .where(
            item.c.customer_id == subscription.c.customer_id,
            item.c.subscription == subscription.c.id,
            ~item.c.deleted,
        )
        .scalar_subquery()
    )


async def listed(tx: AsyncConnection, environment: str, cursor: Cursor, wanted: Filter) -> Page:
    """A page of subscription rows, newest first; `assemble` makes them whole."""
    scope = subscription.c.environment == environment
    query = select(subscription).where(scope, *_conditions(wanted), *_bounds(wanted))
    return await page(tx, query, subscription, kind="subscription", scope=scope, cursor=cursor)


def _bounds(wanted: Filter) -> list[ColumnElement[bool]]:
    return [
        *during(subscription.c.created, wanted.created),
        *during(_latest_period_start(), wanted.period_start),
        *during(_earliest_period_end(), wanted.period_end),
    ]


def _conditions(wanted: Filter) -> list[ColumnElement[bool]]:
    item = subscription_item
    conditions = [_status_condition(wanted.status)]
    if wanted.customer_id is not None:
        conditions.append(subscription.c.customer_id == wanted.customer_id)
    if wanted.automatic_tax:
        conditions.append(false())
    if wanted.collection_method is not None:
        conditions.append(subscription.c.collection_method == wanted.collection_method)
    if wanted.clock is not None:
        conditions.append(subscription.c.test_clock == wanted.clock)
    elif wanted.customer_id is None:
        conditions.append(subscription.c.test_clock.is_(None))
    if wanted.price is not None:
        conditions.append(
            exists().where(
                item.c.customer_id == subscription.c.customer_id,
                item.c.subscription == subscription.c.id,
                item.c.price == wanted.price,
                ~item.c.deleted,
            )
        )
    return conditions


def _status_condition(status: str | None) -> ColumnElement[bool]:
    if status is None:
        return subscription.c.status != "canceled"
    if status == "all":
        return subscription.c.status.is_not(None)
    if status == "ended":
        return subscription.c.status.in_(ENDED)
    return subscription.c.status == status


async def listed_items(tx: AsyncConnection, *, owner: Subscription, cursor: Cursor) -> Page:
    """A page of a subscription's item rows, newest first."""
    item = subscription_item
    scope = (item.c.customer_id == owner.customer_id) & (item.c.subscription == owner.id)
    query = select(item).where(scope, ~item.c.deleted)
    return await page(tx, query, item, kind="subscription_item", scope=scope, cursor=cursor)
