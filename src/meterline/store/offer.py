"""Offers, their versions, who is subscribed to which, and what usage has come to under each price."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, TypeAlias
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    Numeric,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    delete,
    func,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.dialects.postgresql import UUID as UUID_COLUMN
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.catalog import Price
from meterline.catalog.collection import FromWallet, Windows
from meterline.catalog.offer import Cadence, Offer, OfferVersion, span_end, span_start
from meterline.meter import Formula
from meterline.refusal import Missing, Refusal
from meterline.store import row, schema
from meterline.store.identifier import uuid7
from meterline.store.ledger import AMOUNT, Connection

offer = Table(
    "offer",
    schema.metadata,
    schema.environment(),
    Column("product", Text, nullable=False),
    schema.sequence(),
    Column("code", Text, nullable=False),
    Column("default_version", Integer),
    Column("latest_version", Integer, nullable=False),
    Column("archived", Boolean, nullable=False, server_default="false"),
    schema.instant("created", nullable=False),
    PrimaryKeyConstraint("environment", "product"),
    UniqueConstraint("environment", "code"),
    Index("ix_offer_sequence", "environment", "sequence"),
)

offer_version = Table(
    "offer_version",
    schema.metadata,
    schema.environment(),
    Column("product", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("status", Text, nullable=False),
    schema.document("prices"),
    schema.document("entitlements"),
    schema.instant("created", nullable=False),
    PrimaryKeyConstraint("environment", "product", "version"),
)

wallet_subscription = Table(
    "wallet_subscription",
    schema.metadata,
    schema.environment(),
    schema.customer_id(),
    schema.public_id(),
    schema.sequence(),
    Column("status", Text, nullable=False),
    schema.document("products"),
    schema.instant("starts_at", nullable=False),
    schema.instant("anchor", nullable=False),
    schema.instant("renews_at"),
    Column("begun", Boolean, nullable=False, server_default="false"),
    schema.document("owed"),
    Column("return_url", Text),
    Column("failure_url", Text),
    Column("redirect_to", Text),
    Column("top_up", Text),
    schema.instant("created", nullable=False),
    PrimaryKeyConstraint("customer_id", "id"),
    Index("ix_wallet_subscription_sequence", "environment", "sequence"),
    Index("ix_wallet_subscription_waiting", "customer_id", postgresql_where=text("status = 'action_required'")),
)

wallet_tariff = Table(
    "wallet_tariff",
    schema.metadata,
    schema.environment(),
    schema.customer_id(),
    Column("subscription", Text, nullable=False),
    Column("price", Text, nullable=False),
    Column("sold", Text, nullable=False),
    Column("counter", Text, nullable=False),
    Column("rank", SmallInteger, nullable=False),
    Column("product", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("meter", Text, nullable=False),
    Column("volume_field", Text),
    Column("formula", Text, nullable=False),
    Column("asset", Text, nullable=False),
    Column("cadence", Text, nullable=False),
    Column("minimum", AMOUNT),
    Column("maximum", AMOUNT),
    Column("collection", Text, nullable=False, server_default="wallet"),
    Column("windows", JSONB(none_as_null=True)),
    schema.instant("starts_at", nullable=False),
    schema.instant("ends_at"),
    PrimaryKeyConstraint("customer_id", "subscription", "price", "starts_at"),
)
"""What a customer's usage is debited by, from when until when: usage is priced as of when it happened.

A subscription item whose price the wallet pays for has its id in `subscription`, and the windows it is billed by."""

wallet_tally = Table(
    "wallet_tally",
    schema.metadata,
    schema.environment(),
    schema.customer_id(),
    Column("subscription", Text, nullable=False),
    Column("price", Text, nullable=False),
    Column("cell", Text, nullable=False),
    schema.instant("span", nullable=False),
    Column("quantity", Numeric, nullable=False),
    Column("paid", AMOUNT, nullable=False, server_default="0"),
    Column("uncovered", AMOUNT, nullable=False, server_default="0"),
    PrimaryKeyConstraint("customer_id", "subscription", "price", "cell", "span"),
    postgresql_with={"fillfactor": 50},
)
"""How far usage has come in a span of tiers, what the wallet paid of it, and what is left to an invoice.

