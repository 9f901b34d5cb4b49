"""A wallet through a random life: what holds after every step, and what was true of the past stays true."""

import asyncio
import random
from datetime import timedelta
from decimal import Decimal

import pytest

from meterline.ledger.account import Account
from meterline.refusal import Conflict, Refusal
from meterline.store import ledger
from meterline.store.database import Database
from meterline.store.identifier import public
from meterline.usecase.work_wallet import Refused
from tests.usecase.test_wallet_races import HOUR, NOW, Jane, opened

MINUTE = timedelta(minutes=1)


async def stood(jane: Jane, at: timedelta) -> dict[Account, Decimal]:
    """The balances as of a booking time."""
    async with jane.database.begin() as tx:
        return await ledger.balances_at(tx, environment="test", customer_id=jane.customer_id, instant=NOW + at)


async def step(jane: Jane, chance: random.Random, holds: list[str]) -> None:
    """Any one operation; a refusal is an answer too."""
    amount = str(Decimal(chance.randint(1, 4000)) / 1000)
    match chance.choice(["give", "hold", "hold", "capture", "capture", "part", "release", "charge"]):
        case "give":
            await jane.give(amount, funding=chance.choice(["paid", "promotional"]), priority=chance.randint(0, 3))
        case "hold":
            holds.append(id := public("hold"))
            await jane.authorize(id, amount, policy=chance.choice(["reject", "take_available", "overdraft"]))
        case "capture" if holds:
            await jane.capture(chance.choice(holds), amount, capture_id=public("cap"))
        case "part" if holds:
            await jane.capture(chance.choice(holds), amount, capture_id=public("cap"), final=False)
        case "release" if holds:
            await jane.release(chance.choice(holds))
        case _:
            await jane.charge(public("fee"), amount)


async def survive(jane: Jane, chance: random.Random, steps: int) -> None:
    holds: list[str] = []
    for _ in range(steps):
        try:
            await step(jane, chance, holds)
        except Refusal:
            continue


@pytest.mark.parametrize("seed", range(3))
async def test_the_books_agree_after_every_step_and_the_past_never_changes(database: Database, seed: int) -> None:
    jane = await opened(database)
    await jane.give("5")
    chance = random.Random(seed)
    closed: dict[timedelta, dict[Account, Decimal]] = {}
    for n in range(12):
        await survive(jane, chance, 3)
        await jane.audit()
        closed[n * MINUTE] = await stood(jane, n * MINUTE)
    for at, balances in closed.items():
        assert await stood(jane, at) == balances
    for balances in closed.values():
        assert sum(balances.values()) == 0


async def test_eight_workers_at_once_leave_the_books_in_order(database: Database) -> None:
    jane = await opened(database)
    await jane.give("20")
    await asyncio.gather(*[survive(jane, random.Random(n), 12) for n in range(8)])
    await jane.audit()
    assert await jane.available() >= 0


async def test_a_grant_whose_id_another_kind_of_value_took_is_a_conflict(database: Database) -> None:
    jane = await opened(database)
    await jane.give("1", id="grant_gift")
    with pytest.raises(Conflict):
        await jane.adjust("gift", "2")
    assert await jane.available() == 1
    assert not isinstance(await jane.adjust("other", "2"), Refused)
    await jane.audit()


async def test_one_id_at_once_with_one_content_and_with_another(database: Database) -> None:
    jane = await opened(database)
    same = await asyncio.gather(*[jane.adjust("gift", "2") for _ in range(8)])
    assert all(each == same[0] for each in same)
    answers = await asyncio.gather(*[jane.adjust("gift", str(3 + n)) for n in range(8)], return_exceptions=True)
    assert all(isinstance(each, Conflict) for each in answers)
    assert await jane.available() == 2
    first = await asyncio.gather(*[jane.adjust("new", str(1 + n % 2)) for n in range(8)], return_exceptions=True)
    done = [each for each in first if not isinstance(each, BaseException)]
    assert len(done) == 4 and all(each == done[0] for each in done)
    await jane.audit()


async def test_a_hold_that_expires_while_it_is_captured_ends_once(database: Database) -> None:
    jane = await opened(database)
    await jane.give("50")
    for n in range(10):
        await jane.authorize(f"call_{n}", "2", policy="take_available")
    later = NOW + 2 * HOUR
    await asyncio.gather(
        *[jane.expire(f"call_{n}", later) for n in range(10)],
        *[jane.capture(f"call_{n}", "1", at=later) for n in range(10)],
    )
    await jane.audit()
    assert await jane.available() == 40
