"""The billing run: customers whose month ends are renewed, invoiced, finalized an hour later, and charged.

`python -m benchmarks.billing_run [--customers 500] [--alone 100]`

Every customer has a subscription to a tiered metered price with usage in the month and to a fixed fee, and pays by
card. One worker process does what is due, for N customers and for 10 N. Beside it, in the same run: the same work row
by row through the use cases, and the rows that a run left behind written straight to PostgreSQL by COPY.
"""

import argparse
import asyncio
import contextlib
import io
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import asyncpg
import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.ground import database, opened, peak_mb, servers_cpu
from meterline.catalog import Graduated, PerUnit, Price, Product, Recurring, Tier
from meterline.customer import Customer
from meterline.meter import Meter
from meterline.period import Interval
from meterline.store import due, meter
from meterline.store.database import Database
from meterline.store.identifier import public, uuid7
from meterline.usecase.create_customer import create_customer
from meterline.usecase.create_price import create_price
from meterline.usecase.create_subscription import Asked, AskedItem, create_subscription
from meterline.usecase.ingest_events import Ingest, Told
from meterline.usecase.write_events import Accepted
from meterline.worker.registry import HANDLERS
from meterline.worker.wall import run

_ENVIRONMENT = "test"
_EVENTS = 60
_COPIED = (
    "customer",
    "public_id",
    "payment_method",
    "subscription",
    "subscription_item",
    "due",
    "invoice",
    "invoice_line",
)
"""What a customer consists of before the run. Their books are not copied: they begin with this month's invoice."""
_USED = ("usage_event", "usage_hour")
"""Their usage, which names nothing but the customer."""


# ── customers: one made by the use cases, the others in its image ──────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Image:
    """The customer that the others are copies of, and every id that is its own."""

    customer: Customer
    ids: Sequence[str]


async def sold(db: Database) -> Image:
    """A customer who bought a month that is over by now, and used something in it."""
    wall = datetime.now(UTC).replace(microsecond=0)
    began = wall - timedelta(days=33)
    counted = Meter(
        environment=_ENVIRONMENT,
        id=public("mtr"),
        display_name="Calls",
        event_name=public("calls"),
        formula="sum",
        created=began,
        updated=began,
    )
    tiers = Graduated(tiers=(Tier(up_to=500, unit=Decimal(2)), Tier(up_to=None, unit=Decimal(1))))
    month = Interval(unit="month")
    metered = Recurring(interval=month, usage_type="metered", meter=counted.id)
    id = public("cus")
    new = Customer(
        environment=_ENVIRONMENT,
        customer_id=uuid7(),
        id=id,
        created=began,
        invoice_prefix=id[-8:].upper(),
        email="somebody@example.com",
    )
    new = replace(new, invoice_settings=replace(new.invoice_settings, default_payment_method="pm_card_visa"))
    async with db.begin() as tx:
        await meter.add(tx, counted)
        customer = await create_customer(tx, new=new, payment_method="pm_card_visa", now=began)
        prices = []
        for name, model, recurring in (
            ("Calls", tiers, metered),
            ("Seat", PerUnit(unit=Decimal(1000)), Recurring(interval=month)),
        ):
            product = Product(environment=_ENVIRONMENT, id=public("prod"), name=name, created=began, updated=began)
            price = Price(
                environment=_ENVIRONMENT,
                id=public("price"),
                product=product.id,
                currency="usd",
                model=model,
                recurring=recurring,
                created=began,
            )
            prices.append(await create_price(tx, new=price, along_with=product, now=began))
        items = [AskedItem(param=f"items[{n}]", price=price.id) for n, price in enumerate(prices)]
        await create_subscription(tx, Asked(environment=_ENVIRONMENT, customer=customer.id, items=items), now=began)
    await _use(db, customer, counted, began=began, wall=wall)
    async with db.pool.acquire() as connection:
        await connection.execute("UPDATE due SET due_at = 'infinity' WHERE customer_id = $1", customer.customer_id)
        rows = await connection.fetch("SELECT id FROM public_id WHERE customer_id = $1", customer.customer_id)
    return Image(customer=customer, ids=[row["id"] for row in rows])


async def _use(db: Database, customer: Customer, counted: Meter, *, began: datetime, wall: datetime) -> None:
    ingest = Ingest(db)
    await ingest.start()
    told = [
        Told(
            event_name=counted.event_name,
            payload={"stripe_customer_id": customer.id, "value": str(n % 7)},
            identifier=f"used{n}",
            occurred_at=began + timedelta(days=2) + n * timedelta(hours=11) + timedelta(minutes=n % 60),
        )
        for n in range(_EVENTS)
    ]
    fates = await ingest.take(told, environment=_ENVIRONMENT, origin="own", now=wall, keeps=lambda _: True)
    assert all(isinstance(fate, Accepted) for fate in fates)
    await ingest.stop()


