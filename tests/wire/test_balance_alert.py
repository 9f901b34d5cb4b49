"""Wallets that run low, run dry and recover are told in the transaction that spends or fills them."""

from typing import Any
from uuid import uuid4

import httpx
import pytest
import stripe

from tests.wire.conftest import SECRET
from tests.wire.test_wallet_story import PRODUCT


@pytest.fixture
def customer(base_url: str) -> str:
    with httpx.Client(base_url=base_url, headers={"X-CREDYT-API-KEY": SECRET}, timeout=60) as credyt:
        code = f"images_{uuid4().hex[:8]}"
        calculation = {"event_type": code, "usage_type": "unit"}
        price = PRODUCT["prices"][0] | {"usage_calculation": calculation}  # type: ignore[index]
        made = credyt.post("/products", json=PRODUCT | {"code": code, "prices": [price]})
        assert made.status_code == 201, made.text
        named = {"name": "Jo", "subscriptions": [{"products": [{"code": code}]}], "external_id": code}
        told = credyt.post("/customers", json=named)
        assert told.status_code == 201, told.text
        return f"{told.json()['id']} {code}"


def _gift(raw: httpx.Client, base_url: str, customer: str, amount: int) -> None:
    id = customer.split()[0]
    gift = {"transaction_id": uuid4().hex, "asset": "USD", "amount": amount, "reason": "gift"}
    headers = {"X-CREDYT-API-KEY": SECRET}
    answer = httpx.post(f"{base_url}/customers/{id}/wallet/adjustments", json=gift, headers=headers)
    assert answer.status_code == 201, answer.text


def _spend(base_url: str, customer: str, images: int) -> None:
    id, code = customer.split()
    events = [{"id": uuid4().hex, "event_type": code, "subject": "img"} for _ in range(images)]
    headers = {"X-CREDYT-API-KEY": SECRET}
    answer = httpx.post(f"{base_url}/events", json={"customer_id": id, "events": events}, headers=headers)
    assert answer.status_code == 200, answer.text


def _told(client: stripe.StripeClient, customer: str) -> list[tuple[str, str, str]]:
    """(type, level, available), earliest first."""
    events: list[Any] = client.v1.events.list({"type": "wallet.*", "limit": 100}).data
    objects = [(event.type, event.data.object.to_dict()) for event in reversed(events)]
    mine = [(type, each) for type, each in objects if each["customer"] == customer.split()[0]]
    return [(type, each["level"], each["available"]) for type, each in mine]


def test_low_empty_and_filled_again_each_told_once(
    client: stripe.StripeClient, raw: httpx.Client, base_url: str, customer: str
) -> None:
    wanted = {"title": "Low", "measure": "balance", "asset": "USD", "levels[0]": "0.5", "customer": customer.split()[0]}
    answer = raw.post("/ops/alerts", data=wanted)
    assert answer.status_code == 200, answer.text
    _gift(raw, base_url, customer, 1)
    _spend(base_url, customer, 9)
    _spend(base_url, customer, 1)
    _spend(base_url, customer, 1)
    assert _told(client, customer) == [("wallet.low", "0.5", "0.5")]
    _spend(base_url, customer, 20)
    assert _told(client, customer)[1:] == [("wallet.depleted", "0", "-0.55")]
    _gift(raw, base_url, customer, 2)
    assert _told(client, customer)[2:] == [
        ("wallet.recovered", "0", "1.45"),
        ("wallet.recovered", "0.5", "1.45"),
    ]


def test_a_customer_sees_how_its_balance_stands(raw: httpx.Client, base_url: str, customer: str) -> None:
    id = customer.split()[0]
    levels = {"levels[0]": "2", "levels[1]": "5"}
    raw.post("/ops/alerts", data={"title": "Low", "measure": "balance", "asset": "USD", "customer": id} | levels)
    raw.post("/ops/alerts", data={"title": "None", "measure": "balance", "asset": "EUR", "levels[0]": "2"})

    def standing() -> dict[str, Any]:
        found = raw.get(f"/ops/customers/{id}/alerts").json()["data"]
        assert all(each["alert"]["asset"] != "EUR" for each in found)
        [mine] = [each for each in found if each["alert"]["customer"] == id]
        assert (mine["meter"], mine["subscription"], mine["period"]) == (None, None, None)
        return {name: mine[name] for name in ("value", "crossed", "next")}

    next_of = {"expected_at": None, "level": "2", "threshold": "2"}
    assert standing() == {"value": "0", "crossed": ["2", "5"], "next": None}
    _gift(raw, base_url, customer, 5)
    assert standing() == {"value": "5", "crossed": ["5"], "next": next_of}
    _gift(raw, base_url, customer, 5)
    assert standing() == {"value": "10", "crossed": [], "next": next_of | {"level": "5", "threshold": "5"}}


def test_an_alert_on_a_balance_names_an_asset_and_no_meter(raw: httpx.Client) -> None:
    percent = {"measure": "balance", "asset": "USD", "unit": "percent"}
    for wrong in ({"measure": "balance"}, {"measure": "usage", "asset": "USD"}, percent):
        answer = raw.post("/ops/alerts", data={"title": "?", "levels[0]": "1", **wrong})
        assert answer.status_code == 400
