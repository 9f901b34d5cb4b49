"""Budgets, in money and in units: what is held, what is recorded unasked, and what comes after its hold ended."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.wire.conftest import SECRET

TOKENS = {
    "name": "Tokens",
    "code": "tokens",
    "publish": True,
    "prices": [
        {
            "name": "Tokens used",
            "usage_calculation": {
                "event_type": "chat",
                "usage_type": "volume",
                "volume_field": "tokens",
                "billable_dimensions": ["spender"],
            },
            "pricing": [{"asset": "USD", "values": [{"dimensions": {"spender": "*"}, "volume_rate": "0.01"}]}],
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
    """A customer with a hundred dollars and a key below a team."""
    made = credyt.post("/customers", json={"name": "Jane", "subscriptions": [{"products": [{"code": "tokens"}]}]})
    id = str(made.json()["id"])
    body = {"asset": "USD", "amount": 100, "reason": "external_topup"}
    assert credyt.post(f"/customers/{id}/wallet/adjustments", json=body).status_code == 201
    for member, parent in (("team", None), ("key", "team")):
        assert credyt.put(f"/customers/{id}/spenders/{member}", json={"parent": parent}).status_code == 200
    return id


def budget(credyt: httpx.Client, jane: str, id: str, amount: object, **more: object) -> None:
    body = {"amount": amount, "window": "day", **({} if "event_type" in more else {"asset": "usd"}), **more}
    put = credyt.put(f"/customers/{jane}/budgets/{id}", json=body)
    assert put.status_code == 200, put.text


def left(credyt: httpx.Client, jane: str) -> dict[str, float]:
    return {each["id"]: each["left"] for each in credyt.get(f"/customers/{jane}/budgets").json()["items"]}


def use(credyt: httpx.Client, jane: str, tokens: int, spender: str = "key") -> str:
    event = {"id": str(uuid4()), "event_type": "chat", "data": {"tokens": tokens, "spender": spender}}
    answered = credyt.post("/events", json={"customer_id": jane, "events": [event]}).json()["events"][0]
    assert answered["status"] == "billed", answered
    return str(event["id"])


def call(jane: str, tokens: int, **more: object) -> dict[str, Any]:
    asked = {"customer_id": jane, "event_type": "chat", "volume_field": "tokens", "quantity": tokens}
    return asked | {"dimensions": {"spender": "key"}, "subject": "key", **more}


def test_recorded_usage_counts_on_every_level_and_is_never_refused(credyt: httpx.Client, jane: str) -> None:
    budget(credyt, jane, "all", 5)
    budget(credyt, jane, "team", 2, spender="team")
    budget(credyt, jane, "other", 2, spender="somebody")
    budget(credyt, jane, "tokens", 150, event_type="chat", volume_field="tokens", hard=False)
    use(credyt, jane, 100)
    assert left(credyt, jane) == {"all": 4, "team": 1, "other": 2, "tokens": 50}
    use(credyt, jane, 200)
    assert left(credyt, jane) == {"all": 2, "team": -1, "other": 2, "tokens": -150}

    checked = credyt.post("/gate/check", json=call(jane, 1)).json()
    assert (checked["allowed"], checked["rule"], checked["budget"], checked["level"]) == (
        False,
        "budget_exceeded",
        "team",
        "team",
    )
    assert checked["resets_at"] is not None and checked["affordable_quantity"] == 0
    refused = credyt.post("/gate/authorize", json=call(jane, 1, id="held"))
    assert (refused.status_code, refused.json()["level"]) == (402, "team")
    assert (refused.json()["left"], refused.json()["asked"]) == ("-1", "0.01")
    assert refused.json()["detail"].endswith("leaves 0 USD; 0.01 USD were asked for.")
    events = credyt.get("/v1/events", params={"type": "budget.passed"}, headers={"Authorization": f"Bearer {SECRET}"})
    told = [each["data"]["object"] for each in events.json()["data"] if each["data"]["object"]["customer"] == jane]
    assert sorted((each["budget"], each["spent"], each["hard"]) for each in told) == [
        ("team", "3", True),
        ("tokens", "300", False),
    ]


def test_what_can_be_afforded_is_within_the_tightest_budget(credyt: httpx.Client, jane: str) -> None:
    assert credyt.post("/gate/check", json=call(jane, 10)).json()["affordable_quantity"] == 10_000
    budget(credyt, jane, "all", 5)
    checked = credyt.post("/gate/check", json=call(jane, 10)).json()
    assert (checked["affordable"], checked["affordable_quantity"], checked["spendable"]) == ("5", 500, "100")
    budget(credyt, jane, "tokens", 42, event_type="chat", volume_field="tokens")
    assert credyt.post("/gate/check", json=call(jane, 10)).json()["affordable_quantity"] == 42


def test_a_budget_of_units_is_held_and_captured_in_units(credyt: httpx.Client, jane: str) -> None:
    budget(credyt, jane, "tokens", 100, event_type="chat", volume_field="tokens")
    assert credyt.post("/gate/authorize", json=call(jane, 80, id="one")).status_code == 201
    refused = credyt.post("/gate/authorize", json=call(jane, 21, id="two"))
    assert (refused.status_code, refused.json()["budget"]) == (402, "tokens")
    asked = {key: value for key, value in call(jane, 30, id="one").items() if key != "subject"}
    assert credyt.post("/gate/capture", json=asked).status_code == 200
    assert left(credyt, jane) == {"tokens": 70}
    assert credyt.post("/gate/authorize", json=call(jane, 70, id="three")).status_code == 201
    credyt.post("/gate/release", json={"customer_id": jane, "id": "three"})
    assert left(credyt, jane) == {"tokens": 70}
    assert credyt.post("/gate/authorize", json=call(jane, 70, id="four")).status_code == 201
    assert credyt.post("/gate/capture", json={"customer_id": jane, "id": "four", "amount": "0.2"}).status_code == 200
    assert left(credyt, jane) == {"tokens": 0}


def test_a_capture_after_its_hold_ended_counts(credyt: httpx.Client, jane: str) -> None:
    budget(credyt, jane, "team", 5, spender="team")
    held = {"customer_id": jane, "asset": "USD", "amount": 2, "subject": "key", "policy": "take_available", "id": "a"}
    assert credyt.post("/gate/authorize", json=held).status_code == 201
    credyt.post("/gate/release", json={"customer_id": jane, "id": "a"})
    assert left(credyt, jane) == {"team": 5}
    late = {"customer_id": jane, "id": "a", "amount": 3}
    assert credyt.post("/gate/capture", json=late).json()["captured_now"] == "3"
    assert credyt.post("/gate/capture", json=late).json()["captured_now"] == "3"
    assert left(credyt, jane) == {"team": 2}


def test_usage_that_is_taken_back_leaves_the_budgets_too(credyt: httpx.Client, raw: httpx.Client, jane: str) -> None:
    budget(credyt, jane, "team", 5, spender="team")
    budget(credyt, jane, "tokens", 500, event_type="chat", volume_field="tokens")
    id = use(credyt, jane, 100)
    assert left(credyt, jane) == {"team": 4, "tokens": 400}
    raw.post(f"/ingest/events/{id}:tokens/void", data={"reason": "an outage", "customer": jane})
    assert left(credyt, jane) == {"team": 5, "tokens": 500}


@pytest.mark.parametrize(
    "body",
    [
        {"amount": 1, "window": "day"},
        {"amount": 1, "window": "day", "asset": "USD", "event_type": "chat"},
        {"amount": 1, "window": "fortnight", "asset": "USD"},
        {"amount": "NaN", "window": "day", "asset": "USD"},
        {"amount": -1, "window": "day", "asset": "USD"},
        {"amount": "1e40", "window": "day", "asset": "USD"},
        {"amount": 1, "window": "day", "asset": "USD", "volume_field": "tokens"},
    ],
)
def test_a_wrong_budget_is_refused(credyt: httpx.Client, jane: str, body: dict[str, object]) -> None:
    answered = credyt.put(f"/customers/{jane}/budgets/b", json=body)
    assert (answered.status_code, answered.json()["code"]) == (400, "validation")
