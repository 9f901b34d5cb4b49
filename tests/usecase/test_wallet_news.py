"""What wallets tell of themselves: purchases, automatic ones, and what ended when its time was over."""

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal

import pytest_asyncio
from sqlalchemy import select

from meterline.store import notice, top_up
from meterline.store.database import Database
from meterline.store.identifier import public
from meterline.usecase import move_funds
from tests.usecase.test_wallet_life import DAY, START, Jane, born, recharges, reference_of, saved_card


@pytest_asyncio.fixture
async def owner(database: Database) -> AsyncIterator[Jane]:
    yield await born(database)


async def _told(jane: Jane) -> list[str]:
    """The types of what was told of the wallet, earliest first."""
    table = notice.notice
    query = select(table.c.type).where(table.c.customer_id == jane.customer_id).order_by(table.c.sequence)
    async with jane.database.begin() as tx:
        return list(await tx.scalars(query))


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