async def copy(db: Database, image: Image, numbers: range) -> None:
    """Customers in the image of the first: every row of theirs, with ids of their own."""
    own = "doc"
    for id in image.ids:
        own = f"replace({own}, '{id}', '{id[:-7]}' || lpad(n::text, 7, '0'))"
    inner = str(image.customer.customer_id)
    own_id = f"'{inner[:-12]}' || lpad(to_hex(n), 12, '0')"
    own = f"replace({own}, '{inner}', {own_id})"
    everybody = f"generate_series({numbers.start}, {numbers.stop - 1}) AS n"
    async with db.pool.acquire() as connection, connection.transaction():
        for table in _COPIED:
            await connection.execute(
                f"INSERT INTO {table} SELECT own.* FROM {everybody},"
                f" (SELECT to_jsonb(t)::text AS doc FROM {table} AS t WHERE customer_id = $1) AS first,"
                f" jsonb_populate_record(NULL::{table}, {own}::jsonb) AS own",
                image.customer.customer_id,
            )
        for table in _USED:
            names = await connection.fetchval(
                "SELECT string_agg(attname, ', ') FROM pg_attribute"
                " WHERE attrelid = $1::text::regclass AND attnum > 0 AND attname <> 'customer_id'",
                table,
            )
            await connection.execute(
                f"INSERT INTO {table} (customer_id, {names}) SELECT ({own_id})::uuid, {names} FROM {everybody}, {table}"
                " WHERE customer_id = $1",
                image.customer.customer_id,
            )
    async with db.pool.acquire() as connection:
        await connection.execute("VACUUM ANALYZE")


# ── the work ───────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class Measured:
    """What one way of billing so many customers took."""

    invoices: int
    seconds: float = 0.0
    cpu: float = 0.0
    postgres: float = 0.0
    peak_mb: float | None = None
    since: int = 0
    until: int = 0


@contextmanager
def measured(into: Measured) -> Iterator[None]:
    """Add the time, and the CPU of this process, the workers and PostgreSQL."""
    began, spent, served = time.perf_counter(), servers_cpu() + time.process_time(), _postgres_cpu()
    yield
    into.seconds += time.perf_counter() - began
    into.cpu += servers_cpu() + time.process_time() - spent
    into.postgres += _postgres_cpu() - served


def _postgres_cpu() -> float:
    spent = 0.0
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            spent += sum(process.cpu_times()[:2]) if process.name() == "postgres" else 0
    return spent


@asynccontextmanager
async def working(dsn: str) -> AsyncIterator[int]:
    """One worker process; its pid."""
    command = [sys.executable, "-m", "meterline.worker", "--database-url", dsn, "--poll", "0.1"]
    process = await asyncio.create_subprocess_exec(*command)
    try:
        yield process.pid
    finally:
        process.terminate()
        await process.wait()


