"""Usage debited by several processes at once: every event pays once, whoever tells it how often."""

import asyncio
import random
from datetime import UTC, datetime
from decimal import Decimal

from meterline.catalog import Graduated, Tier
from meterline.customer import Customer
from meterline.ledger.account import Account
from meterline.store import customer, ledger, offer
from meterline.store.database import Database
from meterline.store.identifier import public, uuid7
from meterline.usecase.ingest_events import Ingest, Told, identifier16
from meterline.usecase.move_funds import adjust
from meterline.usecase.publish_offer import NewPrice, create_offer
from meterline.usecase.subscribe_wallet import Chosen, open_wallet, subscribe
from meterline.usecase.write_events import Accepted, Duplicate

TIERS = Graduated(tiers=(Tier(up_to=100, unit=Decimal(5)), Tier(up_to=None, unit=Decimal(3))))
EVENTS = 300


async def furnished(database: Database, count: int) -> tuple[str, list[Customer]]:
    """An event type that costs 5 cents up to a hundred and 3 after, and customers with ten dollars each."""
    now = datetime.now(UTC)
    event_type = public("event")
    people = []
    async with database.begin() as tx:
        price = NewPrice(name="Usage", asset="USD", model=TIERS, event_type=event_type)
        await create_offer(
            tx,
            environment="test",
            name="Usage",
            code=event_type,
            prices=[price],
            entitlements=[],
            publish=True,
            now=now,
        )
        for _ in range(count):
            new = Customer(
                environment="test", customer_id=uuid7(), id=public("cus"), created=now, invoice_prefix="JANE"
            )
            await customer.add(tx, new)
            await open_wallet(tx, environment="test", customer_id=new.customer_id, now=now)
            await subscribe(
                tx,
                environment="test",
                customer_id=new.customer_id,
                chosen=[Chosen(key=event_type)],
                clock=None,
                now=now,
            )
            await adjust(
                tx,
                environment="test",
                customer_id=new.customer_id,
                id="ten",
                asset="USD",
                amount=Decimal(10),
                reason="external_topup",
                effective_at=None,
                expires_at=None,
                description=None,
                clock=None,
                now=now,
            )
            people.append(new)
    return event_type, people


async def test_eight_processes_telling_the_same_events_debit_each_once(database: Database) -> None:
    chance = random.Random(3)
    event_type, people = await furnished(database, 3)
    told = [
        Told(event_name=event_type, payload={"value": "1"}, identifier=f"{event_type}_{n}", customer=who.id)
        for who in people
        for n in range(EVENTS)
    ]
    processes = [Ingest(database) for _ in range(8)]
    for each in processes:
        await each.start()

    async def tell(process: Ingest) -> int:
        mine = chance.sample(told, len(told))
        fates = []
        for start in range(0, len(mine), 90):
            fates += await process.take(
                mine[start : start + 90],
                environment="test",
                origin="own",
                now=datetime.now(UTC),
                keeps=lambda problem: problem.parked,
            )
        assert all(isinstance(fate, Accepted | Duplicate) for fate in fates), fates[:3]
        return sum(1 for fate in fates if isinstance(fate, Accepted))

    accepted = await asyncio.gather(*[tell(process) for process in processes])
    for each in processes:
        await each.stop()

    assert sum(accepted) == len(told)
    async with database.pool.acquire() as connection, connection.transaction():
        for who in people:
            assert await ledger.verify(connection, who.customer_id) == []
            books = (await ledger.balances(connection, [who.customer_id]))[who.customer_id]
            # A hundred at 5 cents and two hundred at 3 are eleven dollars: one more than there was.
            assert books[Account("revenue", "USD")] == 11
            assert books[Account("paid", "USD")] == 0
            assert books[Account("debt", "USD")] == -1
            assert books[Account("clearing", "USD", "outside")] == -10
        fees = await connection.fetch(
            "SELECT count(*), sum(amount) FROM usage_fee WHERE customer_id = ANY($1::uuid[])",
            [who.customer_id for who in people],
        )
        tallies = await connection.fetchval(
            "SELECT sum(quantity) FROM wallet_tally WHERE customer_id = ANY($1::uuid[])",
            [who.customer_id for who in people],
        )
    assert (fees[0][0], fees[0][1], tallies) == (len(told), 33, len(told))


async def test_a_batch_whose_connection_breaks_is_debited_once(database: Database) -> None:
    event_type, (who,) = await furnished(database, 1)
    process = Ingest(database)
    await process.start()
    told = [
        Told(event_name=event_type, payload={"value": "1"}, identifier=f"{event_type}_{n}", customer=who.id)
        for n in range(EVENTS)
    ]

    async def break_connections() -> None:
        async with database.pool.acquire() as connection:
            for _ in range(20):
                await connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = 'meterline ingest' AND datname = current_database()"
                )
                await asyncio.sleep(0.02)

    async def tell(start: int) -> int:
        fates = await process.take(
            told[start : start + 10],
            environment="test",
            origin="own",
            now=datetime.now(UTC),
            keeps=lambda problem: problem.parked,
        )
        return sum(1 for fate in fates if isinstance(fate, Accepted))

    done = await asyncio.gather(break_connections(), *[tell(start) for start in range(0, EVENTS, 10)])
    await process.stop()
    assert sum(each for each in done if each is not None) == EVENTS
    async with database.pool.acquire() as connection, connection.transaction():
        assert await ledger.verify(connection, who.customer_id) == []
        books = (await ledger.balances(connection, [who.customer_id]))[who.customer_id]
        assert len(await offer.tariffs(connection, [who.customer_id])) == 1
    assert books[Account("revenue", "USD")] == 11


async def test_identifiers_are_booked_letter_by_letter(database: Database) -> None:
    event_type, (who,) = await furnished(database, 1)
    odd = ["\\N", "\\.", "a\\tb", "tab\t", "line\nfeed", "re\rturn", "\x0b\x0c\x08", "\u2028", "ünï", "'\"", " "]
    identifiers = [f"{odd[n % len(odd)]}{n}" for n in range(150)]
    ingest = Ingest(database)
    await ingest.start()
    for _ in range(2):
        fates = await ingest.take(
            [
                Told(event_name=event_type, payload={"value": "1"}, identifier=each, customer=who.id)
                for each in identifiers
            ],
            environment="test",
            origin="own",
            now=datetime.now(UTC),
            keeps=lambda problem: problem.parked,
        )
    await ingest.stop()

    assert {type(fate) for fate in fates} == {Duplicate}
    async with database.pool.acquire() as connection, connection.transaction():
        assert await ledger.verify(connection, who.customer_id) == []
        causes = [row.cause.id async for row in ledger.read(connection, who.customer_id) if row.cause.kind == "event"]
        fees = await offer.fees_of(
            connection, customer_id=who.customer_id, identifiers16=[identifier16(each, None) for each in identifiers]
        )
    assert causes == identifiers
    assert sum(fee.amount for fee in fees) == Decimal("6.50")
