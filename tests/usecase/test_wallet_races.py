"""Wallets under real concurrency: many callers, one PostgreSQL, nothing spent twice and nothing lost."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
import pytest_asyncio

from meterline.customer import Customer
from meterline.ledger.account import WALLET, Account
from meterline.refusal import Conflict
from meterline.store import customer, ledger, wallet
from meterline.store.database import Database, driver
from meterline.store.identifier import public, uuid7
from meterline.usecase import hold_funds, move_funds
from meterline.usecase.hold_funds import Estimate
from meterline.usecase.move_funds import NewGrant
from meterline.usecase.subscribe_wallet import open_wallet
from meterline.usecase.work_wallet import Answer, OpenWallet, Refused, work_on
from meterline.wallet.hold import Policy
from meterline.wallet.pocket import posted

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Jane:
    """A customer with a wallet, and what can be done to it, each in a transaction of its own."""

    def __init__(self, database: Database, customer_id: UUID) -> None:
        self.database = database
        self.customer_id = customer_id

    async def give(self, amount: str, *, id: str | None = None, **more: object) -> Answer | Refused:
        new = NewGrant(
            id=id or public("grant"),
            asset="USD",
            amount=Decimal(amount),
            purpose="promotion",
            **({"funding": "paid", "effective_at": NOW} | more),  # type: ignore[arg-type]
        )
        async with self.database.begin() as tx:
            return await move_funds.grant(
                tx, environment="test", customer_id=self.customer_id, new=new, asked_start=None, clock=None, now=NOW
            )

    async def authorize(
        self, id: str, amount: str, *, policy: Policy = "reject", retryable: bool = False, at: datetime = NOW
    ) -> Answer | Refused:
        async def estimate(_: OpenWallet) -> Estimate:
            return Estimate(asset="USD", amount=Decimal(amount))

        async with self.database.begin() as tx:
            work = await work_on(tx, environment="test", customer_id=self.customer_id, now=at)
            return await hold_funds.authorize(
                work,
                id=id,
                said={"amount": amount},
                estimate=estimate,
                ttl=HOUR,
                policy=policy,
                retryable=retryable,
            )

    async def capture(
        self, id: str, amount: str, *, capture_id: str | None = None, final: bool = True, at: datetime = NOW
    ) -> Answer | Refused:
        async def cost(_: OpenWallet) -> Decimal:
            return Decimal(amount)

        async with self.database.begin() as tx:
            work = await work_on(tx, environment="test", customer_id=self.customer_id, now=at, active=False)
            return await hold_funds.capture(
                work, id=id, capture_id=capture_id, said={"amount": amount, "final": final}, amount=cost, final=final
            )

    async def release(self, id: str) -> Answer | Refused:
        async with self.database.begin() as tx:
            work = await work_on(tx, environment="test", customer_id=self.customer_id, now=NOW, active=False)
            return await hold_funds.release(work, id=id)

    async def expire(self, id: str, at: datetime) -> None:
        async with self.database.begin() as tx:
            await hold_funds.expire(tx, environment="test", customer_id=self.customer_id, id=id, now=at)

    async def charge(self, id: str, amount: str) -> Answer | Refused:
        async with self.database.begin() as tx:
            return await move_funds.charge(
                tx,
                environment="test",
                customer_id=self.customer_id,
                id=id,
                asset="USD",
                amount=Decimal(amount),
                subject=None,
                description=None,
                marks=(),
                now=NOW,
            )

    async def adjust(self, id: str, amount: str) -> Answer | Refused:
        async with self.database.begin() as tx:
            return await move_funds.adjust(
                tx,
                environment="test",
                customer_id=self.customer_id,
                id=id,
                asset="USD",
                amount=Decimal(amount),
                reason="gift",
                effective_at=None,
                expires_at=None,
                description=None,
                clock=None,
                now=NOW,
            )

    async def available(self, at: datetime = NOW) -> Decimal:
        async with self.database.begin() as tx:
            work = await work_on(tx, environment="test", customer_id=self.customer_id, now=at, active=False)
            return work.pocket("USD").available(at)

    async def audit(self) -> None:
        """The books add up, and the grants are what the books say."""
        async with self.database.pool.acquire() as connection, connection.transaction(isolation="repeatable_read"):
            assert await ledger.verify(connection, self.customer_id) == []
            stood = (await ledger.balances(connection, [self.customer_id]))[self.customer_id]
            wallets = await wallet.find(connection, [self.customer_id])
            pocket = (await wallet.pockets(connection, wallets))[self.customer_id, "USD"]
            holds = await wallet.open_holds(connection, self.customer_id)
        lent = sum((hold.shortage for hold in holds), Decimal(0))
        assert posted(pocket) == sum((stood.get(Account(kind, "USD"), Decimal(0)) for kind in WALLET), Decimal(0))
        assert stood.get(Account("held", "USD"), Decimal(0)) == sum((hold.left for hold in holds), Decimal(0))
        assert sum(grant.held for grant in pocket.grants) + lent == sum(hold.left for hold in holds)
        for asset in {account.asset for account in stood}:
            assert sum(amount for account, amount in stood.items() if account.asset == asset) == 0


async def opened(database: Database, *, wallet: bool = True) -> Jane:
    """A new customer, with an empty wallet."""
    new = Customer(environment="test", customer_id=uuid7(), id=public("cus"), created=NOW, invoice_prefix="JANE")
    async with database.begin() as tx:
        await customer.add(tx, new)
        if wallet:
            await open_wallet(tx, environment="test", customer_id=new.customer_id, now=NOW)
    return Jane(database, new.customer_id)


@pytest_asyncio.fixture
async def jane(database: Database) -> AsyncIterator[Jane]:
    mine = await opened(database)
    yield mine
    await mine.audit()


async def all_of(count: int, act: Callable[[int], Awaitable[Answer | Refused]]) -> tuple[list[Answer], list[Refused]]:
    answers = await asyncio.gather(*[act(n) for n in range(count)])
    return (
        [each for each in answers if not isinstance(each, Refused)],
        [each for each in answers if isinstance(each, Refused)],
    )


async def test_two_hundred_callers_on_a_balance_for_one_hundred(jane: Jane) -> None:
    await jane.give("5")
    granted, refused = await all_of(200, lambda n: jane.authorize(f"call_{n}", "0.05"))
    assert (len(granted), len(refused)) == (100, 100)
    assert {each.rule for each in refused} == {"insufficient_funds"}
    assert await jane.available() == 0


async def test_twenty_holds_of_seventy_five_on_five_hundred(jane: Jane) -> None:
    await jane.give("300")
    await jane.give("200", funding="promotional")
    granted, _ = await all_of(20, lambda n: jane.authorize(f"call_{n}", "75"))
    assert len(granted) == 6
    assert await jane.available() == 50


async def test_one_id_has_one_effect_however_often_and_at_once_it_is_sent(jane: Jane) -> None:
    await jane.give("10")
    answers, _ = await all_of(20, lambda _: jane.authorize("call", "3"))
    assert len(answers) == 20 and all(each == answers[0] for each in answers)
    assert await jane.available() == 7
    with pytest.raises(Conflict):
        await jane.authorize("call", "4")
    assert await jane.available() == 7


async def test_a_refused_id_stays_refused_after_a_top_up(jane: Jane) -> None:
    await jane.give("1")
    assert isinstance(await jane.authorize("call", "2"), Refused)
    await jane.give("100")
    assert isinstance(await jane.authorize("call", "2"), Refused)
    assert not isinstance(await jane.authorize("another_call", "2"), Refused)


async def test_captures_releases_and_charges_at_once_end_every_hold_once(jane: Jane) -> None:
    await jane.give("100")
    await all_of(40, lambda n: jane.authorize(f"call_{n}", "2"))

    async def act(n: int) -> Answer | Refused:
        if n % 4 == 0:
            return await jane.release(f"call_{n}")
        if n % 4 == 1:
            await jane.capture(f"call_{n}", "0.5", capture_id="first", final=False)
            return await jane.capture(f"call_{n}", "0.25")
        if n % 4 == 2:
            return await jane.charge(f"fee_{n}", "1")
        return await jane.capture(f"call_{n}", "2")

    await all_of(40, act)
    # Ten captured 0.75, ten captured 2, ten charged 1; ten holds of 2 are still open beside the charges.
    assert await jane.available() == Decimal(100) - Decimal("7.5") - 20 - 10 - 20


async def test_a_hold_expires_once_and_a_late_capture_is_not_lost(jane: Jane) -> None:
    await jane.give("10")
    await jane.authorize("call", "4", policy="take_available")
    later = NOW + 2 * HOUR
    await asyncio.gather(*[jane.expire("call", later) for _ in range(8)])
    assert await jane.available(later) == 10
    late = await jane.capture("call", "12", at=later)
    assert not isinstance(late, Refused)
    assert (late["captured_now"], late["uncovered_now"]) == ("10", "2")
    assert await jane.available(later) == 0


async def test_a_late_capture_under_reject_is_recorded_as_uncovered(jane: Jane) -> None:
    await jane.give("10")
    await jane.authorize("call", "4")
    later = NOW + 2 * HOUR
    await jane.expire("call", later)
    late = await jane.capture("call", "3", at=later)
    assert not isinstance(late, Refused)
    assert (late["captured_now"], late["uncovered_now"], late["uncovered"]) == ("0", "3", "3")


async def test_held_value_outlives_its_grant_and_lapses_when_given_back(jane: Jane) -> None:
    end = NOW + HOUR
    await jane.give("10", id="short", expires_at=end)
    await jane.authorize("call", "4")
    after = end + HOUR
    async with jane.database.begin() as tx:
        await move_funds.expire_grant(tx, environment="test", customer_id=jane.customer_id, id="short", now=after)
    await jane.audit()
    captured = await jane.capture("call", "1", at=after)
    assert not isinstance(captured, Refused)
    async with jane.database.begin() as tx:
        books = await ledger.balances(await driver(tx), [jane.customer_id])
    assert books[jane.customer_id][Account("breakage", "USD")] == 9
    assert books[jane.customer_id][Account("revenue", "USD")] == 1


async def test_a_crash_between_the_steps_leaves_nothing_half_done(jane: Jane) -> None:
    await jane.give("10")

    async def breaking(n: int) -> None:
        async with jane.database.begin() as tx:
            work = await work_on(tx, environment="test", customer_id=jane.customer_id, now=NOW)

            async def estimate(_: OpenWallet) -> Estimate:
                return Estimate(asset="USD", amount=Decimal(1))

            await hold_funds.authorize(
                work,
                id=f"call_{n}",
                said={},
                estimate=estimate,
                ttl=HOUR,
                policy="reject",
                retryable=False,
            )
            if n % 2:
                pid = await (await driver(tx)).fetchval("SELECT pg_backend_pid()")
                async with jane.database.pool.acquire() as other:
                    await other.execute("SELECT pg_terminate_backend($1)", pid)
                await asyncio.sleep(0.05)

    await asyncio.gather(*[breaking(n) for n in range(8)], return_exceptions=True)
    assert await jane.available() == 6


async def test_a_balance_of_the_past_never_changes(jane: Jane) -> None:
    await jane.give("10")
    async with jane.database.begin() as tx:
        then = await ledger.balances_at(tx, environment="test", customer_id=jane.customer_id, instant=NOW + HOUR)
    await jane.charge("late_fee", "4")
    async with jane.database.begin() as tx:
        again = await ledger.balances_at(tx, environment="test", customer_id=jane.customer_id, instant=NOW + HOUR)
    assert then == again


async def test_a_changed_row_is_named_by_the_audit(jane: Jane) -> None:
    await jane.give("10")
    await jane.charge("fee", "4")
    async with jane.database.pool.acquire() as connection:
        tampering = connection.transaction()
        await tampering.start()
        await connection.execute(
            "UPDATE ledger_transfer SET amount = 3 WHERE customer_id = $1 AND cause = 'fee'", jane.customer_id
        )
        found = await ledger.verify(connection, jane.customer_id)
        await tampering.rollback()
    assert found[0].where == "transaction 2 line 0" and "hash" in found[0].what
    assert {each.where for each in found[1:]} == {"paid USD", "revenue USD"}


async def test_the_journal_cannot_be_changed_by_an_ordinary_role(jane: Jane) -> None:
    await jane.give("1")
    async with jane.database.pool.acquire() as connection:
        granted = await connection.fetch(
            "SELECT privilege_type FROM information_schema.role_table_grants WHERE table_name = 'ledger_transfer'"
        )
    assert {"UPDATE", "DELETE", "TRUNCATE"}.isdisjoint({row[0] for row in granted})
