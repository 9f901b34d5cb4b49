"""What falls due for wallets, by the worker, in the customer's own time; and batches against one at a time."""

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import pytest_asyncio

from meterline.catalog import ByDimension, Graduated, Package, PerUnit, PriceModel, RateRow, Tier, Volume
from meterline.catalog.offer import Cadence, Entitlement
from meterline.customer import Customer
from meterline.ledger.account import Account
from meterline.payment.method import Card, PaymentMethod
from meterline.period import Interval
from meterline.store import customer, ledger, offer, payment_method, top_up
from meterline.store.database import Database, driver
from meterline.store.event import NewEvent, digest16
from meterline.store.identifier import public, uuid7
from meterline.store.usage import NO_DIMENSIONS, dimensions_text
from meterline.usecase import move_funds, subscribe_wallet
from meterline.usecase.collect_payment import PROCESSORS
from meterline.usecase.debit_usage import debit_usage, fee_amount
from meterline.usecase.publish_offer import NewPrice, create_offer
from meterline.usecase.subscribe_wallet import Chosen, open_wallet
from meterline.usecase.work_wallet import work_on
from meterline.wallet.recharge import RechargeRule
from meterline.worker.registry import HANDLERS
from meterline.worker.wall import run_due

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class Jane:
    """A customer with a wallet."""

    def __init__(self, database: Database, new: Customer) -> None:
        self.database = database
        self.customer = new
        self.customer_id = new.customer_id

    async def give(self, amount: str) -> None:
        async with self.database.begin() as tx:
            await move_funds.adjust(
                tx,
                environment="test",
                customer_id=self.customer_id,
                id=public("adj"),
                asset="USD",
                amount=Decimal(amount),
                reason="external_topup",
                effective_at=None,
                expires_at=None,
                description=None,
                clock=None,
                now=START,
            )

    async def charge(self, amount: str, at: datetime) -> None:
        async with self.database.begin() as tx:
            await move_funds.charge(
                tx,
                environment="test",
                customer_id=self.customer_id,
                id=public("fee"),
                asset="USD",
                amount=Decimal(amount),
                subject=None,
                description=None,
                marks=(),
                now=at,
            )

    async def available(self, at: datetime, asset: str = "USD") -> Decimal:
        async with self.database.begin() as tx:
            work = await work_on(tx, environment="test", customer_id=self.customer_id, now=at, active=False)
            return work.pocket(asset).available(at)

    async def books(self) -> dict[Account, Decimal]:
        async with self.database.pool.acquire() as connection, connection.transaction():
            assert await ledger.verify(connection, self.customer_id) == []
            return (await ledger.balances(connection, [self.customer_id])).get(self.customer_id, {})

    async def work_until(self, now: datetime) -> None:
        """Let the worker do what falls due up to `now`, an hour at a time."""
        at = START
        while at <= now:
            while await run_due(self.database, HANDLERS, now=at, lease=HOUR):
                pass
            at += HOUR


async def born(database: Database) -> Jane:
    new = Customer(environment="test", customer_id=uuid7(), id=public("cus"), created=START, invoice_prefix="JANE")
    async with database.begin() as tx:
        await customer.add(tx, new)
        await open_wallet(tx, environment="test", customer_id=new.customer_id, now=START)
    return Jane(database, new)


@pytest_asyncio.fixture
async def jane(database: Database) -> AsyncIterator[Jane]:
    mine = await born(database)
    yield mine
    await mine.books()


async def sell(
    database: Database,
    *prices: NewPrice,
    entitlements: tuple[Entitlement, ...] = (),
) -> str:
    code = public("code")
    async with database.begin() as tx:
        await create_offer(
            tx,
            environment="test",
            name=code,
            code=code,
            prices=prices,
            entitlements=entitlements,
            publish=True,
            now=START,
        )
    return code


async def subscribe(jane: Jane, code: str) -> str:
    async with jane.database.begin() as tx:
        made = await subscribe_wallet.subscribe(
            tx,
            environment="test",
            customer_id=jane.customer_id,
            chosen=[Chosen(key=code)],
            clock=None,
            now=START,
        )
    return made.status


def usage(event_type: str | None = None, model: PriceModel | None = None, **more: object) -> NewPrice:
    return NewPrice(
        name="Usage",
        asset="USD",
        model=model or PerUnit(unit=Decimal(5)),
        event_type=event_type or public("event"),
        **more,  # type: ignore[arg-type]
    )


