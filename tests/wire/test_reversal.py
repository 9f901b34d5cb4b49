"""Usage that a wallet paid is taken back: its value returns to what paid for it."""

import asyncio
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
import stripe

from tests.wire.conftest import SECRET

TOKENS = {
    "name": "Tokens",
    "code": "tokens",
    "publish": True,
    "prices": [
        {
            "name": "Tokens used",
            "pricing_model": "tiered",
            "tiering": {"period": "monthly"},
            "usage_calculation": {
                "event_type": "chat",
                "usage_type": "volume",
                "volume_field": "tokens",
                "billable_dimensions": ["model"],
            },
            "pricing": [
                {
                    "asset": "USD",
                    "values": [
                        {
                            "dimensions": {"model": "large"},
                            "values": [{"up_to": 100, "volume_rate": "0.01"}, {"volume_rate": "0.005"}],
                        },
                        {"dimensions": {"model": "*"}, "volume_rate": "0.001"},
                    ],
                }
            ],
        }
    ],
}


@pytest.fixture(scope="module")
def credyt(base_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=base_url, headers={"X-CREDYT-API-KEY": SECRET}, timeout=60) as opened:
        assert opened.post("/products", json=TOKENS).status_code == 201
        yield opened


@pytest.fixture
def jane(credyt: httpx.Client) -> str:
    made = credyt.post("/customers", json={"name": "Jane", "subscriptions": [{"products": [{"code": "tokens"}]}]})
    return str(made.json()["id"])


def grant(credyt: httpx.Client, jane: str, id: str, amount: str, **more: object) -> None:
    body = {"id": id, "asset": "USD", "amount": amount, "funding": "paid", **more}
    assert credyt.post(f"/customers/{jane}/wallet/grants", json=body).status_code == 201


def chat(credyt: httpx.Client, jane: str, tokens: int, model: str = "large") -> str:
    """Use tokens; the id of what was debited."""
    event = {"id": str(uuid4()), "event_type": "chat", "subject": "run", "data": {"tokens": tokens, "model": model}}
    answered = credyt.post("/events", json={"customer_id": jane, "events": [event]})
    assert answered.json()["events"][0]["status"] == "billed", answered.text
    return f"{event['id']}:tokens"


def pocket(credyt: httpx.Client, jane: str) -> dict[str, Any]:
    found: dict[str, Any] = credyt.get(f"/customers/{jane}/wallet/default:USD").json()
    return found


def left(credyt: httpx.Client, jane: str) -> dict[str, float]:
    listed = credyt.get(f"/customers/{jane}/wallet/default:USD/grants").json()["items"]
    return {each["id"]: each["remaining"] for each in listed}


def void(raw: httpx.Client, jane: str, id: str) -> httpx.Response:
    return raw.post(f"/ingest/events/{id}/void", data={"reason": "never happened", "customer": jane})


def test_what_an_event_cost_returns_to_the_grants_that_paid_it(
    credyt: httpx.Client, raw: httpx.Client, jane: str
) -> None:
    grant(credyt, jane, "first", "0.3", priority=1)
    grant(credyt, jane, "second", "5")
    id = chat(credyt, jane, 50)
    assert left(credyt, jane) == {"first": 0, "second": 4.8}
    grant(credyt, jane, "in front", "1", priority=0)
    voided = void(raw, jane, id)
    assert voided.status_code == 200, voided.text
    assert voided.json()["detail"]["returned"] == "0.5"
    assert left(credyt, jane) == {"first": 0.3, "second": 5, "in front": 1}
    again = void(raw, jane, id)
    assert again.status_code == 400 and pocket(credyt, jane)["available"] == 6.3
    assert credyt.get(f"/customers/{jane}/tasks/run").status_code in (200, 404)


def test_tiers_move_up_when_the_first_of_a_month_is_taken_back(
    credyt: httpx.Client, raw: httpx.Client, jane: str
) -> None:
    grant(credyt, jane, "all", "10")
    first = chat(credyt, jane, 100)
    chat(credyt, jane, 100)
    assert pocket(credyt, jane)["available"] == 8.5
    void(raw, jane, first)
    assert pocket(credyt, jane)["available"] == 9
    chat(credyt, jane, 20)
    assert pocket(credyt, jane)["available"] == 8.9


def test_debt_is_forgiven_first_and_repaid_debt_returns_as_value(
    credyt: httpx.Client, raw: httpx.Client, jane: str
) -> None:
    grant(credyt, jane, "little", "0.4")
    first, second = chat(credyt, jane, 30), chat(credyt, jane, 30)
    assert pocket(credyt, jane)["debt"] == 0.2
    void(raw, jane, second)
    assert (pocket(credyt, jane)["debt"], pocket(credyt, jane)["available"]) == (0, 0.1)
    third = chat(credyt, jane, 30)
    grant(credyt, jane, "more", "1")
    assert pocket(credyt, jane)["available"] == 0.8
    void(raw, jane, third)
    void(raw, jane, first)
    assert pocket(credyt, jane)["available"] == 1.4


def test_a_replacement_is_debited_at_its_own_price_and_all_of_it_can_be_taken_back(
    credyt: httpx.Client, raw: httpx.Client, jane: str
) -> None:
    grant(credyt, jane, "all", "10")
    id = chat(credyt, jane, 10)
    asked = {"reason": "another model", "customer": jane, "value": "40", "dimensions[model]": "small"}
    replaced = raw.post(f"/ingest/events/{id}/replace", data=asked)
    assert replaced.status_code == 200, replaced.text
    assert pocket(credyt, jane)["available"] == 9.96
    reverted = raw.post(f"/ingest/corrections/{replaced.json()['id']}/revert")
    assert reverted.status_code == 200, reverted.text
    assert pocket(credyt, jane)["available"] == 9.9
    assert void(raw, jane, id).status_code == 200
    assert pocket(credyt, jane)["available"] == 10


