"""Due work is done once, whoever does it and however often; what cannot be done is kept where it can be seen."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.store import clock as clocks
from meterline.store import due
from meterline.store.database import Database
from meterline.store.due import Due
from meterline.store.identifier import uuid7
from meterline.usecase.advance_test_clock import advance_test_clock
from meterline.usecase.create_subscription import Asked
from meterline.worker import wall
from meterline.worker.clock import advance_claimed
from meterline.worker.handler import Handlers, Superseded
from meterline.worker.registry import HANDLERS
from tests.usecase.world import ENVIRONMENT, LEASE, WALL, World, at

NEXT_MONTH = at("2026-02-01")
NOBODY = uuid7()


async def planned(world: World, kind: str, subject: str = "something", at: datetime = WALL) -> Due:
    async with world.database.begin() as tx:
        await due.add(
            tx,
            environment=ENVIRONMENT,
            customer_id=NOBODY,
            kind=kind,
            subject=subject,
            boundary=at,
            due_at=at,
            clock=None,
        )
        [row] = await due.of_subject(tx, customer_id=NOBODY, subject=subject)
    return row


async def claimed(world: World, *, now: datetime) -> set[str]:
    async with world.database.begin() as tx:
        return {row.subject for row in await due.claim(tx, now=now, lease=LEASE, limit=100)}


async def test_a_renewal_run_twice_is_one_renewal(world: World) -> None:
    subscription = await world.subscribe(await world.customer(), await world.price())
    async with world.database.begin() as tx:
        [row] = await due.of_subject(tx, customer_id=subscription.customer_id, subject=subscription.id)

    await wall.run(world.database, HANDLERS, row, now=NEXT_MONTH)
    with pytest.raises(Superseded):
        await wall.run(world.database, HANDLERS, row, now=NEXT_MONTH)

    assert len(await world.invoices(subscription)) == 2
    assert (await world.subscription(subscription.id)).next_boundary == at("2026-03-01")


async def test_two_workers_share_the_renewals_and_make_each_one_once(world: World) -> None:
    price = await world.price()
    sold = [await world.subscribe(await world.customer(), price) for _ in range(12)]

    async def work(database: Database) -> None:
        while await wall.run_due(database, HANDLERS, now=NEXT_MONTH, lease=LEASE):
            pass

    other = Database(world.database.dsn)
    await asyncio.gather(work(world.database), work(other))
    await other.close()

    for subscription in sold:
        assert [invoice.billing_reason for invoice in await world.invoices(subscription)] == [
            "subscription_create",
            "subscription_cycle",
        ]


async def test_two_workers_on_one_row_do_it_once(world: World) -> None:
    subscription = await world.subscribe(await world.customer(), await world.price())
    async with world.database.begin() as tx:
        [row] = await due.of_subject(tx, customer_id=subscription.customer_id, subject=subscription.id)

    outcomes = await asyncio.gather(
        *(wall.run(world.database, HANDLERS, row, now=NEXT_MONTH) for _ in range(4)),
        return_exceptions=True,
    )

    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NoneType", *["Superseded"] * 3]
    assert len(await world.invoices(subscription)) == 2


async def test_what_is_missed_is_caught_up_period_by_period(world: World) -> None:
    subscription = await world.subscribe(await world.customer(), await world.price())

    while await wall.run_due(world.database, HANDLERS, now=at("2026-04-15"), lease=LEASE):
        pass

    made = await world.invoices(subscription)
    assert [invoice.period_end for invoice in made[1:]] == [
        at("2026-02-01"),
        at("2026-03-01"),
        at("2026-04-01"),
    ]


async def test_work_that_fails_rests_longer_and_longer_and_is_then_given_up_in_sight(world: World) -> None:
    async def fail(tx: AsyncConnection, row: Due, now: datetime) -> None:
        raise ValueError("the moon is in the wrong house")

    broken = Handlers(in_transaction={"moonshine": fail}, in_stages={})
    await planned(world, "moonshine")
    now, rests = WALL, []
    while True:
        assert await wall.run_due(world.database, broken, now=now, lease=LEASE) == 1
        async with world.database.begin() as tx:
            [row] = await due.of_subject(tx, customer_id=NOBODY, subject="something")
        if row.failed_at is not None:
            break
        assert row.claimed_until is not None
        rests.append(row.claimed_until - now)
        assert await wall.run_due(world.database, broken, now=now, lease=LEASE) == 0
        now = row.claimed_until

    assert rests[:4] == [timedelta(seconds=seconds) for seconds in (2, 4, 8, 16)]
    assert len(rests) == wall.MAX_ATTEMPTS - 1
    assert row.last_error == "ValueError: the moon is in the wrong house"
    async with world.database.begin() as tx:
        assert [each.subject for each in await due.failed(tx, environment=ENVIRONMENT)] == ["something"]
        await due.revive(tx, row)
    assert await wall.run_due(world.database, broken, now=now, lease=LEASE) == 1


async def test_a_kind_that_nobody_handles_is_not_lost(world: World) -> None:
    await planned(world, "from_the_future", subject="something_new")

    await wall.run_due(world.database, Handlers(in_transaction={}, in_stages={}), now=WALL, lease=LEASE)

    async with world.database.begin() as tx:
        [row] = await due.of_subject(tx, customer_id=NOBODY, subject="something_new")
    assert (row.attempts, row.last_error) == (1, "Unhandled: from_the_future")


async def test_a_claim_outlives_its_worker_for_the_lease_only(world: World) -> None:
    row = await planned(world, "moonshine", subject="claimed")

    assert "claimed" in await claimed(world, now=WALL)
    assert "claimed" not in await claimed(world, now=WALL + LEASE / 2)
    assert "claimed" in await claimed(world, now=WALL + LEASE)
    async with world.database.begin() as tx:
        assert await due.finish(tx, row)


async def test_staged_work_is_finished_once_it_returned(world: World) -> None:
    done: list[str] = []

    async def talk(database: Database, row: Due, now: datetime) -> None:
        done.append(row.subject)

    await planned(world, "talk", subject="staged")
    await wall.run_due(world.database, Handlers(in_transaction={}, in_stages={"talk": talk}), now=WALL, lease=LEASE)

    assert done == ["staged"]
    async with world.database.begin() as tx:
        assert await due.of_subject(tx, customer_id=NOBODY, subject="staged") == []


async def test_on_a_clock_everything_happens_at_its_own_instant(world: World) -> None:
    clock = await world.clock("2026-01-31")
    monthly = await world.subscribe(await world.customer(clock=clock), await world.price())
    await world.advance(clock, "2026-02-05")
    weekly = await world.subscribe(await world.customer(clock=clock), await world.price(every="week"))
    for to in ("2026-02-18", "2026-03-01"):
        await world.advance(clock, to)

    made = [*(await world.invoices(monthly))[1:], *(await world.invoices(weekly))[1:]]
    stamps = sorted((each.created, each.finalized_at, each.paid_at) for each in made)
    days = ["2026-02-12", "2026-02-19", "2026-02-26", "2026-02-28"]
    assert stamps == [(at(day), at(f"{day} 01:00"), at(f"{day} 01:00")) for day in days]


async def test_a_clock_that_meets_the_impossible_stands_still_and_says_so(world: World) -> None:
    clock = await world.clock("2026-01-01")
    subscription = await world.subscribe(await world.customer(clock=clock), await world.price())
    async with world.database.begin() as tx:
        await due.add(
            tx,
            environment=ENVIRONMENT,
            customer_id=subscription.customer_id,
            kind="from_the_future",
            subject=subscription.id,
            boundary=at("2026-01-10"),
            due_at=at("2026-01-10"),
            clock=clock.id,
        )

    broken = await world.advance(clock, "2026-02-15")

    assert (broken.status, broken.frozen_time) == ("internal_failure", at("2026-01-10"))
    assert broken.failure is not None and "Unhandled" in broken.failure
    assert len(await world.invoices(subscription)) == 1


async def test_a_clock_is_taken_over_from_a_worker_that_died(world: World) -> None:
    clock = await world.clock("2026-01-01")
    subscription = await world.subscribe(await world.customer(clock=clock), await world.price(), asked=_sent())
    async with world.database.begin() as tx:
        await advance_test_clock(tx, environment=ENVIRONMENT, id=clock.id, to=at("2026-02-10"), now=WALL)
    dead = uuid7()
    async with world.database.begin() as tx:
        claimed = await clocks.claim(tx, owner=dead, now=WALL, lease=LEASE)
    assert claimed is not None and claimed.id == clock.id

    heir = uuid7()
    too_early = await advance_claimed(world.database, HANDLERS, owner=heir, wall=lambda: WALL + LEASE / 2, lease=LEASE)
    in_time = await advance_claimed(world.database, HANDLERS, owner=heir, wall=lambda: WALL + LEASE, lease=LEASE)

    assert (too_early, in_time) == (False, True)
    assert len(await world.invoices(subscription)) == 2


def _sent() -> Asked:
    blank = Asked(environment=ENVIRONMENT, customer="", items=())
    return replace(blank, collection_method="send_invoice", days_until_due=7)


async def test_work_of_a_customer_at_one_instant_is_done_in_the_order_of_its_creation(world: World) -> None:
    customer, other = uuid7(), uuid7()
    for owner, subject in ((customer, "z"), (customer, "y"), (other, "x"), (customer, "w")):
        async with world.database.begin() as tx:
            await due.add(tx, **_work(owner, "order", subject))
    done: list[str] = []

    async def note(tx: AsyncConnection, row: Due, now: datetime) -> None:
        if row.kind == "order":
            done.append(row.subject)

    noting = Handlers(in_transaction={"order": note}, in_stages={})
    neighbour = Database(world.database.dsn)
    first = await claimed(world, now=WALL)
    assert {"z", "x"} <= first and first.isdisjoint({"y", "w"})
    assert (await claimed(world, now=WALL)).isdisjoint({"y", "w"})
    later = WALL + LEASE
    while len(done) < 4:
        await asyncio.gather(
            *(wall.run_due(database, noting, now=later, lease=LEASE) for database in (world.database, neighbour))
        )
    await neighbour.close()

    assert [subject for subject in done if subject != "x"] == ["z", "y", "w"]


async def test_work_that_fails_does_not_hold_up_what_was_created_after_it(world: World) -> None:
    customer = uuid7()
    for subject in ("bad", "good"):
        async with world.database.begin() as tx:
            await due.add(tx, **_work(customer, subject, subject))

    async def refuse(tx: AsyncConnection, row: Due, now: datetime) -> None:
        raise ValueError("no")

    async def agree(tx: AsyncConnection, row: Due, now: datetime) -> None:
        pass

    handlers = Handlers(in_transaction={"bad": refuse, "good": agree}, in_stages={})
    for _ in range(2):
        await wall.run_due(world.database, handlers, now=WALL, lease=LEASE)

    async with world.database.begin() as tx:
        assert await due.of_subject(tx, customer_id=customer, subject="good") == []
        assert len(await due.of_subject(tx, customer_id=customer, subject="bad")) == 1


async def test_a_database_that_breaks_off_is_no_failure_of_the_work(world: World) -> None:
    row = await planned(world, "broken_off", subject="broken off")
    handlers = Handlers(in_transaction={"broken_off": _cut_off}, in_stages={})

    for n in range(wall.MAX_ATTEMPTS + 2):
        await wall.run_due(world.database, handlers, now=WALL + n * timedelta(hours=1), lease=LEASE)

    async with world.database.begin() as tx:
        [row] = await due.of_subject(tx, customer_id=NOBODY, subject="broken off")
        await due.finish(tx, row)
    assert (row.failed_at, row.last_error) == (None, None)


async def test_a_clock_waits_for_a_database_that_breaks_off_on_the_way(world: World) -> None:
    clock = await world.clock("2026-01-01")
    subscription = await world.subscribe(await world.customer(clock=clock), await world.price(), asked=_sent())
    async with world.database.begin() as tx:
        await advance_test_clock(tx, environment=ENVIRONMENT, id=clock.id, to=at("2026-02-10"), now=WALL)
    owner = uuid7()
    cut = Handlers(in_transaction=dict.fromkeys(HANDLERS.in_transaction, _cut_off), in_stages={})

    with pytest.raises(DBAPIError):
        await advance_claimed(world.database, cut, owner=owner, wall=lambda: WALL, lease=LEASE)
    async with world.database.begin() as tx:
        waiting = await clocks.find(tx, environment=ENVIRONMENT, id=clock.id)
    goes_on = await advance_claimed(world.database, HANDLERS, owner=owner, wall=lambda: WALL, lease=LEASE)

    assert waiting is not None and (waiting.status, waiting.failure) == ("advancing", None)
    assert goes_on
    async with world.database.begin() as tx:
        arrived = await clocks.find(tx, environment=ENVIRONMENT, id=clock.id)
    assert arrived is not None and (arrived.status, arrived.frozen_time) == ("ready", at("2026-02-10"))
    assert len(await world.invoices(subscription)) == 2


async def _cut_off(tx: AsyncConnection, row: Due, now: datetime) -> None:
    """The server ends the connection in the middle of the work."""
    await tx.execute(text("select pg_terminate_backend(pg_backend_pid())"))


def _work(customer: UUID, kind: str, subject: str) -> dict[str, Any]:
    return {
        "environment": ENVIRONMENT,
        "customer_id": customer,
        "kind": kind,
        "subject": subject,
        "boundary": WALL,
        "due_at": WALL,
        "clock": None,
    }
