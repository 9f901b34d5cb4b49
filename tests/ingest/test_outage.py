"""A full disk, cut connections, a database that is away: clients are told to try again, and nothing is half-counted."""

import asyncio
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import httpx
import pytest

from meterline.store import counter
from meterline.store.usage import hour_of
from tests.ingest.ruin import CUSTOMERS, SECRET, Postgres, Web, add_meter, furnish, ruins

BATCH = 500
MOST_BATCHES = 100
MOST_SINGLES = 500

Event = dict[str, Any]


@pytest.fixture(scope="module")
def ruined() -> Iterator[tuple[Postgres, Web]]:
    with ruins(webs=1, patience_s=1) as (postgres, (web,)):
        asyncio.run(furnish(postgres.dsn))
        yield postgres, web


@pytest.fixture
def client(ruined: tuple[Postgres, Web]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=ruined[1].url, headers={"authorization": f"Bearer {SECRET}"}, timeout=60) as client:
        yield client


def events(name: str, batch: str, count: int) -> list[Event]:
    return [
        {
            "event_name": name,
            "identifier": f"{name}-{batch}-{n}",
            "payload": {"stripe_customer_id": CUSTOMERS[n % len(CUSTOMERS)], "value": str(n % 9 + 1)},
        }
        for n in range(count)
    ]


def own(client: httpx.Client, batch: list[Event]) -> httpx.Response:
    body = "\n".join(json.dumps(event) for event in batch)
    return client.post("/ingest/events", content=body, headers={"content-type": "application/x-ndjson"})


def v1(client: httpx.Client, event: Event) -> httpx.Response:
    members = {f"payload[{key}]": value for key, value in event["payload"].items()}
    form = {"event_name": event["event_name"], "identifier": event["identifier"], **members}
    return client.post("/v1/billing/meter_events", data=form)


def v2(client: httpx.Client, event: Event) -> httpx.Response:
    return client.post("/v2/billing/meter_events", json=event)


def stream(client: httpx.Client, token: str, batch: list[Event]) -> httpx.Response:
    headers = {"authorization": f"Bearer {token}"}
    return client.post("/v2/billing/meter_event_stream", json={"events": batch}, headers=headers)


def token_of(client: httpx.Client) -> str:
    answer = client.post("/v2/billing/meter_event_session", json={})
    for _ in range(50):
        if answer.status_code == 200:
            break
        answer = client.post("/v2/billing/meter_event_session", json={})  # the test before cut the pool's connections
    token: str = answer.json()["authentication_token"]
    return token


def assert_try_again(answer: httpx.Response, *, type: str | None = None) -> None:
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json()["error"].get("type") == type
    if type is not None:
        assert answer.headers["stripe-should-retry"] == "true"


def assert_counted(postgres: Postgres, meter_id: str, sent: list[Event] | None = None) -> None:
    """Counters are what a recount gives; with `sent`, the events are exactly those, each once."""

    async def look(connection: "asyncpg.Connection[asyncpg.Record]") -> tuple[list[Any], set[str], Decimal, Decimal]:
        this_hour = hour_of(datetime.now(UTC))
        differences = await counter.compare(
            connection, start=this_hour - timedelta(hours=3), end=this_hour + timedelta(hours=1)
        )
        rows = await connection.fetch("select identifier, value from usage_event where meter = $1", meter_id)
        counted = await connection.fetchval("select coalesce(sum(sum), 0) from usage_hour where meter = $1", meter_id)
        identifiers = {row["identifier"] for row in rows}
        assert len(identifiers) == len(rows)
        return list(differences), identifiers, sum((row["value"] for row in rows), Decimal(0)), counted

    differences, identifiers, stored, counted = postgres.ask(look)
    assert differences == []
    assert counted == stored
    if sent is not None:
        assert identifiers == {event["identifier"] for event in sent}
        assert counted == sum(Decimal(event["payload"]["value"]) for event in sent)


