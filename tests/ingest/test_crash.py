"""Whatever is killed, and whenever: every event that a client saw answered or told again counts exactly once.

Some of the customers have a wallet that pays for every event: it pays once, and the books add up.
"""

import asyncio
import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import httpx
import pytest

from meterline.cli.books import audited
from meterline.store import counter
from meterline.store.usage import hour_of
from tests.ingest.ruin import CUSTOMERS, SECRET, Postgres, Web, add_meter, furnish, ruins

BATCH = 50
CLIENTS = 4
BATCHES = 12
PAYING = CUSTOMERS[:3]
CENT = "0.01"
GRANTED = 1_000


@pytest.fixture(scope="module")
def ruined() -> Iterator[tuple[Postgres, list[Web]]]:
    with ruins(webs=2) as (postgres, webs):
        asyncio.run(furnish(postgres.dsn))
        yield postgres, webs


class Client(threading.Thread):
    """Sends its batches one after the other, each until it is answered, to either web process."""

    def __init__(self, urls: list[str], name: str, shared: list[list[dict[str, Any]]], seed: int) -> None:
        super().__init__(daemon=True)
        self._urls = urls
        self._chance = random.Random(f"{seed}/{name}")
        self._batches = list(shared)
        self._chance.shuffle(self._batches)

    def run(self) -> None:
        headers = {"authorization": f"Bearer {SECRET}", "content-type": "application/x-ndjson"}
        with httpx.Client(headers=headers, timeout=30) as client:
            for batch in self._batches:
                body = "\n".join(json.dumps(event) for event in batch)
                while not self._answered(client, body):
                    time.sleep(0.02)

    def _answered(self, client: httpx.Client, body: str) -> bool:
        url = self._chance.choice(self._urls)
        try:
            answer = client.post(f"{url}/ingest/events", content=body)
        except httpx.TransportError:
            return False
        if answer.status_code != 200:
            return False
        fates = {verdict["fate"] for verdict in answer.json()["verdicts"]}
        assert fates <= {"accepted", "duplicate"}, answer.text
        return True


def sell(webs: list[Web], event_name: str) -> None:
    """The wallets of the paying customers pay a cent for each unit from now on."""
    with talking(webs) as client:
        counted = {"event_type": event_name, "usage_type": "unit"}
        paid = [{"asset": "USD", "values": [{"unit_price": CENT}]}]
        price = {"name": "Units", "pricing_model": "flat", "usage_calculation": counted, "pricing": paid}
        product = {"name": event_name, "code": event_name, "publish": True, "prices": [price]}
        made = client.post("/products", json=product)
        assert made.status_code == 201, made.text
        for customer in PAYING:
            products = {"products": [{"code": event_name}]}
            assert client.post(f"/customers/{customer}/subscriptions", json=products).status_code == 201
            grant = {"asset": "USD", "amount": GRANTED, "id": event_name}
            assert client.post(f"/customers/{customer}/wallet/grants", json=grant).status_code == 201


def left(webs: list[Web]) -> dict[str, Decimal]:
    """What each wallet has available."""
    with talking(webs) as client:
        return {id: _available(client, id) for id in PAYING}


def _available(client: httpx.Client, customer: str) -> Decimal:
    while (answer := client.get(f"/customers/{customer}/wallet/default:USD")).status_code == 503:
        time.sleep(0.1)  # an old connection is found to be gone when it is used
    return Decimal(json.loads(answer.text, parse_float=str)["available"])


@contextmanager
def talking(webs: list[Web]) -> Iterator[httpx.Client]:
    """A client of a web process that is up, whose connections to the database are good."""
    webs[0].wait()
    with httpx.Client(base_url=webs[0].url, headers={"authorization": f"Bearer {SECRET}"}, timeout=60) as client:
        while client.get("/v1/products").status_code != 200:
            time.sleep(0.1)
        yield client


def survive(ruined: tuple[Postgres, list[Web]], seed: int, target: str) -> None:
    postgres, webs = ruined
    chance = random.Random(seed)
    name = f"seed{seed}"
    meter_id = asyncio.run(add_meter(postgres.dsn, name))
    batches: list[list[dict[str, Any]]] = [
        [
            {
                "event_name": name,
                "identifier": f"{name}-{n}-{k}",
                "payload": {"stripe_customer_id": chance.choice(CUSTOMERS), "value": str(chance.randint(1, 9))},
            }
            for k in range(BATCH)
        ]
        for n in range(BATCHES)
    ]
    sell(webs, name)
    before = left(webs)
    urls = [web.url for web in webs]
    # Every client sends every batch: all of them are retries of each other.
    clients = [Client(urls, str(n), batches, seed) for n in range(CLIENTS)]
    for client in clients:
        client.start()
    for _ in range(2):
        time.sleep(chance.uniform(0.02, 0.4))
        _ruin(postgres, webs, target, chance)
    for client in clients:
        client.join(120)
        assert not client.is_alive(), "a client was never answered"
    # The last kill may have come after the last answer.
    postgres.wait()
    _verify(postgres, meter_id, batches)
    events = [event["payload"] for batch in batches for event in batch]
    for customer, had in before.items():
        used = sum(Decimal(each["value"]) for each in events if each["stripe_customer_id"] == customer)
        assert left(webs)[customer] == had - used * Decimal(CENT)
    assert asyncio.run(audited(postgres.dsn))[1] == []


def _ruin(postgres: Postgres, webs: list[Web], target: str, chance: random.Random) -> None:
    match target:
        case "web":
            web = chance.choice(webs)
            web.kill()
            web.start()
        case "backend":
            try:
                postgres.kill_backend()
            except (asyncpg.PostgresError, OSError):
                return  # The server is still recovering from the last one.
        case "postmaster":
            postgres.kill()
            postgres.start()


def _verify(postgres: Postgres, meter_id: str, batches: list[list[dict[str, Any]]]) -> None:
    expected = sum((Decimal(event["payload"]["value"]) for batch in batches for event in batch), Decimal(0))

    async def look(connection: "asyncpg.Connection[asyncpg.Record]") -> tuple[int, Decimal, Decimal, int]:
        now = datetime.now(UTC)
        differences = await counter.compare(
            connection, start=hour_of(now) - timedelta(hours=3), end=hour_of(now) + timedelta(hours=1)
        )
        count, total = await connection.fetchrow(
            "select count(*), sum(value) from usage_event where meter = $1", meter_id
        )
        counted = await connection.fetchval("select sum(sum) from usage_hour where meter = $1", meter_id)
        return count, total, counted, len(differences)

    assert postgres.ask(look) == (BATCH * BATCHES, expected, expected, 0)


@pytest.mark.parametrize(("seed", "target"), [(1, "web"), (2, "backend"), (3, "postmaster")])
def test_a_kill_loses_and_doubles_nothing(ruined: tuple[Postgres, list[Web]], seed: int, target: str) -> None:
    survive(ruined, seed, target)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 160))
def test_many_kills_lose_and_double_nothing(ruined: tuple[Postgres, list[Web]], seed: int) -> None:
    survive(ruined, seed, ("web", "backend", "postmaster")[seed % 3])