async def test_what_comes_with_a_product_is_given_anew_every_day_and_the_rest_lapses(
    database: Database, jane: Jane
) -> None:
    daily = Entitlement(name="daily", asset="USD", amount=Decimal(3), every=Interval(unit="day"), refreshed=True)
    await subscribe(jane, await sell(database, usage(), entitlements=(daily,)))
    assert await jane.available(START) == 3
    await jane.charge("1", START + HOUR)
    await jane.work_until(START + DAY)
    assert await jane.available(START + DAY) == 3
    await jane.work_until(START + 3 * DAY)
    assert await jane.available(START + 3 * DAY) == 3
    books = await jane.books()
    assert books[Account("revenue", "USD")] == 1
    assert books[Account("promo_expense", "USD")] == -4


async def test_with_rollover_the_rest_goes_on_for_one_more_span(database: Database, jane: Jane) -> None:
    rolling = Entitlement(
        name="daily", asset="USD", amount=Decimal(3), every=Interval(unit="day"), refreshed=True, rollover=True
    )
    await subscribe(jane, await sell(database, usage(), entitlements=(rolling,)))
    await jane.work_until(START + DAY)
    assert await jane.available(START + DAY) == 6
    await jane.work_until(START + 2 * DAY)
    assert await jane.available(START + 2 * DAY) == 6


async def test_a_fixed_fee_recurs_until_the_wallet_cannot_pay_it(database: Database, jane: Jane) -> None:
    fixed = NewPrice(name="Plan", asset="USD", model=PerUnit(unit=Decimal(400)), interval=Interval(unit="day"))
    await jane.give("10")
    assert await subscribe(jane, await sell(database, fixed, usage())) == "active"
    await jane.work_until(START + 3 * DAY)
    assert await jane.available(START + 3 * DAY) == 2
    async with database.begin() as tx:
        assert [each.status for each in await offer.subscriptions(tx, jane.customer_id)] == ["action_required"]
        tariffs = await offer.tariffs(await driver(tx), [jane.customer_id])
    assert all(each.ends_at is not None for each in tariffs)


async def test_a_subscription_that_cannot_be_paid_waits(database: Database, jane: Jane) -> None:
    fixed = NewPrice(name="Plan", asset="USD", model=PerUnit(unit=Decimal(400)))
    assert await subscribe(jane, await sell(database, fixed, usage())) == "action_required"


async def saved_card(jane: Jane, number: str) -> str:
    method = PaymentMethod(
        environment="test",
        customer_id=jane.customer_id,
        id=public("pm"),
        customer=jane.customer.id,
        created=START,
        type="card",
        card=Card(brand="visa", last4=number[-4:], exp_month=1, exp_year=2040),
        processor="test",
        reference=number,
    )
    async with jane.database.begin() as tx:
        await payment_method.add(tx, method)
    return method.id


async def recharges(jane: Jane, card: str | None, **more: object) -> None:
    values: dict[str, object] = {"threshold": Decimal(5), "target": Decimal(25)}
    rule = RechargeRule(enabled=True, payment_method=card, **(values | more))  # type: ignore[arg-type]
    async with jane.database.begin() as tx:
        await top_up.put_rule(tx, environment="test", customer_id=jane.customer_id, asset="USD", new=rule)


async def log_of(jane: Jane) -> list[str]:
    async with jane.database.begin() as tx:
        return [each["decision"] for each in await top_up.logged(tx, jane.customer_id, "USD")][::-1]


def reference_of(name: str) -> str:
    registered = PROCESSORS["test"].named(name)
    assert registered is not None
    return registered.reference


async def test_a_wallet_that_falls_below_its_threshold_is_filled_to_its_target_once(
    database: Database, jane: Jane
) -> None:
    await recharges(jane, await saved_card(jane, reference_of("pm_card_visa")))
    await jane.give("10")
    for _ in range(3):
        await jane.charge("2", START)
    await jane.work_until(START)
    assert await jane.available(START) == 25
    assert await log_of(jane) == ["recharged"]
    await jane.work_until(START + DAY)
    assert await log_of(jane) == ["recharged"]


async def test_a_declined_card_backs_off_and_is_given_up_in_the_end(database: Database, jane: Jane) -> None:
    await recharges(jane, await saved_card(jane, reference_of("pm_card_chargeDeclined")))
    await jane.give("10")
    await jane.charge("6", START)
    await jane.work_until(START + 3 * DAY)
    assert await jane.available(START + 3 * DAY) == 4
    log = await log_of(jane)
    assert log.count("declined") == 4
    assert log[-1] == "declined_too_often"


async def test_money_whose_answer_was_lost_is_asked_for_again_and_credited_once(database: Database, jane: Jane) -> None:
    await recharges(jane, await saved_card(jane, reference_of("pm_card_answerLost")))
    await jane.give("10")
    await jane.charge("6", START)
    assert await jane.available(START) == 4
    await jane.work_until(START + 3 * HOUR)
    assert (await log_of(jane))[:2] == ["unanswered", "recharged"]
    assert await jane.available(START + 3 * HOUR) == 25
    assert (await jane.books())[Account("clearing", "USD", "test")] == -21


