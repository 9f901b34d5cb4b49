"""The story of a wallet, told with plain HTTP: two calls to set up, one per image, a top-up, a new price."""

import json
from collections.abc import Iterator
from decimal import Decimal
from uuid import uuid4

import httpx
import pytest

from tests.wire.conftest import SECRET

PRODUCT = {
    "name": "AI Image Generation",
    "code": "img_gen_v1",
    "prices": [
        {
            "name": "Per Image",
            "type": "usage_based",
            "billing_model": {"type": "real_time"},
            "usage_calculation": {"event_type": "image_generated", "usage_type": "unit"},
            "pricing": [{"asset": "USD", "values": [{"unit_price": 0.05}]}],
        }
    ],
    "publish": True,
}
JANE = {"name": "Jane Doe", "external_id": "user_jane_123", "subscriptions": [{"products": [{"code": "img_gen_v1"}]}]}


@pytest.fixture(scope="module")
def credyt(base_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=base_url, headers={"X-CREDYT-API-KEY": SECRET}, timeout=60) as opened:
        yield opened


@pytest.fixture(scope="module")
def jane(credyt: httpx.Client) -> str:
    made = credyt.post("/products", json=PRODUCT)
    assert made.status_code == 201, made.text
    customer = credyt.post("/customers", json=JANE)
    assert customer.status_code == 201, customer.text
    assert customer.json()["subscriptions"][0]["status"] == "active"
    return str(customer.json()["id"])


def balance(credyt: httpx.Client, customer: str) -> Decimal:
    found = credyt.get(f"/customers/{customer}/wallet/default:USD")
    assert found.status_code == 200, found.text
    return Decimal(str(found.json()["available"]))


def written(credyt: httpx.Client, path: str) -> dict[str, str]:
    """The members of an answer, numbers as they are written in it."""
    members: dict[str, object] = json.loads(credyt.get(path).text, parse_float=str, parse_int=str)
    return {name: str(value) for name, value in members.items()}


def image(**more: object) -> dict[str, object]:
    return {"id": str(uuid4()), "event_type": "image_generated", "subject": "img_1", **more}


def test_the_wallet_is_there_and_empty(credyt: httpx.Client, jane: str) -> None:
    assert balance(credyt, jane) == 0


def test_an_image_costs_five_cents_at_once(credyt: httpx.Client, jane: str) -> None:
    gift = {"transaction_id": "gift_1", "asset": "USD", "amount": 1, "reason": "gift"}
    assert credyt.post(f"/customers/{jane}/wallet/adjustments", json=gift).status_code == 201
    told = {"customer_external_id": "user_jane_123", "events": [image()]}
    answered = credyt.post("/events", json=told)
    assert answered.status_code == 200, answered.text
    receipt = answered.json()["events"][0]
    assert receipt["status"] == "billed"
    assert receipt["fees"][0]["amount"] == "0.05"
    assert receipt["available"] == {"USD": "0.95"}
    assert balance(credyt, jane) == Decimal("0.95")


def test_amounts_have_no_exponent_and_no_empty_decimals(credyt: httpx.Client, jane: str) -> None:
    amounts = written(credyt, f"/customers/{jane}/wallet/default:USD")
    assert [amounts[name] for name in ("available", "promotional", "paid", "debt")] == ["0.95", "0.95", "0", "0"]
    asked = {"customer_id": jane, "amount": 25.00, "currency": "USD"}
    top_up = credyt.post("/top-ups", json=asked).json()["id"]
    assert written(credyt, f"/top-ups/{top_up}")["amount"] == "25"
    tiny = {"transaction_id": "gift_2", "asset": "USD", "amount": "0.000000000001", "reason": "gift"}
    assert credyt.post(f"/customers/{jane}/wallet/adjustments", json=tiny).status_code == 201
    assert written(credyt, f"/customers/{jane}/wallet/default:USD")["available"] == "0.950000000001"


def test_the_same_event_again_costs_nothing_and_has_the_same_receipt(credyt: httpx.Client, jane: str) -> None:
    told = {"customer_external_id": "user_jane_123", "events": [image(data={})]}
    first = credyt.post("/events", json=told).json()["events"][0]
    before = balance(credyt, jane)
    again = credyt.post("/events", json=told).json()["events"][0]
    assert again == first | {"duplicate": True}
    assert balance(credyt, jane) == before


def test_callers_who_prefer_it_get_an_empty_204(credyt: httpx.Client, jane: str) -> None:
    told = {"customer_external_id": "user_jane_123", "events": [image()]}
    answered = credyt.post("/events", json=told, headers={"Prefer": "return=minimal"})
    assert (answered.status_code, answered.content) == (204, b"")


def test_a_new_price_leaves_subscribers_where_they_are_until_they_are_migrated(credyt: httpx.Client, jane: str) -> None:
    patch = {"prices": [{"name": "Per Image", "pricing": [{"asset": "USD", "values": [{"unit_price": 0.08}]}]}]}
    changed = credyt.patch("/products/img_gen_v1/default", json=patch)
    assert changed.status_code == 200, changed.text
    assert changed.json()["version"] == 2

    told = {"customer_id": jane, "events": [image()]}
    assert credyt.post("/events", json=told).json()["events"][0]["fees"][0]["amount"] == "0.05"

    subscription = credyt.get(f"/customers/{jane}").json()["subscriptions"][0]["id"]
    product = changed.json()["id"]
    moved = credyt.patch(f"/customers/{jane}/subscriptions/{subscription}/products/{product}", json={})
    assert moved.status_code == 200, moved.text
    told = {"customer_id": jane, "events": [image()]}
    fee = credyt.post("/events", json=told).json()["events"][0]["fees"][0]
    assert (fee["amount"], fee["product_version"]) == ("0.08", 2)


