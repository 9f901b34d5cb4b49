"""Top-ups, the rules by which wallets recharge themselves, and why they did or did not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, TypeAlias
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, PrimaryKeyConstraint, Table, Text, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.refusal import Missing
from meterline.store import public_id, schema
from meterline.store.database import driver
from meterline.store.identifier import uuid7
from meterline.store.kept import Kept
from meterline.store.ledger import AMOUNT, Connection
from meterline.wallet.recharge import DAY, RechargeHistory, RechargeRule

KIND = "top_up"

RECHARGE = "recharge_wallet"
"""The kind of due work that looks at a wallet that fell below its threshold."""

LOOK = datetime(1970, 1, 1, tzinfo=UTC)
"""The boundary of every such work: there is one at most."""

top_up = Table(
    "top_up",
    schema.metadata,
    schema.environment(),
    schema.customer_id(),
    schema.public_id(),
    schema.sequence(),
    Column("status", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("price", BigInteger, nullable=False),
    Column("asset", Text, nullable=False),
    Column("amount", AMOUNT, nullable=False),
    Column("description", Text),
    Column("secret", Text, nullable=False),
    Column("return_url", Text),
    Column("failure_url", Text),
    Column("payment", Text, nullable=False),
    Column("failure", Text),
    Column("automatic", Boolean, nullable=False),
    schema.instant("credit_expires_at"),
    schema.document("metadata"),
    schema.instant("created", nullable=False),
    schema.instant("expires_at", nullable=False),
    schema.instant("settled_at"),
    PrimaryKeyConstraint("customer_id", "id"),
    Index("ix_top_up_customer", "customer_id", "asset", "sequence"),
)

recharge_rule = Table(
    "recharge_rule",
    schema.metadata,
    schema.environment(),
    schema.customer_id(),
    Column("asset", Text, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("threshold", AMOUNT, nullable=False),
    Column("target", AMOUNT, nullable=False),
    Column("monthly_cap", AMOUNT),
    Column("most_per_day", Integer, nullable=False),
    Column("cool_off_s", Integer, nullable=False),
    Column("payment_method", Text),
    PrimaryKeyConstraint("customer_id", "asset"),
)

recharge_log = Table(
    "recharge_log",
    schema.metadata,
    schema.environment(),
    schema.customer_id(),
    schema.sequence(),
    Column("asset", Text, nullable=False),
    Column("decision", Text, nullable=False),
    Column("available", AMOUNT, nullable=False),
    Column("amount", AMOUNT),
    Column("top_up", Text),
    schema.instant("again_at"),
    schema.instant("created", nullable=False),
    PrimaryKeyConstraint("customer_id", "sequence"),
)

Status: TypeAlias = Literal["initiated", "pending", "succeeded", "failed", "expired"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUp:
    """Money asked for a wallet: `price` in minor units of `currency` buys `amount` of `asset`.

    `secret` opens the hosted page. `payment` is the payment that takes the money.
    """

    environment: str
    customer_id: UUID
    id: str
    status: Status
    currency: str
    price: int
    asset: str
    amount: Decimal
    description: str | None
    secret: str
    return_url: str | None
    failure_url: str | None
    payment: str
    failure: str | None = None
    automatic: bool = False
    credit_expires_at: datetime | None = None
    metadata: Mapping[str, Any]
    created: datetime
    expires_at: datetime
    settled_at: datetime | None = None


_top_ups = Kept(top_up, TopUp, KIND)
add, save, lock = _top_ups.add, _top_ups.save, _top_ups.lock


async def find(tx: AsyncConnection, environment: str, id: str) -> TopUp:
    """The top-up of that id. Raises Missing."""
    found = (await _top_ups.find(tx, environment, [id])).get(id)
    if found is None:
        raise Missing("top-up", id, subject=True)
    return found


async def find_all(tx: AsyncConnection, environment: str, ids: Sequence[str]) -> dict[str, TopUp]:
    """The top-ups with those ids; unknown ones are left out."""
    return await _top_ups.find(tx, environment, ids)


async def on_their_way(tx: AsyncConnection, customer_id: UUID) -> dict[str, Decimal]:
    """How much of each asset the customer paid for, of which the processor has not said that the money arrived."""
    key = top_up.c
    rows = await tx.execute(
        select(key.asset, func.sum(key.amount))
        .where(key.customer_id == customer_id, key.status == "pending")
        .group_by(key.asset)
    )
    return {row.asset: row[1] for row in rows}


async def rule(tx: AsyncConnection, customer_id: UUID, asset: str) -> RechargeRule | None:
    """By which the wallet recharges that asset."""
    found = (
        await tx.execute(
            select(recharge_rule).where(recharge_rule.c.customer_id == customer_id, recharge_rule.c.asset == asset)
        )
    ).first()
    if found is None:
        return None
    return RechargeRule(
        enabled=found.enabled,
        threshold=found.threshold,
        target=found.target,
        monthly_cap=found.monthly_cap,
        most_per_day=found.most_per_day,
        cool_off=timedelta(seconds=found.cool_off_s),
        payment_method=found.payment_method,
    )


async def put_rule(tx: AsyncConnection, *, environment: str, customer_id: UUID, asset: str, new: RechargeRule) -> None:
    """Set the rule of that asset."""
    values = {
        "enabled": new.enabled,
        "threshold": new.threshold,
        "target": new.target,
        "monthly_cap": new.monthly_cap,
        "most_per_day": new.most_per_day,
        "cool_off_s": int(new.cool_off.total_seconds()),
        "payment_method": new.payment_method,
    }
    statement = insert(recharge_rule).values(environment=environment, customer_id=customer_id, asset=asset, **values)
    await tx.execute(statement.on_conflict_do_update(index_elements=["customer_id", "asset"], set_=values))


async def history(tx: AsyncConnection, customer_id: UUID, asset: str, *, now: datetime) -> RechargeHistory:
    """What the wallet's automatic top-ups of that asset came to."""
    mine = (top_up.c.customer_id == customer_id, top_up.c.asset == asset, top_up.c.automatic)
    month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    rows = (
        await tx.execute(
            select(top_up.c.status, top_up.c.amount, top_up.c.created)
            .where(*mine, top_up.c.created >= min(month, now - DAY))
            .order_by(top_up.c.sequence.desc())
        )
    ).all()
    latest = (
        await tx.execute(
            select(top_up.c.status, top_up.c.created).where(*mine).order_by(top_up.c.sequence.desc()).limit(10)
        )
    ).all()
    declines = next((n for n, each in enumerate(latest) if each.status == "succeeded"), len(latest))
    won = next((each.created for each in latest if each.status == "succeeded"), None)
    used = await _last_debit(tx, customer_id, asset)
    return RechargeHistory(
        debited_since=won is None or (used is not None and used > won),
        in_flight=sum((each.amount for each in rows if each.status in ("initiated", "pending")), Decimal(0)),
        last_attempt=latest[0].created if latest else None,
        declines=declines,
        last_24_hours=sum(1 for each in rows if each.created > now - DAY),
        this_month=sum(
            (each.amount for each in rows if each.status == "succeeded" and each.created >= month), Decimal(0)
        ),
    )