TWO_TIERS = Graduated(tiers=(Tier(up_to=10, unit=Decimal(7)), Tier(up_to=None, unit=Decimal("2.5"), flat=Decimal(3))))
MODELS: list[tuple[PriceModel, tuple[str, ...], Cadence]] = [
    (PerUnit(unit=Decimal("0.3333333333")), (), "lifetime"),
    (TWO_TIERS, (), "day"),
    (Volume(tiers=(Tier(up_to=20, unit=Decimal(9)), Tier(up_to=None, unit=Decimal(8)))), (), "lifetime"),
    (Package(size=7, unit=Decimal(100)), (), "month"),
    (
        ByDimension(
            keys=("model",),
            rows=(
                RateRow(match={"model": "large"}, model=PerUnit(unit=Decimal(3))),
                RateRow(match={"model": "*"}, model=Package(size=3, unit=Decimal(4))),
            ),
        ),
        ("model",),
        "lifetime",
    ),
]


def random_event(chance: random.Random, jane: Jane, meter: str, *, dimensional: bool) -> NewEvent:
    at = START + timedelta(minutes=chance.randrange(3 * 24 * 60))
    dimensions = dimensions_text({"model": chance.choice(["large", "small"])}) if dimensional else None
    identifier = public("evt")
    return NewEvent(
        customer_id=jane.customer_id,
        occurred_at=at,
        identifier16=digest16(identifier),
        environment="test",
        meter=meter,
        identifier=identifier,
        value=Decimal(chance.choice(["1", "4", "2.5", "-1"])),
        dimensions16=NO_DIMENSIONS if dimensions is None else digest16(dimensions),
        value16=None,
        body16=digest16("body"),
        received_at=START,
        dimensions=dimensions,
    )


async def debited(jane: Jane, events: list[NewEvent], sizes: list[int]) -> list[Decimal]:
    """Debit the events in batches of these sizes; the fee of each."""
    fees: list[Decimal] = []
    async with jane.database.pool.acquire() as connection:
        for size in sizes:
            batch, events = events[:size], events[size:]
            async with connection.transaction():
                done = await debit_usage(connection, environment="test", events=batch, now=START + 4 * DAY)
            fees += [sum((fee.amount for fee in done[n].fees), Decimal(0)) for n in range(len(batch))]
    return fees


@pytest.mark.parametrize(("model", "dimensions", "cadence"), MODELS, ids=[each[0].kind for each in MODELS])
async def test_a_batch_comes_to_what_its_events_come_to_one_at_a_time(
    database: Database, model: PriceModel, dimensions: tuple[str, ...], cadence: Cadence
) -> None:
    chance = random.Random(7)
    code = await sell(database, usage(model=model, dimensions=dimensions, cadence=cadence))
    batch, single = await born(database), await born(database)
    for each in (batch, single):
        await subscribe(each, code)
        await each.give("4")
    async with database.pool.acquire() as connection:
        meter = (await offer.tariffs(connection, [batch.customer_id]))[0].meter
    state = chance.getstate()
    first = [random_event(chance, batch, meter, dimensional=bool(dimensions)) for _ in range(40)]
    chance.setstate(state)
    second = [random_event(chance, single, meter, dimensional=bool(dimensions)) for _ in range(40)]

    at_once = await debited(batch, first, [1, 37, 2])
    one_by_one = await debited(single, second, [1] * 40)

    assert at_once == one_by_one
    assert await batch.books() == await single.books()
    assert await batch.available(START + 4 * DAY) == await single.available(START + 4 * DAY)


async def test_a_fee_can_be_worked_out_again_from_what_it_names(database: Database, jane: Jane) -> None:
    code = await sell(database, usage(model=TWO_TIERS, cadence="day"))
    await subscribe(jane, code)
    async with database.pool.acquire() as connection:
        tariff = (await offer.tariffs(connection, [jane.customer_id]))[0]
    chance = random.Random(11)
    events = [random_event(chance, jane, tariff.meter, dimensional=False) for _ in range(20)]
    await debited(jane, events, [20])
    async with database.pool.acquire() as connection:
        price = (await offer.prices(connection, "test", [tariff.price]))[tariff.price]
        fees = await offer.fees_of(
            connection, customer_id=jane.customer_id, identifiers16=[each.identifier16 for each in events]
        )
    assert len(fees) == 20
    for fee in fees:
        again = fee_amount(price, tariff, before=fee.before, after=fee.after, dimensions={})
        assert again == fee.amount