def send_again(client: httpx.Client, sent: list[Event]) -> None:
    for start in range(0, len(sent), BATCH):
        batch = sent[start : start + BATCH]
        answer = own(client, batch)
        for _ in range(50):
            if answer.status_code == 200:
                break
            assert_try_again(answer)  # a connection in the pool is found to be gone when it is used
            answer = own(client, batch)
        assert answer.status_code == 200, answer.text
        assert {verdict["fate"] for verdict in answer.json()["verdicts"]} <= {"accepted", "duplicate"}


def reconnect(client: httpx.Client, *, meter_name: str) -> list[Event]:
    """Send one event until the process has noticed that its old connections are gone; that event."""
    event = events(meter_name, "first", 1)
    answer = own(client, event)
    for _ in range(50):
        if answer.status_code == 200:
            return event
        assert_try_again(answer)
        answer = own(client, event)
    raise AssertionError(answer.text)


def test_a_full_disk_is_told_and_counts_nothing_by_halves(ruined: tuple[Postgres, Web], client: httpx.Client) -> None:
    postgres, _ = ruined
    meter_id = asyncio.run(add_meter(postgres.dsn, "full"))
    sent: list[Event] = []
    postgres.fill()
    try:
        reconnect(client, meter_name="full")
        accepted = 0
        for n in range(MOST_BATCHES):
            batch = events("full", str(n), BATCH)
            sent += batch
            refused = own(client, batch)
            if refused.status_code != 200:
                break
            accepted += 1
        assert accepted > 0
        assert_try_again(refused)
        for single in events("full", "single", MOST_SINGLES):
            sent.append(single)
            refused = v1(client, single)
            if refused.status_code != 200:
                break
        assert_try_again(refused, type="api_error")
        assert "could not extend file" in postgres.log
        assert_counted(postgres, meter_id)
    finally:
        postgres.free()

    sent += reconnect(client, meter_name="full")
    send_again(client, sent)
    assert_counted(postgres, meter_id, sent)


def test_cut_connections_lose_and_double_nothing(ruined: tuple[Postgres, Web], client: httpx.Client) -> None:
    postgres, _ = ruined
    meter_id = asyncio.run(add_meter(postgres.dsn, "cut"))
    done = threading.Event()

    def cut() -> None:
        while not done.wait(0.05):
            postgres.cut()

    cutting = threading.Thread(target=cut)
    cutting.start()
    sent: list[Event] = []
    try:
        for n in range(25):
            batch = events("cut", str(n), 50)
            sent += batch
            answer = own(client, batch)
            if answer.status_code != 200:
                assert_try_again(answer)
    finally:
        done.set()
        cutting.join()
    postgres.cut()
    assert_counted(postgres, meter_id)

    sent += reconnect(client, meter_name="cut")
    send_again(client, sent)
    assert_counted(postgres, meter_id, sent)


def test_a_database_that_stays_away_is_told_in_every_dialect(
    ruined: tuple[Postgres, Web], client: httpx.Client
) -> None:
    postgres, _ = ruined
    meter_id = asyncio.run(add_meter(postgres.dsn, "away"))
    token = token_of(client)
    before = events("away", "before", len(CUSTOMERS))
    assert stream(client, token, before).status_code == 200
    one, two, *batch = events("away", "during", 30)

    postgres.kill()
    try:
        # The session's token and the customers are known, so this one waits in the queue until patience ends.
        assert_try_again(stream(client, token, batch), type="api_error")
        # By now the key has to be looked up again, which fails as well.
        assert_try_again(own(client, batch))
        assert_try_again(v1(client, one), type="api_error")
        assert_try_again(v2(client, two), type="api_error")
    finally:
        postgres.start()
    before += reconnect(client, meter_name="away")

    send_again(client, [*before, one, two, *batch])
    assert_counted(postgres, meter_id, [*before, one, two, *batch])
