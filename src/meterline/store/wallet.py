"""Wallets: settings, grants, holds, and what was answered to each operation. The books hold the amounts.

Everything here is done under the lock on the customer's books (`store.ledger.lock`), which is the wallet's lock too.
The statements are hand-written: most of them run once per batch of events.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from meterline.money import add
from meterline.refusal import Conflict
from meterline.store import schema
from meterline.store.identifier import uuid7
from meterline.store.ledger import AMOUNT, Connection
from meterline.wallet.grant import Grant
from meterline.wallet.hold import Hold
from meterline.wallet.pocket import Pocket, Status, in_order

wallet = Table(
    "wallet",
    schema.metadata,
    schema.environment(),
    schema.customer_id(),
    Column("status", Text, nullable=False),
    Column("overdraft_limit", AMOUNT, nullable=False),
    Column("external_accounts", JSONB(none_as_null=True)),
    schema.instant("created", nullable=False),
    PrimaryKeyConstraint("customer_id"),
)

wallet_grant = Table(
    "wallet_grant",
    schema.metadata,
    schema.environment(),
    schema.customer_id(),
    schema.public_id(),
    schema.sequence(),
    Column("asset", Text, nullable=False),
    Column("funding", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("granted", AMOUNT, nullable=False),
    Column("remaining", AMOUNT, nullable=False),
    Column("held", AMOUNT, nullable=False),
    Column("priority", Integer, nullable=False),
    schema.instant("effective_at", nullable=False),
    schema.instant("expires_at"),
    schema.instant("created", nullable=False),
    schema.document("scope"),
    Column("source", Text),
    Column("lapsed", Boolean, nullable=False),
    PrimaryKeyConstraint("customer_id", "id"),
    CheckConstraint("0 <= held AND held <= remaining AND remaining <= granted", name="bounds"),
    Index("ix_wallet_grant_left", "customer_id", "asset", postgresql_where=text("remaining > 0")),
    postgresql_with={"fillfactor": 50},
)

wallet_hold = Table(
    "wallet_hold",
    schema.metadata,
    schema.environment(),
    schema.customer_id(),
    schema.public_id(),
    Column("asset", Text, nullable=False),
    Column("authorized", AMOUNT, nullable=False),
    schema.document("slices"),
    Column("shortage", AMOUNT, nullable=False),
    Column("captured", AMOUNT, nullable=False),
    Column("uncovered", AMOUNT, nullable=False),
    Column("status", Text, nullable=False),
    Column("policy", Text, nullable=False),
    schema.document("marks"),
    Column("subject", Text),
    schema.instant("created", nullable=False),
    schema.instant("expires_at", nullable=False),
    PrimaryKeyConstraint("customer_id", "id"),
    Index("ix_wallet_hold_open", "customer_id", postgresql_where=text("status = 'open'")),
)

wallet_operation = Table(
    "wallet_operation",
    schema.metadata,
    schema.environment(),
    schema.customer_id(),
    schema.public_id(),
    schema.sequence(),
    Column("kind", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("refused", Boolean, nullable=False),
    schema.document("outcome"),
    schema.instant("created", nullable=False),
    PrimaryKeyConstraint("customer_id", "id"),
    Index("ix_wallet_operation_sequence", "customer_id", "sequence"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wallet:
    """The settings of a customer's wallet.

    `overdraft_limit` is how far each asset may be spent below zero. Usage that already happened is recorded
    whatever it costs; what is about to happen never goes beyond the limit.
    """

    environment: str
    customer_id: UUID
    status: Status = "active"
    overdraft_limit: Decimal = Decimal(0)
    created: datetime


class Operation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a caller's id was used for, and what was answered."""

    id: str
    kind: str
    digest: bytes
    refused: bool
    outcome: dict[str, Any]
    created: datetime


async def open_(connection: Connection, new: Wallet) -> bool:
    """Give a customer a wallet; False when there is one."""
    done: str = await connection.execute(
        "INSERT INTO wallet (environment, customer_id, status, overdraft_limit, created)"
        " VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
        new.environment,
        new.customer_id,
        new.status,
        new.overdraft_limit,
        new.created,
    )
    return done.endswith(" 1")