def test_a_backfill_debits_what_it_puts_in_the_place_of_what_was(
    credyt: httpx.Client, raw: httpx.Client, client: stripe.StripeClient, jane: str
) -> None:
    grant(credyt, jane, "all", "10")
    chat(credyt, jane, 10)
    chat(credyt, jane, 20)
    [meter] = [each for each in client.v1.billing.meters.list().data if each.event_name == "chat.tokens"]
    now = client.v1.billing.meter_events.create(
        {
            "event_name": "chat.tokens",
            "payload": {"stripe_customer_id": jane, "value": "1", "model": "small"},
        }
    ).timestamp
    assert pocket(credyt, jane)["available"] == float(Decimal("9.699"))
    opened = raw.post(
        "/ingest/backfills",
        data={
            "customer": jane,
            "event_name": meter.event_name,
            "start": str(now - 600),
            "end": str(now + 60),
            "reason": "the gateway's log",
        },
    ).json()
    put = {"identifier": "log_1", "timestamp": str(now - 30), "payload": {"value": "50", "model": "large"}}
    flat = {
        "events[0][identifier]": put["identifier"],
        "events[0][timestamp]": put["timestamp"],
        "events[0][payload][value]": "50",
        "events[0][payload][model]": "large",
        "events[0][payload][stripe_customer_id]": jane,
    }
    staged = raw.post(f"/ingest/backfills/{opened['id']}/events", data=flat)
    assert staged.status_code == 200, staged.text
    closed = raw.post(f"/ingest/backfills/{opened['id']}/close")
    assert closed.status_code == 200, json.dumps(closed.json())
    assert pocket(credyt, jane)["available"] == 10


def test_a_cancellation_by_the_other_door_returns_it_too(
    credyt: httpx.Client, client: stripe.StripeClient, jane: str
) -> None:
    grant(credyt, jane, "all", "1")
    told = client.v1.billing.meter_events.create(
        {
            "event_name": "chat.tokens",
            "payload": {"stripe_customer_id": jane, "value": "10", "model": "large"},
            "identifier": f"told_{uuid4()}",
        }
    )
    assert pocket(credyt, jane)["available"] == 0.9
    client.v1.billing.meter_event_adjustments.create(
        {"event_name": "chat.tokens", "type": "cancel", "cancel": {"identifier": told.identifier}}
    )
    assert pocket(credyt, jane)["available"] == 1


def test_all_of_a_task_is_taken_back_and_looked_at_before(credyt: httpx.Client, jane: str) -> None:
    grant(credyt, jane, "all", "10")
    events = [
        {"id": str(uuid4()), "event_type": "chat", "subject": task, "data": {"tokens": 50, "model": "large"}}
        for task in ("broken", "fine", "broken", "broken")
    ]
    answered = credyt.post("/events", json={"customer_id": jane, "events": events})
    assert {each["status"] for each in answered.json()["events"]} == {"billed"}
    assert pocket(credyt, jane)["available"] == 8.5

    asked = {"reason": "the run broke", "subject": "broken"}
    looked = credyt.post(f"/customers/{jane}/reversals", json=asked | {"preview": True}).json()
    assert (looked["preview"], looked["events"], looked["returned"]) == (True, 3, "1")
    assert pocket(credyt, jane)["available"] == 8.5
    done = credyt.post(f"/customers/{jane}/reversals", json=asked).json()
    assert [each["returned"] for each in done["items"]] == [each["returned"] for each in looked["items"]]
    assert (done["events"], pocket(credyt, jane)["available"]) == (3, 9.5)
    again = credyt.post(f"/customers/{jane}/reversals", json=asked).json()
    assert (again["events"], pocket(credyt, jane)["available"]) == (0, 9.5)
    nothing_said = credyt.post(f"/customers/{jane}/reversals", json={"reason": "because"})
    assert nothing_said.status_code == 400


def test_a_reversal_that_the_database_stops_to_break_a_deadlock_is_begun_anew(
    credyt: httpx.Client, jane: str, dsn: str
) -> None:
    grant(credyt, jane, "g", "10")
    chat(credyt, jane, 100)
    answered = asyncio.run(_crossed(credyt, jane, dsn))
    assert (answered.status_code, answered.json()["returned"]) == (200, "1"), answered.text
    assert pocket(credyt, jane)["available"] == 10


async def _crossed(credyt: httpx.Client, jane: str, dsn: str) -> httpx.Response:
    """A reversal that has voided the event and waits for the books, while the books' holder wants the event."""
    whose = "(SELECT customer_id FROM public_id WHERE id = $1)"
    connection = await asyncpg.connect(dsn, server_settings={"deadlock_timeout": "30s"})
    try:
        async with connection.transaction():
            await connection.execute(f"SELECT FROM ledger_head WHERE customer_id = {whose} FOR UPDATE", jane)
            path, body = f"/customers/{jane}/reversals", {"reason": "a test", "event_type": "chat"}
            asked = asyncio.create_task(asyncio.to_thread(credyt.post, path, json=body))
            for _ in range(500):
                if await connection.fetchval(
                    "SELECT count(*) FROM (SELECT pg_stat_clear_snapshot()) AS anew, pg_stat_activity"
                    " WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%ledger_head%'"
                ):
                    break
                await asyncio.sleep(0.02)
            await connection.execute(f"UPDATE usage_event SET value = value WHERE customer_id = {whose}", jane)
        return await asked
    finally:
        await connection.close()