It goes by the name of the counter; `cell` is the row of a rate table that prices it."""

usage_fee = Table(
    "usage_fee",
    schema.metadata,
    schema.customer_id(),
    schema.instant("occurred_at", nullable=False),
    Column("identifier16", UUID_COLUMN(as_uuid=True), nullable=False),
    Column("price", Text, nullable=False),
    schema.environment(),
    Column("subscription", Text, nullable=False),
    Column("product", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("cell", Text, nullable=False),
    Column("before", Numeric),
    Column("after", Numeric, nullable=False),
    Column("asset", Text, nullable=False),
    Column("amount", AMOUNT, nullable=False),
    Column("transaction", BigInteger),
    Column("paid", AMOUNT, nullable=False),
    schema.instant("span", nullable=False),
    Column("returned", AMOUNT),
    PrimaryKeyConstraint("customer_id", "occurred_at", "identifier16", "price", "subscription"),
)
"""What an event cost, and from where to where it took the quantity: enough to work the fee out again.

The wallet `paid` of it what no invoice will; `returned` is what came back when the event was taken back."""

START = "start_subscription"
"""The kind of due work that begins a subscription, or tries again to pay what it owes."""

Status: TypeAlias = Literal["active", "inactive", "scheduled", "action_required"]
RedirectTo: TypeAlias = Literal["return_url", "portal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribed:
    """One product of a subscription; `pinned` is null where the subscription follows the default version."""

    product: str
    code: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """A fixed fee (the price as sold) that is to be paid, for the span that begins at `at`."""

    sold: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletSubscription:
    """A customer's subscription to offers, debited from the wallet. Usage before `starts_at` is not debited.

    Fees and entitlements come again at the boundaries counted from `anchor`; `renews_at` is the next of them, null
    where nothing does. `owed` is what has to be paid before usage is debited, and `begun` whether that was ever the
    case. One that waits for its fees (`action_required`) has a `top_up` that pays them, after which the customer is
    sent to `return_url`, or to the portal (`redirect_to`).
    """

    environment: str
    customer_id: UUID
    id: str
    status: Status
    products: tuple[Subscribed, ...]
    starts_at: datetime
    anchor: datetime
    renews_at: datetime | None = None
    begun: bool = False
    owed: tuple[Owed, ...] = ()
    return_url: str | None = None
    failure_url: str | None = None
    redirect_to: RedirectTo | None = None
    top_up: str | None = None
    created: datetime

    def status_at(self, now: datetime) -> Status:
        """The status as it is told: one whose time has come is active."""
        return "active" if self.status == "scheduled" and self.starts_at <= now else self.status


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """A price that usage on a meter is debited by, for one subscription.

    `sold` is the price as the offer names it. Tariffs with the same `counter` are ways to pay for the same usage, each
    in its own asset, tried in the order of `rank`.
    """

    environment: str
    customer_id: UUID
    subscription: str
    price: str
    sold: str
    counter: str
    rank: int = 0
    product: str
    version: int
    meter: str
    volume_field: str | None = None
    formula: Formula
    asset: str
    cadence: Cadence
    minimum: Decimal | None
    maximum: Decimal | None
    starts_at: datetime
    ends_at: datetime | None = None
    collection: FromWallet = "wallet"
    windows: Windows | None = None

    def span(self, at: datetime) -> datetime:
        """Where the span of tiers that the instant lies in began."""
        return span_start(self.cadence, at) if self.windows is None else self.windows.start(at)

    def edges(self, at: datetime) -> tuple[datetime | None, ...]:
        """When it begins and ends, and where the span that the instant lies in does; null for never."""
        ends = span_end(self.cadence, at) if self.windows is None else self.windows.end(at)
        return self.starts_at, self.ends_at, self.span(at), ends

    def covers(self, at: datetime) -> bool:
        """Whether usage of that instant is debited by it."""
        return self.starts_at <= at and (self.ends_at is None or at < self.ends_at)


async def add(tx: AsyncConnection, new: Offer) -> None:
    """Store a new offer. Refuses a code that another offer has."""
    statement = insert(offer).values(row.values(new, offer, sequence=uuid7()))
    done = await tx.execute(statement.on_conflict_do_nothing(index_elements=["environment", "code"]))
    if done.rowcount == 0:
        raise Refusal(f"A product with the code '{new.code}' exists already.", code="code_taken", param="code")


async def find(tx: AsyncConnection, environment: str, key: str, *, lock: bool = False, archived: bool = False) -> Offer:
    """The offer with that product id or code; one that was archived only where `archived` asks. Raises Missing."""
    query = select(offer).where(offer.c.environment == environment, (offer.c.product == key) | (offer.c.code == key))
    if not archived:
        query = query.where(~offer.c.archived)
    found = (await tx.execute(query.with_for_update() if lock else query)).first()
    if found is None:
        raise Missing("product", key, subject=True)
    return row.load(Offer, found)


async def save(tx: AsyncConnection, changed: Offer) -> None:
    """Store a changed offer that was locked."""
    await tx.execute(
        update(offer)
        .where(offer.c.environment == changed.environment, offer.c.product == changed.product)
        .values(row.values(changed, offer))
    )


async def archive(tx: AsyncConnection, gone: Offer) -> None:
    """Nobody can subscribe to the offer any more, and it is not listed; who is subscribed stays so."""
    scope = (offer.c.environment == gone.environment, offer.c.product == gone.product)
    await tx.execute(update(offer).where(*scope).values(archived=True))
    key = offer_version.c
    await tx.execute(
        update(offer_version)
        .where(key.environment == gone.environment, key.product == gone.product)
        .values(status="archived")
    )


async def remove(tx: AsyncConnection, gone: Offer) -> None:
    """Forget an offer that nobody ever subscribed to; its code is free again."""
    key = offer_version.c
    await tx.execute(delete(offer_version).where(key.environment == gone.environment, key.product == gone.product))
    await tx.execute(delete(offer).where(offer.c.environment == gone.environment, offer.c.product == gone.product))


async def used(tx: AsyncConnection, environment: str, product: str) -> bool:
    """Whether anybody was ever subscribed to an offer."""
    among = wallet_subscription.c.products.contains([{"product": product}])
    query = select(wallet_subscription.c.id).where(wallet_subscription.c.environment == environment, among).limit(1)
    return (await tx.execute(query)).first() is not None


async def listed(
    tx: AsyncConnection, environment: str, *, offset: int, limit: int, code: str | None = None
) -> tuple[list[Offer], int]:
    """Some offers, oldest first, and how many there are."""
    scope = [offer.c.environment == environment, ~offer.c.archived]
    if code is not None:
        scope.append(offer.c.code == code)
    count = await tx.scalar(select(func.count()).select_from(offer).where(*scope))
    rows = await tx.execute(select(offer).where(*scope).order_by(offer.c.sequence).offset(offset).limit(limit))
    return [row.load(Offer, found) for found in rows], count or 0


async def add_version(tx: AsyncConnection, new: OfferVersion) -> None:
    """Store a new version of an offer."""
    await tx.execute(insert(offer_version).values(row.values(new, offer_version)))


async def save_version(tx: AsyncConnection, changed: OfferVersion) -> None:
    """Store a changed version: its status, or the prices of a draft."""
    key = offer_version.c
    await tx.execute(
        update(offer_version)
        .where(key.environment == changed.environment, key.product == changed.product, key.version == changed.version)
        .values(row.values(changed, offer_version))
    )


async def version(tx: AsyncConnection, environment: str, product: str, number: int) -> OfferVersion:
    """That version of an offer. Raises Missing."""
    key = offer_version.c
    found = (
        await tx.execute(
            select(offer_version).where(key.environment == environment, key.product == product, key.version == number)
        )
    ).first()
    if found is None:
        raise Missing("product version", f"{product}/{number}", subject=True)
    return row.load(OfferVersion, found)


async def versions(tx: AsyncConnection, environment: str, product: str) -> list[OfferVersion]:
    """Every version of an offer, oldest first."""
    rows = await tx.execute(
        select(offer_version)
        .where(offer_version.c.environment == environment, offer_version.c.product == product)
        .order_by(offer_version.c.version)
    )
    return [row.load(OfferVersion, found) for found in rows]


async def subscribe(tx: AsyncConnection, new: WalletSubscription) -> None:
    """Store a new subscription."""
    await tx.execute(insert(wallet_subscription).values(row.values(new, wallet_subscription, sequence=uuid7())))


async def save_subscription(tx: AsyncConnection, changed: WalletSubscription) -> None:
    """Store a changed subscription."""
    key = wallet_subscription.c
    await tx.execute(
        update(wallet_subscription)
        .where(key.customer_id == changed.customer_id, key.id == changed.id)
        .values(row.values(changed, wallet_subscription))
    )


async def subscriptions_of(tx: AsyncConnection, customer_ids: Iterable[UUID]) -> dict[UUID, list[WalletSubscription]]:
    """The subscriptions of several customers, oldest first."""
    among = wallet_subscription.c.customer_id.in_(list(customer_ids))
    found: dict[UUID, list[WalletSubscription]] = {}
    for each in await tx.execute(select(wallet_subscription).where(among).order_by(wallet_subscription.c.sequence)):
        found.setdefault(each.customer_id, []).append(row.load(WalletSubscription, each))
    return found


async def subscriptions(tx: AsyncConnection, customer_id: UUID, *, id: str | None = None) -> list[WalletSubscription]:
    """A customer's subscriptions, oldest first, or the one with that id."""
    query = select(wallet_subscription).where(wallet_subscription.c.customer_id == customer_id)
    if id is not None:
        query = query.where(wallet_subscription.c.id == id)
    rows = await tx.execute(query.order_by(wallet_subscription.c.sequence))
    return [row.load(WalletSubscription, found) for found in rows]