async def save(connection: Connection, changed: Wallet) -> None:
    """Store changed settings."""
    await connection.execute(
        "UPDATE wallet SET status = $2, overdraft_limit = $3 WHERE customer_id = $1",
        changed.customer_id,
        changed.status,
        changed.overdraft_limit,
    )


async def set_external_accounts(connection: Connection, customer_id: UUID, told: Sequence[Mapping[str, str]]) -> None:
    """Keep by what names the customer goes in other systems."""
    await connection.execute(
        "UPDATE wallet SET external_accounts = $2::jsonb WHERE customer_id = $1",
        customer_id,
        msgspec.json.encode(told).decode(),
    )


async def external_accounts(connection: Connection, customer_id: UUID) -> list[dict[str, str]]:
    """By what names the customer goes in other systems."""
    found = await connection.fetchval("SELECT external_accounts::text FROM wallet WHERE customer_id = $1", customer_id)
    told: list[dict[str, str]] = [] if found is None else msgspec.json.decode(found)
    return told


async def find(connection: Connection, customer_ids: Iterable[UUID]) -> dict[UUID, Wallet]:
    """The wallets of these customers; those without one are left out."""
    rows = await connection.fetch(
        "SELECT environment, customer_id, status, overdraft_limit, created FROM wallet"
        " WHERE customer_id = ANY($1::uuid[])",
        list(customer_ids),
    )
    return {row["customer_id"]: msgspec.convert(dict(row), Wallet) for row in rows}


async def clocks(connection: Connection, customer_ids: Iterable[UUID]) -> dict[UUID, datetime | None]:
    """Which of these customers have a wallet, each with the frozen time of the test clock they live on, if any."""
    rows = await connection.fetch(
        "SELECT wallet.customer_id, test_clock.frozen_time FROM wallet"
        " JOIN customer ON customer.customer_id = wallet.customer_id"
        " LEFT JOIN test_clock ON test_clock.environment = customer.environment"
        " AND test_clock.id = customer.test_clock WHERE wallet.customer_id = ANY($1::uuid[])",
        list(customer_ids),
    )
    return {row[0]: row[1] for row in rows}


_GRANT = (
    "id, sequence, asset, funding, purpose, granted, remaining, held, priority, effective_at, expires_at, created,"
    " scope::text AS scope, source, lapsed"
)


async def pockets(connection: Connection, wallets: Mapping[UUID, Wallet]) -> dict[tuple[UUID, str], Pocket]:
    """The pockets of these wallets by customer and asset; an asset never touched has none.

    Grants with nothing left are left out. The caller holds the lock on the books, or is content with a look.
    """
    customer_ids = list(wallets)
    accounts = await connection.fetch(
        "SELECT customer_id, asset, CASE kind WHEN 'debt' THEN -posted ELSE 0 END AS debt,"
        " CASE kind WHEN 'lent' THEN -posted ELSE 0 END AS lent FROM ledger_account"
        " WHERE customer_id = ANY($1::uuid[]) AND kind IN ('debt', 'lent', 'paid', 'promotional')",
        customer_ids,
    )
    grants = await connection.fetch(
        f"SELECT customer_id, {_GRANT} FROM wallet_grant WHERE customer_id = ANY($1::uuid[]) AND remaining > 0",
        customer_ids,
    )
    held: dict[tuple[UUID, str], list[Grant]] = {}
    owed: dict[tuple[UUID, str], Decimal] = {}
    lent: dict[tuple[UUID, str], Decimal] = {}
    for row in accounts:
        key = (row["customer_id"], row["asset"])
        held[key] = []
        owed[key] = add(owed.get(key, Decimal(0)), row["debt"])
        lent[key] = add(lent.get(key, Decimal(0)), row["lent"])
    for row in grants:
        held.setdefault((row["customer_id"], row["asset"]), []).append(_grant(row))
    return {
        (customer_id, asset): Pocket(
            asset=asset,
            grants=in_order(of_asset),
            debt=owed.get((customer_id, asset), Decimal(0)),
            lent=lent.get((customer_id, asset), Decimal(0)),
            overdraft_limit=wallets[customer_id].overdraft_limit,
        )
        for (customer_id, asset), of_asset in held.items()
    }