def test_usage_that_nothing_prices_is_parked_and_listed(credyt: httpx.Client, raw: httpx.Client, jane: str) -> None:
    stranger = credyt.post("/customers", json={"name": "No Subscription"}).json()["id"]
    answered = credyt.post("/events", json={"customer_id": stranger, "events": [image()]}).json()["events"][0]
    assert (answered["status"], answered["code"]) == ("parked", "no_subscription")
    unknown = image(event_type="never_priced")
    answered = credyt.post("/events", json={"customer_id": jane, "events": [unknown]}).json()["events"][0]
    assert (answered["status"], answered["code"]) == ("parked", "no_meter")
    parked = raw.get("/ingest/parked").json()
    assert {"no_subscription", "no_meter"} <= {each["code"] for each in parked["data"]}


def test_parked_usage_is_debited_once_when_something_prices_it_and_not_before(
    credyt: httpx.Client, raw: httpx.Client, jane: str
) -> None:
    customer = credyt.post("/customers", json={"name": "Early Bird"}).json()["id"]
    images = [image(), image(), image()]
    told = {"customer_id": customer, "events": images}
    assert {each["status"] for each in credyt.post("/events", json=told).json()["events"]} == {"parked"}
    replay = {"code": "no_subscription", "event_name": "image_generated"}

    def replayed() -> int:
        answered = raw.post("/ingest/parked/replay", data=replay)
        assert answered.status_code == 200, answered.text
        return int(answered.json()["accepted"])

    def shown() -> set[str]:
        return {credyt.get(f"/events/{each['id']}").json()["status"] for each in images}

    assert (replayed(), shown()) == (0, {"parked"})
    gift = {"asset": "USD", "amount": 1, "reason": "gift"}
    assert credyt.post(f"/customers/{customer}/wallet/adjustments", json=gift).status_code == 201
    subscribed = {"products": [{"code": "img_gen_v1"}]}
    assert credyt.post(f"/customers/{customer}/subscriptions", json=subscribed).status_code == 201
    price = Decimal(
        str(credyt.get("/products/img_gen_v1").json()["prices"][0]["pricing"][0]["values"][0]["unit_price"])
    )
    assert (replayed(), shown()) == (3, {"billed"})
    assert balance(credyt, customer) == 1 - 3 * price
    assert replayed() == 0
    assert balance(credyt, customer) == 1 - 3 * price


def test_usage_of_no_meter_is_priced_like_any_other_once_there_is_one(credyt: httpx.Client, raw: httpx.Client) -> None:
    customer = credyt.post("/customers", json={"name": "Avant-garde"}).json()["id"]
    event = {"id": str(uuid4()), "event_type": "painted", "subject": "wall", "data": {"litres": 3, "colour": "blue"}}
    answered = credyt.post("/events", json={"customer_id": customer, "events": [event]}).json()["events"][0]
    assert (answered["status"], answered["code"]) == ("parked", "no_meter")

    def replayed() -> dict[str, int]:
        answered = raw.post("/ingest/parked/replay", data={"event_name": "painted"}).json()
        return {fate: answered[fate] for fate in ("accepted", "parked")}

    def reasons() -> set[str]:
        listed = raw.get("/ingest/parked", params={"event_name": "painted"}).json()["data"]
        return {each["code"] for each in listed}

    assert replayed() == {"accepted": 0, "parked": 1}
    paint = {
        "name": "Paint",
        "code": "paint",
        "publish": True,
        "prices": [
            {
                "name": "Litres",
                "usage_calculation": {
                    "event_type": "painted",
                    "usage_type": "volume",
                    "volume_field": "litres",
                    "billable_dimensions": ["colour"],
                },
                "pricing": [
                    {"asset": "USD", "values": [{"dimensions": {"colour": "blue"}, "volume_rate": "0.2"}]},
                ],
            }
        ],
    }
    made = credyt.post("/products", json=paint)
    assert made.status_code == 201, made.text
    assert replayed() == {"accepted": 0, "parked": 1}
    assert reasons() == {"no_subscription"}
    assert credyt.get(f"/events/{event['id']}").json()["status"] == "parked"
    subscribed = {"products": [{"code": "paint"}]}
    assert credyt.post(f"/customers/{customer}/subscriptions", json=subscribed).status_code == 201
    assert replayed() == {"accepted": 1, "parked": 0}
    assert replayed() == {"accepted": 0, "parked": 0}
    shown = credyt.get(f"/events/{event['id']}").json()
    assert (shown["status"], [fee["amount"] for fee in shown["fees"]]) == ("billed", [0.6]), shown
    assert balance(credyt, customer) == Decimal("-0.6")
    back = {"subject": "wall", "reason": "the wrong wall"}
    assert credyt.post(f"/customers/{customer}/reversals", json=back).json()["events"] == 1
    assert balance(credyt, customer) == 0