async def wake_waiting(connection: Connection, *, customer_id: UUID, at: datetime, clock: str | None) -> None:
    """Plan another look at the customer's subscriptions that wait for their fees: there is new value to pay them."""
    await connection.execute(_WAKE_WAITING, customer_id, at, uuid7(), clock, START)


_WAKE_WAITING = """
INSERT INTO due AS planned (environment, customer_id, kind, subject, boundary, due_at, sequence, clock)
SELECT waiting.environment, waiting.customer_id, $5, waiting.id, $2, $2, $3, $4
FROM wallet_subscription AS waiting
WHERE waiting.customer_id = $1 AND waiting.status = 'action_required' ORDER BY waiting.id
ON CONFLICT (customer_id, kind, subject, boundary) DO NOTHING
"""


async def subscribers(
    tx: AsyncConnection, environment: str, product: str, *, offset: int, limit: int
) -> tuple[list[WalletSubscription], int]:
    """Who is subscribed to an offer, oldest first, and how many they are."""
    among = wallet_subscription.c.products.contains([{"product": product}])
    scope = (wallet_subscription.c.environment == environment, wallet_subscription.c.status != "inactive", among)
    count = await tx.scalar(select(func.count()).select_from(wallet_subscription).where(*scope))
    rows = await tx.execute(
        select(wallet_subscription).where(*scope).order_by(wallet_subscription.c.sequence).offset(offset).limit(limit)
    )
    return [row.load(WalletSubscription, found) for found in rows], count or 0


