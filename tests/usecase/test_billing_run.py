"""Many customers' months end at once: they are billed in chunks, as each would be alone, once, whatever happens."""

import asyncio
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import structlog
from sqlalchemy import text

from meterline.catalog import Price
from meterline.store import due, invariant, ledger
from meterline.store.database import Database
from meterline.store.identifier import uuid7
from meterline.subscription.model import Subscription
from meterline.usecase.create_subscription import Asked
from meterline.worker import wall
from meterline.worker.registry import HANDLERS
from tests.usecase.world import ENVIRONMENT, LEASE, WALL, World, at

NEXT_MONTH = at("2026-02-01")
LATER = NEXT_MONTH + timedelta(hours=1)
BLANK = Asked(environment=ENVIRONMENT, customer="", items=())

KILLS = 3
MANY = 120


async def run_chunks(world: World, *, now: datetime) -> None:
    while await wall.run_due(world.database, HANDLERS, now=now, lease=LEASE):
        pass


async def run_alone(world: World, subscription: Subscription, *, now: datetime) -> None:
    async with world.database.begin() as tx:
        keys = await tx.execute(
            text("SELECT DISTINCT subject FROM due WHERE customer_id = :id AND due_at <= :now ORDER BY 1"),
            {"id": subscription.customer_id, "now": now},
        )
        subjects = [row.subject for row in keys]
        rows = [
            row
            for subject in subjects
            for row in await due.of_subject(tx, customer_id=subscription.customer_id, subject=subject)
            if row.due_at <= now
        ]
    for row in rows:
        await wall.run(world.database, HANDLERS, row, now=now)


async def several(world: World, prices: Sequence[Price]) -> list[Subscription]:
    """Customers of every kind: who pay, who cannot, who get invoices to pay, whose collection is paused."""
    sent = replace(BLANK, collection_method="send_invoice", days_until_due=10)
    visa = [await world.customer() for _ in range(4)]
    made = [
        await world.subscribe(visa[0], *prices),
        await world.subscribe(visa[1], prices[0]),
        await world.subscribe(await world.customer(card=None), *prices, asked=sent),
        await world.subscribe(visa[2], *prices),
        await world.subscribe(visa[3], *prices),
    ]
    await world.swap_card(visa[2], "pm_card_chargeCustomerFail")
    await paused(world, made[4])
    return made


async def paused(world: World, subscription: Subscription) -> None:
    async with world.database.begin() as tx:
        await tx.execute(
            text("UPDATE subscription SET pause_collection = CAST(:pause AS jsonb) WHERE id = :id").bindparams(
                pause='{"behavior": "void", "resumes_at": null}', id=subscription.id
            )
        )


async def left_behind(world: World, subscription: Subscription) -> dict[str, Any]:
    """What the run made of a customer, without what names it."""
    async with world.database.begin() as tx:

        async def rows(query: str) -> list[tuple[Any, ...]]:
            return [tuple(row) for row in await tx.execute(text(query), {"id": subscription.customer_id})]

        return {
            "invoices": await rows(
                "SELECT status, total, amount_due, amount_remaining, attempt_count, next_payment_attempt, finalized_at,"
                " right(number, 4) FROM invoice WHERE customer_id = :id ORDER BY sequence"
            ),
            "lines": await rows(
                "SELECT amount, quantity, description, period_start FROM invoice_line WHERE customer_id = :id"
                " ORDER BY position, sequence"
            ),
            "notices": await rows(
                "SELECT type, object_sequence, previous IS NULL, snapshot ->> 'status' FROM notice"
                " WHERE customer_id = :id ORDER BY sequence"
            ),
            "due": await rows("SELECT kind, due_at, attempts FROM due WHERE customer_id = :id ORDER BY due_at, kind"),
            "books": await rows(
                "SELECT transaction, line, debit, credit, amount, cause FROM ledger_transfer WHERE customer_id = :id"
                " ORDER BY transaction, line"
            ),
            "subscription": await rows("SELECT status FROM subscription WHERE customer_id = :id"),
        }


async def test_a_chunk_bills_each_as_alone(world: World) -> None:
    prices = [await world.price(), await world.metered()]
    together, alone = await several(world, prices), await several(world, prices)

    for now in (NEXT_MONTH, LATER):
        for subscription in alone:
            await run_alone(world, subscription, now=now)
        await run_chunks(world, now=now)

    for one, other in zip(together, alone, strict=True):
        assert await left_behind(world, one) == await left_behind(world, other)
    found = [(await world.invoices(each))[-1].status for each in together]
    assert found == ["paid", "paid", "open", "open", "void"]


async def test_one_that_cannot_be_billed_keeps_nobody_else_from_it(world: World) -> None:
    price = await world.price()
    sold = [await world.subscribe(await world.customer(), price) for _ in range(9)]
    broken = sold[4]
    async with world.database.begin() as tx:
        await tx.execute(
            text("UPDATE subscription_item SET price = 'gone' WHERE subscription = :id"), {"id": broken.id}
        )

    assert await wall.run_due(world.database, HANDLERS, now=NEXT_MONTH, lease=LEASE) == 9

    made = [len(await world.invoices(each)) for each in sold]
    assert made == [2, 2, 2, 2, 1, 2, 2, 2, 2]
    async with world.database.begin() as tx:
        [row] = await due.of_subject(tx, customer_id=broken.customer_id, subject=broken.id)
    assert (row.attempts, row.last_error) == (1, "KeyError: 'gone'")
    assert row.claimed_until == NEXT_MONTH + wall.FIRST_REST