async def _last_debit(tx: AsyncConnection, customer_id: UUID, asset: str) -> datetime | None:
    """When usage or a fee last left the wallet, in the customer's time."""
    found: datetime | None = await (await driver(tx)).fetchval(
        "SELECT business_at FROM ledger_transfer WHERE customer_id = $1 AND asset = $2 AND credit = 'revenue'"
        " ORDER BY transaction DESC LIMIT 1",
        customer_id,
        asset,
    )
    return found


async def wake(connection: Connection, seen: Sequence[tuple[UUID, str, Decimal, datetime]]) -> None:
    """Plan a look at the wallets that fell below their threshold: (customer, asset, available, customer's time).

    One look per pocket is planned at most, however many debits ask for it; one that was given up is tried again.
    """
    rows = [(*each, uuid7()) for each in sorted(seen, key=lambda each: each[:2])]
    if rows:
        await connection.execute(_WAKE, *zip(*rows, strict=True), RECHARGE, LOOK)


_WAKE = """
INSERT INTO due AS planned (environment, customer_id, kind, subject, boundary, due_at, sequence, clock)
SELECT rule.environment, rule.customer_id, $6, rule.asset, $7, seen.at, seen.sequence, customer.test_clock
FROM unnest($1::uuid[], $2::text[], $3::numeric[], $4::timestamptz[], $5::uuid[])
    AS seen (customer_id, asset, available, at, sequence)
JOIN recharge_rule AS rule ON rule.customer_id = seen.customer_id AND rule.asset = seen.asset
JOIN customer ON customer.customer_id = rule.customer_id
WHERE rule.enabled AND seen.available < rule.threshold
ON CONFLICT (customer_id, kind, subject, boundary) DO UPDATE
SET due_at = excluded.due_at, attempts = 0, claimed_until = NULL, failed_at = NULL, last_error = NULL
WHERE planned.failed_at IS NOT NULL
"""


async def log(
    tx: AsyncConnection,
    *,
    environment: str,
    customer_id: UUID,
    asset: str,
    decision: str,
    available: Decimal,
    amount: Decimal | None = None,
    top_up_id: str | None = None,
    again_at: datetime | None = None,
    now: datetime,
) -> None:
    """Keep why a wallet did or did not recharge."""
    await tx.execute(
        insert(recharge_log).values(
            environment=environment,
            customer_id=customer_id,
            sequence=uuid7(),
            asset=asset,
            decision=decision,
            available=available,
            amount=amount,
            top_up=top_up_id,
            again_at=again_at,
            created=now,
        )
    )


async def logged(tx: AsyncConnection, customer_id: UUID, asset: str, *, limit: int = 50) -> list[dict[str, Any]]:
    """The latest decisions, newest first."""
    key = recharge_log.c
    rows = await tx.execute(
        select(key.decision, key.available, key.amount, key.top_up, key.again_at, key.created)
        .where(key.customer_id == customer_id, key.asset == asset)
        .order_by(key.sequence.desc())
        .limit(limit)
    )
    return [dict(each) for each in rows.mappings()]


async def environments(tx: AsyncConnection, id: str) -> list[str]:
    """The environments that have a top-up of that id: one, for any real id."""
    ids = public_id.public_id.c
    return list(await tx.scalars(select(ids.environment).where(ids.id == id, ids.kind == KIND)))
