"""Calls decided together come to what they would have come to one after the other."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from meterline.limit.budget import Budget
from meterline.refusal import Refusal
from meterline.store import spending
from meterline.store.database import Database, driver
from meterline.store.spending import Spent
from meterline.usecase import hold_funds, keep_budget
from meterline.usecase.gate_calls import GateCall, Gatekeeper
from meterline.usecase.hold_funds import Estimate, captured_as, extended_as, released_as
from meterline.usecase.work_wallet import Answer, OpenWallet, Refused, work_on
from meterline.wallet.hold import Policy
from tests.usecase.test_wallet_races import Jane, opened

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
POLICIES: tuple[Policy, ...] = ("reject", "take_available", "overdraft")


@dataclass(frozen=True)
class Step:
    """One call on the n-th of a few wallets."""

    who: int
    does: str
    hold: str
    id: str
    amount: Decimal
    policy: Policy
    final: bool
    retryable: bool

    @property
    def operation(self) -> str:
        names = {
            "authorize": self.hold,
            "capture": captured_as(self.hold, self.id),
            "extend": extended_as(self.hold, self.id),
            "release": released_as(self.hold),
        }
        return names[self.does]

    async def act(self, work: OpenWallet) -> Answer | Refused:
        said = {"amount": str(self.amount), "final": self.final}

        async def estimate(_: OpenWallet) -> Estimate:
            return Estimate(asset="USD", amount=self.amount)

        async def amount(_: OpenWallet) -> Decimal:
            return self.amount

        match self.does:
            case "authorize":
                return await hold_funds.authorize(
                    work,
                    id=self.hold,
                    said=said,
                    estimate=estimate,
                    ttl=timedelta(hours=1),
                    policy=self.policy,
                    retryable=self.retryable,
                )
            case "capture":
                return await hold_funds.capture(
                    work, id=self.hold, capture_id=self.id, said=said, amount=amount, final=self.final
                )
            case "extend":
                return await hold_funds.extend(work, id=self.hold, extension_id=self.id, amount=self.amount, ttl=None)
            case _:
                return await hold_funds.release(work, id=self.hold)


def story(seed: int, *, wallets: int) -> list[Step]:
    """Random calls, with ids that come again, with the same and with other content."""
    chance = random.Random(seed)
    return [
        Step(
            who=chance.randrange(wallets),
            does=chance.choice(("authorize", "authorize", "capture", "extend", "release")),
            hold=f"call_{chance.randrange(8)}",
            id=f"id_{chance.randrange(3)}",
            amount=Decimal(chance.choice(("0.25", "1", "3", "7.5"))),
            policy=chance.choice(POLICIES),
            final=chance.random() < 0.6,
            retryable=chance.random() < 0.3,
        )
        for _ in range(60)
    ]


async def together(database: Database, janes: Sequence[Jane], steps: Sequence[Step]) -> list[Answer | Refusal]:
    """All the calls at once, as they queue up while another batch commits."""
    keeper = Gatekeeper(database)
    calls = [
        GateCall(
            environment="test",
            customer_id=janes[step.who].customer_id,
            customer="cus",
            operation=step.operation,
            hold=step.hold,
            now=NOW,
            act=step.act,
        )
        for step in steps
    ]
    asked = [asyncio.create_task(keeper.ask(call)) for call in calls]
    await asyncio.sleep(0)
    await keeper.start()
    answers = await asyncio.gather(*asked)
    await keeper.stop()
    return list(answers)


async def one_by_one(database: Database, janes: Sequence[Jane], steps: Sequence[Step]) -> list[Answer | Refusal]:
    """The same calls, each in a transaction of its own."""
    answers: list[Answer | Refusal] = []
    for step in steps:
        try:
            async with database.begin() as tx:
                whose = janes[step.who].customer_id
                work = await work_on(tx, environment="test", customer_id=whose, now=NOW, active=False)
                answers.append(await step.act(work))
        except Refusal as refusal:
            answers.append(refusal)
    return answers


async def spent(jane: Jane) -> list[Spent]:
    """What the wallet was spent on, as charts show it."""
    async with jane.database.pool.acquire() as connection:
        days = {"start": NOW - timedelta(days=1), "end": NOW + timedelta(days=2)}
        return list(await spending.between(connection, jane.customer_id, **days))


def plain(answer: Answer | Refusal) -> object:
    return (type(answer), answer.code, answer.message) if isinstance(answer, Refusal) else answer


@pytest.mark.parametrize("seed", range(6))
async def test_a_batch_comes_to_what_its_calls_come_to_one_by_one(database: Database, seed: int) -> None:
    steps = story(seed, wallets=3)
    batched = [await opened(database) for _ in range(3)]
    serial = [await opened(database) for _ in range(3)]
    for each in (*batched, *serial):
        await each.give("12", id="paid")
        await each.give("6", id="given", funding="promotional", expires_at=NOW + timedelta(days=9))
    answers = await together(database, batched, steps)
    assert [plain(each) for each in answers] == [plain(each) for each in await one_by_one(database, serial, steps)]
    for mine, theirs in zip(batched, serial, strict=True):
        await mine.audit()
        assert await mine.available() == await theirs.available()
        assert await spent(mine) == await spent(theirs)


async def test_a_call_for_a_wallet_that_is_not_there_leaves_the_others_alone(database: Database) -> None:
    there, gone = await opened(database), await opened(database, wallet=False)
    await there.give("5")
    steps = [Step(n % 2, "authorize", f"call_{n}", "", Decimal(1), "reject", True, False) for n in range(6)]
    answers = await together(database, [there, gone], steps)
    assert [isinstance(each, Refusal) for each in answers] == [False, True] * 3
    assert await there.available() == 2


async def test_two_keepers_share_a_balance(database: Database) -> None:
    jane = await opened(database)
    await jane.give("5")
    steps = [Step(0, "authorize", f"call_{n}", "", Decimal("0.05"), "reject", True, False) for n in range(200)]
    halves = await asyncio.gather(*[together(database, [jane], steps[n::4]) for n in range(4)])
    answers = [each for half in halves for each in half]
    assert sum(not isinstance(each, Refusal) for each in answers) == 100
    assert await jane.available() == 0
    await jane.audit()


async def test_a_budget_that_is_set_while_a_call_waits_for_the_wallet_holds_for_it(database: Database) -> None:
    jane = await opened(database)
    await jane.give("5")
    step = Step(0, "authorize", "call", "", Decimal(3), "reject", True, False)
    async with database.begin() as tx:
        work = await work_on(tx, environment="test", customer_id=jane.customer_id, now=NOW)
        asked = asyncio.create_task(together(database, [jane], [step]))
        await waiting_for_the_wallet(database)
        await keep_budget.put(work, Budget(id="all", asset="USD", amount=Decimal(2), window="day"))
    (answer,) = await asked
    assert isinstance(answer, Refused) and answer.rule == "budget_exceeded"


async def waiting_for_the_wallet(database: Database) -> None:
    """Until somebody waits for a lock on the books."""
    async with database.pool.acquire() as connection:
        for _ in range(200):
            if await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND wait_event_type = 'Lock' AND query LIKE '%ledger_head%'"
            ):
                return
            await asyncio.sleep(0.02)
    raise AssertionError("nobody waits")


async def test_what_was_held_before_there_was_a_budget_counts_on_it_when_it_is_captured(database: Database) -> None:
    jane = await opened(database)
    await jane.give("5")
    await jane.authorize("old", "3")
    async with database.begin() as tx:
        work = await work_on(tx, environment="test", customer_id=jane.customer_id, now=NOW)
        await keep_budget.put(work, Budget(id="late", asset="USD", amount=Decimal(4), window="day"))
    await jane.authorize("new", "1")
    await jane.capture("old", "0.5", capture_id="first", final=False)
    await jane.capture("old", "1")
    await jane.capture("new", "0.25")
    async with database.begin() as tx:
        work = await work_on(tx, environment="test", customer_id=jane.customer_id, now=NOW)
        (stands,) = await keep_budget.standings(work)
    assert (stands.spent, stands.reserved) == (Decimal("1.75"), Decimal(0))


async def test_a_clock_that_is_advanced_while_a_call_waits_dates_its_hold(database: Database) -> None:
    jane = await opened(database)
    await jane.give("5")
    later = NOW + timedelta(days=40)
    async with database.pool.acquire() as connection:
        await connection.execute(
            "INSERT INTO test_clock (environment, id, sequence, frozen_time, status, created, deletes_after)"
            " VALUES ('test', $1, gen_random_uuid(), $2, 'ready', $2, $3)",
            clock := f"clock_{jane.customer_id.hex}",
            NOW,
            later,
        )
        await connection.execute("UPDATE customer SET test_clock = $2 WHERE customer_id = $1", jane.customer_id, clock)
    step = Step(0, "authorize", "call", "", Decimal(3), "reject", True, False)
    async with database.begin() as tx:
        await work_on(tx, environment="test", customer_id=jane.customer_id, now=NOW)
        asked = asyncio.create_task(together(database, [jane], [step]))
        await waiting_for_the_wallet(database)
        await (await driver(tx)).execute("UPDATE test_clock SET frozen_time = $2 WHERE id = $1", clock, later)
    (answer,) = await asked
    assert not isinstance(answer, Refusal)
    assert answer["created_at"] == later.isoformat()
    async with database.pool.acquire() as connection:
        planned = await connection.fetchrow("SELECT due_at, clock FROM due WHERE customer_id = $1", jane.customer_id)
    assert planned is not None and tuple(planned) == (later + timedelta(hours=1), clock)