def _grant(row: asyncpg.Record) -> Grant:
    return Grant(
        id=row["id"],
        asset=row["asset"],
        funding=row["funding"],
        purpose=row["purpose"],
        granted=row["granted"],
        remaining=row["remaining"],
        held=row["held"],
        priority=row["priority"],
        effective_at=row["effective_at"],
        expires_at=row["expires_at"],
        created=row["created"],
        sequence=row["sequence"],
        scope=tuple(msgspec.json.decode(row["scope"])),
        source=row["source"],
        lapsed=row["lapsed"],
    )


async def grants(
    connection: Connection, customer_id: UUID, *, ids: Sequence[str] | None = None, asset: str | None = None
) -> list[Grant]:
    """A customer's grants, used up and lapsed ones included, in order of creation."""
    rows = await connection.fetch(
        f"SELECT {_GRANT} FROM wallet_grant WHERE customer_id = $1"
        " AND ($2::text[] IS NULL OR id = ANY($2)) AND ($3::text IS NULL OR asset = $3) ORDER BY sequence",
        customer_id,
        ids,
        asset,
    )
    return [_grant(row) for row in rows]


class Touched(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One pocket before and after, of one customer."""

    customer_id: UUID
    before: Pocket
    after: Pocket


async def write(connection: Connection, *, environment: str, touched: Iterable[Touched]) -> None:
    """Store the grants that are new or changed; grants are never removed."""
    new: list[tuple[UUID, Grant]] = []
    changed: list[tuple[UUID, Grant]] = []
    for each in touched:
        if each.after.grants is each.before.grants:
            continue
        known = {grant.id: grant for grant in each.before.grants}
        for grant in each.after.grants:
            if grant.id not in known:
                new.append((each.customer_id, grant))
            elif known[grant.id] != grant:
                changed.append((each.customer_id, grant))
    if changed:
        rows = [
            (customer_id, grant.id, grant.remaining, grant.held, grant.expires_at, grant.lapsed)
            for customer_id, grant in sorted(changed, key=lambda each: (each[0], each[1].id))
        ]
        await connection.execute(_CHANGE_GRANTS, *zip(*rows, strict=True))
    for customer_id, grant in new:
        await _add_grant(connection, environment, customer_id, grant)


_CHANGE_GRANTS = """
UPDATE wallet_grant SET remaining = new.remaining, held = new.held, expires_at = new.expires_at, lapsed = new.lapsed
FROM unnest($1::uuid[], $2::text[], $3::numeric[], $4::numeric[], $5::timestamptz[], $6::bool[])
    AS new (customer_id, id, remaining, held, expires_at, lapsed)
WHERE wallet_grant.customer_id = new.customer_id AND wallet_grant.id = new.id
"""


async def _add_grant(connection: Connection, environment: str, customer_id: UUID, grant: Grant) -> None:
    """Store a new grant. Raises Conflict for an id that another grant of the customer has."""
    done: str = await connection.execute(
        "INSERT INTO wallet_grant (environment, customer_id, id, sequence, asset, funding, purpose, granted,"
        " remaining, held, priority, effective_at, expires_at, created, scope, source, lapsed)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15::text::jsonb, $16, $17)"
        " ON CONFLICT DO NOTHING",
        environment,
        customer_id,
        grant.id,
        grant.sequence,
        grant.asset,
        grant.funding,
        grant.purpose,
        grant.granted,
        grant.remaining,
        grant.held,
        grant.priority,
        grant.effective_at,
        grant.expires_at,
        grant.created,
        _json(grant.scope),
        grant.source,
        grant.lapsed,
    )
    if done.endswith(" 0"):
        raise Conflict(f"The customer has another grant with the id '{grant.id}'.", code="id_conflict")


_HOLD = (
    "id, asset, authorized, slices::text AS slices, shortage, captured, uncovered, status, policy,"
    " marks::text AS marks, subject, created, expires_at"
)


_HOLD_FIELDS = (
    "id",
    "asset",
    "authorized",
    "shortage",
    "captured",
    "uncovered",
    "status",
    "policy",
    "subject",
    "created",
    "expires_at",
)


async def hold(connection: Connection, customer_id: UUID, id: str) -> Hold | None:
    """The hold that the caller made under that id."""
    return (await holds(connection, [(customer_id, id)])).get((customer_id, id))


async def holds(connection: Connection, keys: Sequence[tuple[UUID, str]]) -> dict[tuple[UUID, str], Hold]:
    """The holds of these customers and ids; those that were never made are left out."""
    rows = await connection.fetch(
        f"SELECT customer_id, {_HOLD} FROM wallet_hold WHERE (customer_id, id) IN"
        " (SELECT * FROM unnest($1::uuid[], $2::text[]))",
        [key[0] for key in keys],
        [key[1] for key in keys],
    )
    return {(row["customer_id"], row["id"]): _hold(row) for row in rows}


async def open_holds(connection: Connection, customer_id: UUID) -> list[Hold]:
    """The holds that have not ended, oldest first."""
    rows = await connection.fetch(
        f"SELECT {_HOLD} FROM wallet_hold WHERE customer_id = $1 AND status = 'open' ORDER BY created, id", customer_id
    )
    return [_hold(row) for row in rows]


def _hold(row: asyncpg.Record) -> Hold:
    nested = {"slices": msgspec.json.decode(row["slices"]), "marks": msgspec.json.decode(row["marks"])}
    return msgspec.convert({name: row[name] for name in _HOLD_FIELDS} | nested, Hold, strict=False)


async def save_holds(connection: Connection, *, environment: str, rows: Sequence[tuple[UUID, Hold]]) -> None:
    """Store new or changed holds of these customers, whose books the caller has locked."""
    ordered = sorted(rows, key=lambda row: (row[0], row[1].id))
    await connection.execute(
        "INSERT INTO wallet_hold (environment, customer_id, id, asset, authorized, slices, shortage, captured,"
        " uncovered, status, policy, marks, subject, created, expires_at)"
        " SELECT $1, customer_id, id, asset, authorized, slices::jsonb, shortage, captured, uncovered, status, policy,"
        " marks::jsonb, subject, created, expires_at FROM unnest($2::uuid[], $3::text[], $4::text[], $5::numeric[],"
        " $6::text[], $7::numeric[], $8::numeric[], $9::numeric[], $10::text[], $11::text[], $12::text[], $13::text[],"
        " $14::timestamptz[], $15::timestamptz[]) AS new (customer_id, id, asset, authorized, slices, shortage,"
        " captured, uncovered, status, policy, marks, subject, created, expires_at)"
        " ON CONFLICT (customer_id, id) DO UPDATE SET authorized = excluded.authorized, slices = excluded.slices,"
        " shortage = excluded.shortage, captured = excluded.captured, uncovered = excluded.uncovered,"
        " status = excluded.status, expires_at = excluded.expires_at",
        environment,
        [owner for owner, _ in ordered],
        [each.id for _, each in ordered],
        [each.asset for _, each in ordered],
        [each.authorized for _, each in ordered],
        [_json(each.slices) for _, each in ordered],
        [each.shortage for _, each in ordered],
        [each.captured for _, each in ordered],
        [each.uncovered for _, each in ordered],
        [each.status for _, each in ordered],
        [each.policy for _, each in ordered],
        [_json(each.marks) for _, each in ordered],
        [each.subject for _, each in ordered],
        [each.created for _, each in ordered],
        [each.expires_at for _, each in ordered],
    )


async def plan_expiries(
    connection: Connection, *, environment: str, kind: str, rows: Sequence[tuple[UUID, Hold, str | None]]
) -> None:
    """Let the worker end these holds when their time is over, each by its customer's clock (wall clock if None)."""
    ordered = sorted(rows, key=lambda row: (row[0], row[1].id))
    await connection.execute(
        "INSERT INTO due (environment, customer_id, kind, subject, boundary, due_at, sequence, clock)"
        " SELECT $1, customer_id, $2, id, expires_at, expires_at, sequence, clock"
        " FROM unnest($3::uuid[], $4::text[], $5::timestamptz[], $6::uuid[], $7::text[])"
        " AS new (customer_id, id, expires_at, sequence, clock) ON CONFLICT DO NOTHING",
        environment,
        kind,
        [owner for owner, _, _ in ordered],
        [each.id for _, each, _ in ordered],
        [each.expires_at for _, each, _ in ordered],
        [uuid7() for _ in ordered],
        [clock for _, _, clock in ordered],
    )


async def drop_expiries(connection: Connection, *, kind: str, keys: Iterable[tuple[UUID, str]]) -> None:
    """These holds ended by themselves, or live longer: what was planned for them is off."""
    ordered = sorted(keys)
    await connection.execute(
        "DELETE FROM due USING unnest($2::uuid[], $3::text[]) AS ended (customer_id, id)"
        " WHERE due.customer_id = ended.customer_id AND due.kind = $1 AND due.subject = ended.id",
        kind,
        [owner for owner, _ in ordered],
        [id for _, id in ordered],
    )


async def operations(connection: Connection, keys: Sequence[tuple[UUID, str]]) -> dict[tuple[UUID, str], Operation]:
    """What the ids of these customers were used for; those that never were are left out."""
    rows = await connection.fetch(
        "SELECT customer_id, id, kind, digest, refused, outcome::text AS outcome, created FROM wallet_operation"
        " WHERE (customer_id, id) IN (SELECT * FROM unnest($1::uuid[], $2::text[]))",
        [key[0] for key in keys],
        [key[1] for key in keys],
    )
    return {
        (row["customer_id"], row["id"]): Operation(
            id=row["id"],
            kind=row["kind"],
            digest=row["digest"],
            refused=row["refused"],
            outcome=msgspec.json.decode(row["outcome"]),
            created=row["created"],
        )
        for row in rows
    }


async def remember(connection: Connection, *, environment: str, rows: Sequence[tuple[UUID, Operation]]) -> None:
    """Keep what was answered under these ids of these customers, for as long as the customers exist."""
    await connection.execute(
        "INSERT INTO wallet_operation (environment, customer_id, id, sequence, kind, digest, refused, outcome, created)"
        " SELECT $1, customer_id, id, sequence, kind, digest, refused, outcome::jsonb, created"
        " FROM unnest($2::uuid[], $3::text[], $4::uuid[], $5::text[], $6::bytea[], $7::bool[], $8::text[],"
        " $9::timestamptz[]) AS new (customer_id, id, sequence, kind, digest, refused, outcome, created)",
        environment,
        [owner for owner, _ in rows],
        [each.id for _, each in rows],
        [uuid7() for _ in rows],
        [each.kind for _, each in rows],
        [each.digest for _, each in rows],
        [each.refused for _, each in rows],
        [_json(each.outcome) for _, each in rows],
        [each.created for _, each in rows],
    )


async def living(connection: Connection, customer_ids: Iterable[UUID]) -> set[UUID]:
    """Which of these customers are there still."""
    rows = await connection.fetch(
        "SELECT customer_id FROM customer WHERE customer_id = ANY($1::uuid[]) AND NOT deleted", list(customer_ids)
    )
    return {row[0] for row in rows}


async def budgeted(connection: Connection, customer_ids: Iterable[UUID]) -> set[UUID]:
    """Which of these customers, whose books the caller has locked, have budgets, or had some while they held value."""
    rows = await connection.fetch(
        "SELECT id FROM unnest($1::uuid[]) AS of (id)"
        " WHERE EXISTS (SELECT FROM budget WHERE budget.customer_id = of.id)"
        " OR EXISTS (SELECT FROM budget_reservation r WHERE r.customer_id = of.id)",
        list(customer_ids),
    )
    return {row[0] for row in rows}


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