async def hour_passes(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """The drafts' hour is over."""
    await connection.execute("UPDATE due SET due_at = due_at - interval '2 hours' WHERE kind = 'finalize_invoice'")
    await connection.execute("VACUUM ANALYZE")


async def until_done(connection: "asyncpg.Connection[asyncpg.Record]", kind: str) -> None:
    """Wait until nothing of that kind is due any more."""
    asked = "SELECT EXISTS (SELECT FROM due WHERE kind = $1 AND due_at <= now() AND failed_at IS NULL)"
    some = True
    while some:
        await asyncio.sleep(0.05)
        some = await connection.fetchval(asked, kind)


async def begin(connection: "asyncpg.Connection[asyncpg.Record]", image: Image) -> None:
    """The month of everybody is over."""
    await connection.execute(
        "UPDATE due SET due_at = boundary WHERE due_at = 'infinity' AND customer_id <> $1", image.customer.customer_id
    )
    await connection.execute(f"NOTIFY {due.CHANNEL}")


async def by_worker(dsn: str, db: Database, image: Image, numbers: range) -> Measured:
    """The worker's own way, in a process of its own."""
    result = Measured(len(numbers))
    await copy(db, image, numbers)
    async with working(dsn) as pid, db.pool.acquire() as connection:
        await asyncio.sleep(3)
        result.since = await connection.fetchval("SELECT pg_current_xact_id()::text::bigint")
        with measured(result):
            await begin(connection, image)
            await until_done(connection, "renewal")
        await hour_passes(connection)
        with measured(result):
            await connection.execute(f"NOTIFY {due.CHANNEL}")
            await until_done(connection, "finalize_invoice")
        result.peak_mb = peak_mb(pid)
        result.until = await connection.fetchval("SELECT pg_current_xact_id()::text::bigint")
        await check(connection, numbers)
    return result


async def check(connection: "asyncpg.Connection[asyncpg.Record]", numbers: range) -> None:
    """Everybody has the month's invoice, and paid it."""
    paid = await connection.fetchval(
        "SELECT count(*) FROM invoice WHERE billing_reason = 'subscription_cycle' AND status = 'paid' AND total > 1000"
        " AND ('x' || right(customer_id::text, 12))::bit(48)::bigint BETWEEN $1 AND $2",
        numbers.start,
        numbers.stop - 1,
    )
    assert paid == len(numbers), f"{paid} of {len(numbers)} paid"


async def alone(db: Database, image: Image, numbers: range) -> Measured:
    """Row by row, each in a transaction of its own."""
    result = Measured(len(numbers))
    await copy(db, image, numbers)
    async with db.pool.acquire() as connection:
        await begin(connection, image)
        for _ in range(2):
            now = datetime.now(UTC).replace(microsecond=0)
            async with db.begin() as tx:
                rows = await due.claim(tx, now=now, lease=timedelta(minutes=10), limit=len(numbers))
            assert len(rows) == len(numbers)
            with measured(result):
                for row in rows:
                    await run(db, HANDLERS, row, now=now)
            await hour_passes(connection)
        await check(connection, numbers)
    return result


async def straight(connection: "asyncpg.Connection[asyncpg.Record]", run: Measured) -> Measured:
    """The rows that a run wrote, straight into their tables with every index: one COPY per table."""
    tables = await connection.fetch(
        "SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'"
        " AND NOT c.relispartition"
    )
    copied: dict[str, bytes] = {}
    for table in (row["relname"] for row in tables):
        into = io.BytesIO()
        written = f"SELECT * FROM {table} WHERE xmin::text::bigint >= {run.since} AND xmin::text::bigint < {run.until}"
        told = await connection.copy_from_query(written, output=into, format="binary")
        if told != "COPY 0":
            copied[table] = into.getvalue()
    result = Measured(run.invoices)
    await connection.execute(f"TRUNCATE {', '.join(copied)}")
    with measured(result):
        for table, rows in copied.items():
            await connection.copy_to_table(table, source=io.BytesIO(rows), format="binary")
    return result


# ── in one run ─────────────────────────────────────────────────────────────────────────────────────────────


def show(ways: dict[str, Measured]) -> None:
    """Each way, and as a ratio of the first."""
    base = next(iter(ways.values()))
    heads = (
        "way",
        "invoices",
        "invoices/s",
        "CPU ms per invoice",
        "of it PostgreSQL",
        "invoices/s per core",
        "ratio",
        "MB",
    )
    table = Table(*heads, box=None)
    for name, way in ways.items():
        per_core = way.invoices / way.cpu
        table.add_row(
            name,
            f"{way.invoices:,}",
            f"{way.invoices / way.seconds:,.0f}",
            f"{way.cpu / way.invoices * 1000:.2f}",
            f"{way.postgres / way.invoices * 1000:.2f}",
            f"{per_core:,.0f}",
            f"{per_core / (base.invoices / base.cpu):.2f}",
            "" if way.peak_mb is None else f"{way.peak_mb:.0f}",
        )
    Console(width=140).print(table)


async def bill(dsn: str, options: argparse.Namespace) -> None:
    """Every way, and what it took."""
    async with opened(dsn) as db:
        image = await sold(db)
        few, many = options.customers, 10 * options.customers
        ways = {"row by row": await alone(db, image, range(1, 1 + options.alone))}
        first = 1 + options.alone
        ways["a worker"] = await by_worker(dsn, db, image, range(first, first + few))
        ways["a worker, ten times as many"] = await by_worker(dsn, db, image, range(first + few, first + few + many))
        async with db.pool.acquire() as connection:
            ways["its rows by COPY"] = await straight(connection, ways["a worker, ten times as many"])
        show(ways)


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=500)
    parser.add_argument("--alone", type=int, default=100)
    options = parser.parse_args()
    with database() as dsn:
        asyncio.run(bill(dsn, options))


if __name__ == "__main__":
    main()
