"""How the tests of broken things send events, by every route, and look at what was counted."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import httpx

from meterline.store import counter
from meterline.store.usage import hour_of
from tests.ingest.ruin import CUSTOMERS, Postgres

BATCH = 500

Event = dict[str, Any]


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
    """Send one event, and read, until the process has noticed that its old connections are gone; that event."""
    event = events(meter_name, "first", 1)
    for _ in range(50):
        told, read = own(client, event), client.get("/v1/products", params={"limit": 1})
        if told.status_code == read.status_code == 200:
            return event
        if told.status_code != 200:
            assert_try_again(told)
        if read.status_code != 200:
            assert_try_again(read, type="api_error")
    raise AssertionError(told.text, read.text)
