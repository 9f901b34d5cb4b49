"""What wallets tell of themselves: purchases, automatic ones, and what ended when its time was over."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from decimal import Decimal

import pytest_asyncio
from sqlalchemy import select

from meterline.store import notice, top_up
from meterline.store.database import Database
from meterline.store.identifier import public
from meterline.usecase import move_funds
from meterline.usecase.subscribe_wallet import open_wallet
from meterline.worker.registry import HANDLERS
from meterline.worker.wall import run_due
from tests.usecase.test_wallet_life import DAY, START, Jane, born, recharges, reference_of, saved_card
from tests.usecase.world import World, at


@pytest_asyncio.fixture
async def owner(database: Database) -> AsyncIterator[Jane]:
    yield await born(database)


async def _told(jane: Jane) -> list[str]:
    """The types of what was told of the wallet, earliest first; payments and transactions tell of themselves."""
    table = notice.notice
    query = select(table.c.type).where(table.c.customer_id == jane.customer_id).order_by(table.c.sequence)
    async with jane.database.begin() as tx:
        types = list(await tx.scalars(query))
    return [type for type in types if not type.startswith(("payment_intent.", "charge.", "transaction."))]


async def test_a_recharge_is_told_from_the_attempt_to_the_credit(owner: Jane) -> None:
    await recharges(owner, await saved_card(owner, reference_of("pm_card_visa")))
    await owner.give("10")
    await owner.charge("6", START)
    await owner.work_until(START)
    assert await _told(owner) == ["topup.created", "autotopup.attempted", "topup.succeeded"]


async def test_a_declined_recharge_is_told_and_what_stops_the_next_one(owner: Jane) -> None:
    await recharges(owner, await saved_card(owner, reference_of("pm_card_chargeDeclined")))
    await owner.give("10")
    await owner.charge("6", START)
    await owner.work_until(START + 3 * DAY)
    told = await _told(owner)
    assert told[:4] == ["topup.created", "autotopup.attempted", "topup.failed", "autotopup.failed"]
    assert told.count("autotopup.failed") == 4 and told[-1] == "autotopup.blocked"


async def test_the_secret_of_a_top_up_is_told_to_nobody(owner: Jane) -> None:
    await recharges(owner, await saved_card(owner, reference_of("pm_card_visa")))
    await owner.give("10")
    await owner.charge("6", START)
    await owner.work_until(START)
    async with owner.database.begin() as tx:
        secrets = set(await tx.scalars(select(top_up.top_up.c.secret)))
        snapshots = list(await tx.scalars(select(notice.notice.c.snapshot)))
    assert secrets and not any(secret in str(snapshot) for secret in secrets for snapshot in snapshots)


async def test_a_grant_that_ends_says_what_was_left_of_it(owner: Jane) -> None:
    id = public("adj")
    async with owner.database.begin() as tx:
        await move_funds.adjust(
            tx,
            environment="test",
            customer_id=owner.customer_id,
            id=id,
            asset="USD",
            amount=Decimal(7),
            reason="gift",
            effective_at=None,
            expires_at=START + timedelta(hours=2),
            description=None,
            clock=None,
            now=START,
        )
    await owner.charge("3", START)
    await owner.work_until(START + DAY)
    table = notice.notice
    async with owner.database.begin() as tx:
        mine = select(table.c.snapshot).where(table.c.customer_id == owner.customer_id)
        [ended] = await tx.scalars(mine.where(table.c.type == "grant.expired"))
    assert Decimal(ended["amount"]) == 4
    assert (await _told(owner)).count("grant.expired") == 1


async def _given(jane: Jane, amount: str, *, lasts: timedelta) -> None:
    async with jane.database.begin() as tx:
        await move_funds.adjust(
            tx,
            environment="test",
            customer_id=jane.customer_id,
            id=public("adj"),
            asset="USD",
            amount=Decimal(amount),
            reason="gift",
            effective_at=None,
            expires_at=START + lasts,
            description=None,
            clock=None,
            now=START,
        )


async def _reminders(jane: Jane) -> list[tuple[timedelta, int]]:
    """How long before the end each reminder was told, and of how much."""
    table = notice.notice
    query = select(table.c.snapshot, table.c.created).where(table.c.customer_id == jane.customer_id)
    async with jane.database.begin() as tx:
        told = list(await tx.execute(query.where(table.c.type == "grant.expiring").order_by(table.c.sequence)))
    return [
        (datetime.fromisoformat(each["expires_at"]) - created, int(Decimal(each["amount"]))) for each, created in told
    ]


async def test_the_end_of_a_grant_is_told_thirty_seven_and_one_day_ahead(owner: Jane) -> None:
    await _given(owner, "9", lasts=32 * DAY)
    await owner.work_until(START + 3 * DAY)
    await owner.charge("4", START + 3 * DAY)
    await owner.work_until(START + 33 * DAY)
    assert await _reminders(owner) == [(30 * DAY, 9), (7 * DAY, 5), (DAY, 5)]
    assert (await _told(owner))[-1] == "grant.expired"


async def test_a_grant_that_was_used_up_meanwhile_is_told_of_no_more(owner: Jane) -> None:
    await _given(owner, "9", lasts=8 * DAY)
    await owner.work_until(START + 2 * DAY)
    await owner.charge("9", START + 2 * DAY)
    await owner.work_until(START + 9 * DAY)
    assert await _reminders(owner) == [(7 * DAY, 9)]


async def test_a_worker_that_was_away_tells_the_nearest_reminder_alone(owner: Jane) -> None:
    await _given(owner, "9", lasts=40 * DAY)
    while await run_due(owner.database, HANDLERS, now=START + 39 * DAY + timedelta(hours=1), lease=DAY):
        pass
    assert await _reminders(owner) == [(timedelta(hours=23), 9)]


async def test_a_grant_on_a_test_clock_is_told_of_in_the_time_of_the_clock(database: Database, world: World) -> None:
    clock = await world.clock("2026-01-01")
    customer = await world.customer(clock=clock, card=None)
    async with database.begin() as tx:
        await open_wallet(tx, environment="test", customer_id=customer.customer_id, now=at("2026-01-01"))
        await move_funds.adjust(
            tx,
            environment="test",
            customer_id=customer.customer_id,
            id=public("adj"),
            asset="USD",
            amount=Decimal(9),
            reason="gift",
            effective_at=None,
            expires_at=at("2026-02-10"),
            description=None,
            clock=clock.id,
            now=at("2026-01-01"),
        )
    await world.advance(clock, "2026-03-01")
    assert await _reminders(Jane(database, customer)) == [(30 * DAY, 9), (7 * DAY, 9), (DAY, 9)]
