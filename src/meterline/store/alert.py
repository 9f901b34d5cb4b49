"""Alerts and how customers stand under them.

Watches are made when usage first concerns them and kept up in the transactions that store usage. `rearm` lets them
be read again in full: after a subscription changed (other window, other allowance) or usage was taken back.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy import (
    Column,
    ColumnElement,
    Index,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
    func,
    or_,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.dialects.postgresql import UUID as UUID_COLUMN
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.limit.alert import INCLUDED_USAGE, MOST_PER_CUSTOMER, Alert, Watch
from meterline.limit.allowance import included
from meterline.refusal import Missing, Refusal
from meterline.store import catalog_version, due, schema
from meterline.store.database import driver
from meterline.store.identifier import uuid7
from meterline.store.page import Cursor, Page, page
from meterline.store.price import model_of
from meterline.store.row import load, values
from meterline.store.side_by_side import ask_late

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"

alert = Table(
    "alert",
    schema.metadata,
    schema.environment(),
    schema.public_id(),
    schema.sequence(),
    Column("title", Text, nullable=False),
    Column("measure", Text, nullable=False),
    Column("unit", Text, nullable=False),
    schema.document("levels"),
    Column("recurrence", Text, nullable=False),
    Column("meter", Text),
    Column("asset", Text),
    Column("customer", Text),
    Column("customer_id", UUID_COLUMN(as_uuid=True)),
    Column("status", Text, nullable=False),
    schema.document("emails"),
    schema.instant("created", nullable=False),
    schema.instant("updated", nullable=False),
    PrimaryKeyConstraint("environment", "id"),
    Index("ix_alert_sequence", "environment", "sequence"),
    Index("ix_alert_customer", "environment", "customer_id", postgresql_where=text("customer_id IS NOT NULL")),
)

alert_watch = Table(
    "alert_watch",
    schema.metadata,
    schema.environment(),
    schema.customer_id(),
    Column("meter", Text, nullable=False),
    Column("alert", Text, nullable=False),
    Column("customer", Text, nullable=False),
    Column("test_clock", Text),
    schema.instant("window_start", nullable=False),
    schema.instant("window_end"),
    Column("size", Numeric),
    Column("value", Numeric),
    Column("crossed", ARRAY(Numeric), nullable=False),
    PrimaryKeyConstraint("customer_id", "meter", "alert"),
)


def included_usage(environment: str) -> Alert:
    """The alert that every environment begins with: 80, 95 and 100 % of included usage, each period."""
    never = datetime(2000, 1, 1, tzinfo=UTC)
    return Alert(
        environment=environment,
        id=INCLUDED_USAGE,
        sequence=UUID(int=0),
        title="Included usage",
        measure="allowance",
        unit="percent",
        levels=(Decimal(80), Decimal(95), Decimal(100)),
        recurrence="period",
        created=never,
        updated=never,
    )


async def add(tx: AsyncConnection, new: Alert) -> None:
    """Store an alert. Refuses one more than 25 that apply to the same meter and customer."""
    await catalog_version.bump(tx, new.environment)
    same = (
        alert.c.environment == new.environment,
        alert.c.meter.is_(None) if new.meter is None else or_(alert.c.meter == new.meter, alert.c.meter.is_(None)),
        alert.c.status != "archived",
    )
    mine: ColumnElement[bool] = alert.c.customer_id.is_(None)
    if new.customer_id is not None:
        mine = or_(mine, alert.c.customer_id == new.customer_id)
    count = await tx.scalar(select(func.count()).select_from(alert).where(*same, mine))
    if count is not None and count >= MOST_PER_CUSTOMER:
        raise Refusal(f"You have reached the maximum of {MOST_PER_CUSTOMER} alerts for this meter and customer.")
    await tx.execute(insert(alert).values(values(new, alert)))


async def get(tx: AsyncConnection, environment: str, id: str) -> Alert:
    """The alert of that id, locked until the transaction ends. Raises Missing (the call's own subject)."""
    query = select(alert).where(alert.c.environment == environment, alert.c.id == id)
    found = (await tx.execute(query.with_for_update())).one_or_none()
    if found is not None:
        return load(Alert, found)
    if id == INCLUDED_USAGE:
        return included_usage(environment)
    raise Missing("alert", id, param="id", subject=True)


async def save(tx: AsyncConnection, changed: Alert) -> None:
    """Write a changed alert back; the one that every environment begins with gets its row by this."""
    await catalog_version.bump(tx, changed.environment)
    row = values(changed, alert)
    await tx.execute(insert(alert).values(row).on_conflict_do_update(index_elements=["environment", "id"], set_=row))


async def listed(
    tx: AsyncConnection,
    environment: str,
    cursor: Cursor,
    *,
    meter: str | None = None,
    one_time: bool = False,
) -> Page:
    """A page of alerts that are not archived, newest first; only those that fire once, or all."""
    scope = alert.c.environment == environment
    query = select(alert).where(scope, alert.c.status != "archived")
    if one_time:
        query = query.where(alert.c.recurrence == "one_time")
    if meter is not None:
        query = query.where(alert.c.meter == meter)
    return await page(tx, query, alert, kind="alert", scope=scope, cursor=cursor)


async def on_balances(connection: Connection, environment: str) -> list[Alert]:
    """The alerts on balances in force."""
    found = await connection.fetch(_ON_BALANCES, environment)
    return [load(Alert, _decoded(dict(row))) for row in found]


_ON_BALANCES = """
SELECT * FROM alert WHERE environment = $1 AND measure = 'balance' AND status = 'active' ORDER BY sequence
"""


async def active(connection: Connection, environment: str) -> list[Alert]:
    """The alerts on usage in force, the one that every environment begins with included unless it was turned off."""
    found = await connection.fetch("SELECT * FROM alert WHERE environment = $1 ORDER BY sequence", environment)
    stored = [load(Alert, _decoded(dict(row))) for row in found]
    if all(each.id != INCLUDED_USAGE for each in stored):
        stored.append(included_usage(environment))
    return [each for each in stored if each.status == "active" and each.measure != "balance"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metered:
    """A price billed by a meter, and what it includes per period (null: nothing)."""

    price: str
    meter: str
    size: Decimal | None


async def metered(connection: Connection, environment: str) -> dict[str, Metered]:
    """The prices billed by a meter, by id."""
    prices: dict[str, Metered] = {}
    for found in await connection.fetch(_METERED, environment):
        size = None
        if found["model"] is not None:
            size = included(allowance=Decimal(found["allowance"]), model=model_of(_plain(found["model"])))
        prices[found["id"]] = Metered(price=found["id"], meter=found["meter"], size=size)
    return prices


_METERED = """
SELECT id, recurring ->> 'meter' AS meter, adjustment ->> 'allowance' AS allowance,
    CASE WHEN model ->> 'kind' = 'graduated' OR adjustment ->> 'allowance' <> '0' THEN model END AS model
FROM price WHERE environment = $1 AND recurring ->> 'usage_type' = 'metered'
"""


def _decoded(row: dict[str, Any]) -> dict[str, Any]:
    """A bare row with its documents decoded, as the control plane's rows are."""
    return {name: _plain(value) if name in _DOCUMENTS else value for name, value in row.items()}


def _plain(document: Any) -> Any:
    """A document from a bare connection, which gives text, or from under the control plane, which decodes it."""
    return _decode(document) if isinstance(document, str) else document


_decode = msgspec.json.Decoder(float_hook=Decimal).decode
_DOCUMENTS = frozenset({"levels", "emails"})


async def lock_watches(connection: Connection, customer_ids: Collection[UUID], meters: Collection[str]) -> list[Watch]:
    """The watches of those customers on those meters, in key order, locked until the transaction ends."""
    found = await connection.fetch(_LOCK, sorted(set(customer_ids)), sorted(set(meters)))
    return [load(Watch, dict(row)) for row in found]


_LOCK = """
SELECT * FROM alert_watch WHERE customer_id = ANY($1::uuid[]) AND meter = ANY($2::text[])
ORDER BY customer_id, meter, alert FOR UPDATE
"""


async def begin(connection: Connection, watches: Iterable[Watch]) -> None:
    """Make watches that are not there yet; somebody else making the same one is waited for and wins."""
    rows = sorted(watches, key=lambda each: (each.customer_id.bytes, each.meter, each.alert))
    await connection.executemany(_BEGIN, [_row(each) for each in rows])


async def keep(connection: Connection, watches: Iterable[Watch]) -> None:
    """Write watches back that were locked."""
    await connection.executemany(_KEEP, [_row(each) for each in watches])


_BEGIN = """
INSERT INTO alert_watch (environment, customer_id, meter, alert, customer, test_clock, window_start, window_end,
    size, value, crossed)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING
"""
_KEEP = """
UPDATE alert_watch SET environment = $1, customer = $5, test_clock = $6, window_start = $7, window_end = $8, size = $9,
    value = $10, crossed = $11
WHERE customer_id = $2 AND meter = $3 AND alert = $4
"""


def _row(watch: Watch) -> tuple[object, ...]:
    return (
        watch.environment,
        watch.customer_id,
        watch.meter,
        watch.alert,
        watch.customer,
        watch.test_clock,
        watch.window_start,
        watch.window_end,
        watch.size,
        watch.value,
        list(watch.crossed),
    )


async def rearm(tx: AsyncConnection, *, customer_id: UUID) -> None:
    """Have a customer's watches read again with the next usage: windows, allowances, values. What was told in a
    window stays told."""
    await ask_late(_rearm_all, tx, customer_id)


# Whoever holds a watch of a customer with a wallet holds their books already, and may need them later.
_REARM = """
WITH books AS MATERIALIZED (
  SELECT FROM ledger_head
  WHERE customer_id = ANY($1::uuid[])
    AND customer_id IN (SELECT customer_id FROM alert_watch WHERE customer_id = ANY($1::uuid[]))
  ORDER BY customer_id FOR UPDATE
), mine AS MATERIALIZED (
  SELECT customer_id, meter, alert FROM alert_watch
  WHERE customer_id = ANY($1::uuid[]) AND (SELECT count(*) FROM books) >= 0
  ORDER BY customer_id, meter, alert FOR UPDATE
)
UPDATE alert_watch AS watch SET value = NULL FROM mine
WHERE watch.customer_id = mine.customer_id AND watch.meter = mine.meter AND watch.alert = mine.alert
"""


async def _rearm_all(tx: AsyncConnection, customer_ids: Sequence[UUID]) -> list[None]:
    await (await driver(tx)).execute(_REARM, list(customer_ids))
    return [None] * len(customer_ids)


async def forget(tx: AsyncConnection, environment: str, id: str) -> None:
    """Arm an alert again for everybody in its environment: nothing counts as told."""
    await tx.execute(_FORGET, {"environment": environment, "alert": id})


_FORGET = text("""
WITH mine AS MATERIALIZED (
  SELECT customer_id, meter FROM alert_watch WHERE environment = :environment AND alert = :alert
  ORDER BY customer_id, meter FOR UPDATE
)
UPDATE alert_watch AS watch SET value = NULL, crossed = '{}' FROM mine
WHERE watch.customer_id = mine.customer_id AND watch.meter = mine.meter AND watch.alert = :alert
""")


async def of_customer(tx: AsyncConnection, customer_id: UUID) -> list[Watch]:
    """How a customer stands under all alerts that have concerned it."""
    query = select(alert_watch).where(alert_watch.c.customer_id == customer_id)
    found = await tx.execute(query.order_by(alert_watch.c.meter, alert_watch.c.alert))
    return [load(Watch, row) for row in found]


async def who(connection: Connection, customer_ids: Collection[UUID]) -> dict[UUID, tuple[str, str | None]]:
    """The public id and the test clock of customers."""
    found = await connection.fetch(
        "SELECT customer_id, id, test_clock FROM customer WHERE customer_id = ANY($1::uuid[])",
        sorted(set(customer_ids)),
    )
    return {row["customer_id"]: (row["id"], row["test_clock"]) for row in found}


async def periods(
    connection: Connection, customer_ids: Collection[UUID]
) -> dict[UUID, list[tuple[str, datetime, datetime]]]:
    """The (price, start, end) of the current periods of what customers are subscribed to."""
    found = await connection.fetch(_PERIODS, sorted(set(customer_ids)))
    by_customer: dict[UUID, list[tuple[str, datetime, datetime]]] = {}
    for row in found:
        period = (row["price"], row["period_start"], row["period_end"])
        by_customer.setdefault(row["customer_id"], []).append(period)
    return by_customer


_PERIODS = """
SELECT item.customer_id, item.price, item.period_start, item.period_end FROM subscription_item AS item
WHERE item.customer_id = ANY($1::uuid[]) AND NOT item.deleted AND EXISTS (
    SELECT FROM subscription WHERE subscription.customer_id = item.customer_id
      AND subscription.id = item.subscription AND subscription.status NOT IN ('canceled', 'incomplete_expired'))
ORDER BY item.sequence
"""


JUDGE_SPENDING = "judge_spending"
"""The kind of due work that looks at what a customer's usage costs."""


async def plan_judgement(
    connection: Connection, *, environment: str, customer_ids: Iterable[UUID], now: datetime
) -> None:
    """Have what these customers spend looked at once the transaction commits; one look per second is enough."""
    at = now.replace(microsecond=0)
    rows = [(environment, each, JUDGE_SPENDING, at, now, uuid7()) for each in sorted(customer_ids)]
    await connection.executemany(_PLAN_JUDGEMENT, rows)
    await connection.execute("SELECT pg_notify($1, '')", due.CHANNEL)


_PLAN_JUDGEMENT = """
INSERT INTO due AS planned (environment, customer_id, kind, subject, boundary, due_at, sequence)
VALUES ($1, $2, $3, 'usage', $4, $5, $6)
ON CONFLICT (customer_id, kind, subject, boundary) DO UPDATE SET due_at = planned.due_at
"""
# The update changes nothing but takes the row's lock: whoever judges holds it too, so usage is either seen or plans
# another look.


async def begin_judgement(connection: Connection, *, customer_id: UUID, boundary: datetime) -> None:
    """Take the lock on a planned look: what is committed before is seen, what comes later plans its own."""
    await connection.execute(
        "SELECT FROM due WHERE customer_id = $1 AND kind = $2 AND boundary = $3 FOR UPDATE",
        customer_id,
        JUDGE_SPENDING,
        boundary,
    )


async def on_spending(connection: Connection, environment: str, customer_id: UUID) -> list[Alert]:
    """The alerts in force on what this customer spends."""
    found = await connection.fetch(_ON_SPENDING, environment, customer_id)
    return [load(Alert, _decoded(dict(row))) for row in found]


_ON_SPENDING = """
SELECT * FROM alert WHERE environment = $1 AND measure = 'spend' AND status = 'active'
  AND (customer_id IS NULL OR customer_id = $2) ORDER BY sequence
"""


async def frozen(connection: Connection, environment: str, clock: str) -> datetime:
    """The time on a test clock."""
    found: datetime = await connection.fetchval(
        "SELECT frozen_time FROM test_clock WHERE environment = $1 AND id = $2", environment, clock
    )
    return found