async def end_tariffs(
    tx: AsyncConnection, *, customer_id: UUID, subscription: str, product: str | None = None, at: datetime
) -> None:
    """Usage from that instant on is no longer debited for the subscription: for one product of it, or for all."""
    key = wallet_tariff.c
    query = update(wallet_tariff).where(
        key.customer_id == customer_id, key.subscription == subscription, key.ends_at.is_(None)
    )
    if product is not None:
        query = query.where(key.product == product)
    await tx.execute(query.values(ends_at=at))


async def add_tariffs(tx: AsyncConnection, new: Iterable[Tariff]) -> None:
    """Debit usage by these prices."""
    rows = [row.values(each, wallet_tariff) for each in new]
    if rows:
        await tx.execute(insert(wallet_tariff), rows)


async def tariffs(connection: Connection, customer_ids: Iterable[UUID]) -> list[Tariff]:
    """What the usage of these customers is debited by."""
    rows = await connection.fetch(
        "SELECT environment, customer_id, subscription, price, sold, counter, rank, product, version, meter,"
        " volume_field, formula, asset, cadence, minimum, maximum, starts_at, ends_at, collection,"
        " windows::text AS windows FROM wallet_tariff"
        " WHERE customer_id = ANY($1::uuid[]) ORDER BY customer_id, starts_at, subscription, counter, rank",
        list(customer_ids),
    )
    return [Tariff(**(dict(found) | {"windows": _windows(found["windows"])})) for found in rows]


def _windows(text: str | None) -> Windows | None:
    return None if text is None else _decode_windows(text)


_decode_windows = msgspec.json.Decoder(Windows, strict=False).decode


async def prices(connection: Connection, environment: str, ids: Iterable[str]) -> dict[str, Price]:
    """Prices by id, on a bare connection. Their amounts never change."""
    rows = await connection.fetch(
        "SELECT environment, id, product, currency, model::text AS model, adjustment::text AS adjustment,"
        " recurring::text AS recurring, active, inline, nickname, lookup_key, tax_behavior,"
        " currency_options::text AS currency_options, metadata::text AS metadata, created"
        " FROM price WHERE environment = $1 AND id = ANY($2::text[])",
        environment,
        sorted(ids),
    )
    return {found["id"]: row.load(Price, _decoded(found)) for found in rows}


_DOCUMENTS = ("model", "adjustment", "recurring", "currency_options", "metadata")


def _decoded(found: asyncpg.Record) -> dict[str, Any]:
    documents = {name: None if found[name] is None else msgspec.json.decode(found[name]) for name in _DOCUMENTS}
    return dict(found) | documents


