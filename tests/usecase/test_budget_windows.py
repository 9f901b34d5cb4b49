"""Holds that live longer than a window of their budgets: what they capture counts once, on the day of the capture."""

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal

import pytest_asyncio

from meterline.limit.budget import Budget
from meterline.store.database import Database
from meterline.usecase import hold_funds, keep_budget
from meterline.usecase.work_wallet import work_on
from tests.usecase.test_wallet_races import NOW, Jane, opened

TOMORROW = NOW + timedelta(hours=12)


@pytest_asyncio.fixture
async def jane(database: Database) -> AsyncIterator[Jane]:
    mine = await opened(database)
    await mine.give("20")
    async with database.begin() as tx:
        work = await work_on(tx, environment="test", customer_id=mine.customer_id, now=NOW)
        await keep_budget.put(work, Budget(id="daily", asset="USD", amount=Decimal(10), window="day"))
        await keep_budget.put(work, Budget(id="all", asset="USD", amount=Decimal(10), window="total"))
    yield mine
    await mine.audit()


async def extend(jane: Jane, amount: str) -> None:
    async with jane.database.begin() as tx:
        work = await work_on(tx, environment="test", customer_id=jane.customer_id, now=TOMORROW)
        await hold_funds.extend(work, id="call", extension_id="more", amount=Decimal(amount), ttl=timedelta(hours=1))


async def stands(jane: Jane) -> dict[str, tuple[int, int]]:
    """What is spent and reserved today, tomorrow and in all, in whole dollars."""
    found: dict[str, tuple[int, int]] = {}
    for day, at in (("today", NOW), ("tomorrow", TOMORROW)):
        async with jane.database.begin() as tx:
            work = await work_on(tx, environment="test", customer_id=jane.customer_id, now=at)
            for each in await keep_budget.standings(work):
                name = "in all" if each.budget.window == "total" else day
                found[name] = (int(each.spent), int(each.reserved))
    return found


async def test_a_hold_that_is_extended_over_midnight_counts_once(jane: Jane) -> None:
    await jane.authorize("call", "3")
    await extend(jane, "4")
    assert await stands(jane) == {"today": (0, 3), "tomorrow": (0, 4), "in all": (0, 7)}
    await jane.capture("call", "4", capture_id="first", final=False, at=TOMORROW)
    assert await stands(jane) == {"today": (0, 0), "tomorrow": (4, 3), "in all": (4, 3)}
    await jane.capture("call", "1", at=TOMORROW)
    assert await stands(jane) == {"today": (0, 0), "tomorrow": (5, 0), "in all": (5, 0)}


async def test_one_that_is_captured_on_both_days_counts_on_both(jane: Jane) -> None:
    await jane.authorize("call", "3")
    await jane.capture("call", "1", capture_id="first", final=False)
    await extend(jane, "4")
    await jane.capture("call", "5", at=TOMORROW)
    assert await stands(jane) == {"today": (1, 0), "tomorrow": (5, 0), "in all": (6, 0)}


async def test_one_that_is_captured_the_day_after_counts_then(jane: Jane) -> None:
    await jane.authorize("call", "3")
    await jane.capture("call", "2", at=TOMORROW)
    assert await stands(jane) == {"today": (0, 0), "tomorrow": (2, 0), "in all": (2, 0)}


async def test_one_that_ends_without_a_capture_lets_go_of_both_days(jane: Jane) -> None:
    await jane.authorize("call", "3")
    await extend(jane, "4")
    await jane.release("call")
    assert await stands(jane) == {"today": (0, 0), "tomorrow": (0, 0), "in all": (0, 0)}