async def test_rows_of_one_customer_are_done_one_after_the_other(world: World) -> None:
    price = await world.price()
    buyer = await world.customer()
    sold = [await world.subscribe(buyer, price) for _ in range(3)]

    await run_chunks(world, now=NEXT_MONTH)
    await run_chunks(world, now=LATER)

    numbers = sorted([(each.number or "") for one in sold for each in await world.invoices(one)])
    assert [each[-4:] for each in numbers] == ["0001", "0002", "0003", "0004", "0005", "0006"]


async def test_a_chunk_and_the_gate_do_not_wait_for_each_other_in_a_circle(world: World) -> None:
    """The gate locks the books of many customers in the order of their ids. The first here post after the others."""
    price = await world.price()
    sold = [await world.subscribe(await world.customer(), price) for _ in range(12)]
    ids = sorted(each.customer_id for each in sold)
    async with world.database.begin() as tx:
        await tx.execute(
            text("UPDATE customer SET balance = -300, currency = 'usd' WHERE customer_id = ANY(:ids)"), {"ids": ids[:6]}
        )
    await run_chunks(world, now=NEXT_MONTH)
    ended = asyncio.Event()

    async def gate() -> None:
        while not ended.is_set():
            async with world.database.pool.acquire() as connection, connection.transaction():
                await ledger.locked(connection, ids)

    gates = [asyncio.create_task(gate()) for _ in range(2)]
    with structlog.testing.capture_logs() as logs:
        await run_chunks(world, now=LATER)
    ended.set()
    await asyncio.gather(*gates)

    assert logs == []
    assert [(await world.invoices(each))[-1].status for each in sold] == ["paid"] * len(sold)


def row(customer: UUID, kind: str, *, environment: str = ENVIRONMENT, attempts: int = 1) -> due.Due:
    return due.Due(
        environment=environment, customer_id=customer, kind=kind, subject="s", boundary=WALL, due_at=WALL, clock=None,
        attempts=attempts, claimed_until=None, failed_at=None, last_error=None,
    )  # fmt: skip


def test_a_chunk_has_one_row_of_a_customer_and_keeps_their_order() -> None:
    a, b, c = uuid7(), uuid7(), uuid7()
    rows = [
        row(a, "renewal"), row(b, "renewal"), row(a, "finalize_invoice"), row(b, "expire_hold"),
        row(b, "renewal"), row(c, "collect_payment"), row(c, "renewal", environment="live"),
    ]  # fmt: skip

    made = wall.chunks(HANDLERS, rows)

    told = [[(each.customer_id, each.kind) for each in chunk] for chunk in made]
    assert told == [
        [(a, "renewal"), (b, "renewal"), (c, "collect_payment")],
        [(a, "finalize_invoice")],
        [(b, "expire_hold")],
        [(b, "renewal")],
        [(c, "renewal")],
    ]


def test_what_was_tried_before_stands_alone() -> None:
    rows = [row(uuid7(), "renewal", attempts=attempts) for attempts in (1, 2, 1, 2)]

    made = wall.chunks(HANDLERS, rows)

    assert [[each.attempts for each in chunk] for chunk in made] == [[1, 1], [2], [2]]


async def started(dsn: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "meterline.worker", "--database-url", dsn, "--lease", "2", "--poll", "0.05",
        stderr=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip


async def counted(database: Database, which: str) -> int:
    async with database.begin() as tx:
        return int(await tx.scalar(text(f"SELECT count(*) FROM {which}")) or 0)


CYCLES = "invoice WHERE billing_reason = 'subscription_cycle'"
WAITING = "due WHERE kind IN ('renewal', 'finalize_invoice') AND due_at <= now()"


async def until_it_writes(database: Database) -> None:
    """Wait until the worker is in the middle of a transaction that has written something."""
    writing = "pg_stat_activity WHERE datname = current_database() AND backend_xid IS NOT NULL"
    for _ in range(6000):
        if await counted(database, writing):
            return
        await asyncio.sleep(0.005)
    raise AssertionError("the worker does nothing")


async def hour_passes(database: Database) -> None:
    async with database.begin() as tx:
        await tx.execute(text("UPDATE due SET due_at = due_at - interval '2 hours' WHERE kind = 'finalize_invoice'"))


@pytest.mark.slow
async def test_a_run_whose_workers_are_killed_bills_everybody_once(dsn: str, world: World) -> None:
    price, began = await world.price(), datetime.now(UTC).replace(microsecond=0) - timedelta(days=33)
    async with world.database.begin() as tx:
        await tx.execute(text("DELETE FROM due"))
    for _ in range(MANY):
        await world.subscribe(await world.customer(), price, now=began)
    before = await counted(world.database, CYCLES)
    for _ in range(KILLS):
        worker = await started(dsn)
        await until_it_writes(world.database)
        await asyncio.sleep(0.02)
        worker.send_signal(signal.SIGKILL)
        await worker.wait()
        await hour_passes(world.database)
    worker = await started(dsn)
    for _ in range(600):
        await hour_passes(world.database)
        if (
            await counted(
                world.database, f"{CYCLES} AND status = 'paid' AND period_start >= now() - interval '40 days'"
            )
            >= MANY
        ):
            break
        await asyncio.sleep(0.1)
    worker.terminate()
    await worker.wait()

    assert await counted(world.database, CYCLES) - before == MANY
    assert await counted(world.database, WAITING) == 0
    async with world.database.begin() as tx:
        found = [await invariant.check(tx, ENVIRONMENT, each, now=datetime.now(UTC)) for each in invariant.INVARIANTS]
    assert [each.invariant.name for each in found if each.violations] == []