TallyKey: TypeAlias = tuple[UUID, str, str, str, datetime]
"""(customer, subscription, counter, cell, span)."""


class Tally(msgspec.Struct, frozen=True, gc=False):
    """How far usage has come in a span, and who pays what it costs: the wallet what is `paid`, an invoice the rest."""

    quantity: Decimal
    paid: Decimal = Decimal(0)
    uncovered: Decimal = Decimal(0)


async def tallies(connection: Connection, keys: Sequence[TallyKey]) -> dict[TallyKey, Tally]:
    """How far usage has come under these keys; unknown ones are left out."""
    if not keys:
        return {}
    rows = await connection.fetch(
        "SELECT customer_id, subscription, price, cell, span, quantity, paid, uncovered FROM wallet_tally"
        " WHERE (customer_id, subscription, price, cell, span) IN"
        " (SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::timestamptz[]))",
        *zip(*keys, strict=True),
    )
    return {(found[0], found[1], found[2], found[3], found[4]): Tally(found[5], found[6], found[7]) for found in rows}


async def save_tallies(connection: Connection, *, environment: str, reached: Mapping[TallyKey, Tally]) -> None:
    """Store how far usage has come."""
    if not reached:
        return
    rows = [(*key, *msgspec.structs.astuple(reached[key])) for key in sorted(reached)]
    await connection.execute(
        "INSERT INTO wallet_tally (environment, customer_id, subscription, price, cell, span, quantity, paid,"
        " uncovered) SELECT $1, * FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::timestamptz[],"
        " $7::numeric[], $8::numeric[], $9::numeric[])"
        " ON CONFLICT (customer_id, subscription, price, cell, span) DO UPDATE"
        " SET quantity = excluded.quantity, paid = excluded.paid, uncovered = excluded.uncovered",
        environment,
        *zip(*rows, strict=True),
    )


async def carry_tallies(connection: Connection, to: Tariff, *, counters: Iterable[str], span: datetime) -> None:
    """Let a tariff's tiers of a span go on from where those of earlier `counters` of its subscription stand."""
    await connection.execute(
        "INSERT INTO wallet_tally (environment, customer_id, subscription, price, cell, span, quantity)"
        " SELECT environment, customer_id, subscription, $4, cell, span, max(quantity) FROM wallet_tally"
        " WHERE customer_id = $1 AND subscription = $2 AND price = ANY($3::text[]) AND span = $5"
        " GROUP BY environment, customer_id, subscription, cell, span"
        " ON CONFLICT (customer_id, subscription, price, cell, span) DO UPDATE SET quantity = excluded.quantity",
        to.customer_id,
        to.subscription,
        sorted(counters),
        to.counter,
        span,
    )


class Fee(msgspec.Struct, frozen=True, gc=False):
    """What one event cost under one price, and what the wallet paid of it; the quantities are before and after it."""

    customer_id: UUID
    occurred_at: datetime
    identifier16: UUID
    price: str
    subscription: str
    product: str
    version: int
    cell: str
    before: Decimal | None
    after: Decimal
    asset: str
    amount: Decimal
    transaction: int | None
    paid: Decimal
    span: datetime


async def fees_of(connection: Connection, *, customer_id: UUID, identifiers16: Sequence[UUID]) -> list[Fee]:
    """What events cost, by their identifiers alone: for the rare caller who does not know when they happened."""
    rows = await connection.fetch(
        "SELECT customer_id, occurred_at, identifier16, price, subscription, product, version, cell, before, after,"
        " asset, amount, transaction, paid, span FROM usage_fee"
        " WHERE customer_id = $1 AND identifier16 = ANY($2::uuid[]) ORDER BY occurred_at, price",
        customer_id,
        list(identifiers16),
    )
    return [Fee(*found) for found in rows]


async def fees_booked(
    connection: Connection, *, customer_id: UUID, occurred_at: Sequence[datetime], transactions: Sequence[int]
) -> list[Fee]:
    """What the events cost that happened at these instants and were booked under these transactions."""
    rows = await connection.fetch(
        "SELECT customer_id, occurred_at, identifier16, price, subscription, product, version, cell, before, after,"
        " asset, amount, transaction, paid, span FROM usage_fee"
        " WHERE customer_id = $1 AND occurred_at = ANY($2::timestamptz[])"
        " AND transaction = ANY($3::int8[]) ORDER BY transaction, price",
        customer_id,
        list(occurred_at),
        list(transactions),
    )
    return [Fee(*found) for found in rows]
