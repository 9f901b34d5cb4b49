"""What prices of the wallet dialect come to: several assets, units and volumes, tiers, packages, bounds, fixed fees."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.wire.conftest import SECRET


@pytest.fixture(scope="module")
def credyt(base_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=base_url, headers={"X-CREDYT-API-KEY": SECRET}, timeout=60) as opened:
        yield opened


def usd(*values: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"asset": "USD", "values": list(values)}]


def price(event_type: str, pricing: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    calculation = {"event_type": event_type, "usage_type": "unit"} | more.pop("counts", {})
    return {"name": "Usage", "usage_calculation": calculation, "pricing": pricing, **more}


def sell(credyt: httpx.Client, *prices: dict[str, Any], **more: Any) -> httpx.Response:
    code = f"p{uuid4().hex[:12]}"
    return credyt.post("/products", json={"name": "Sold", "code": code, "publish": True, "prices": prices} | more)


def buyer(credyt: httpx.Client, product: httpx.Response, **money: object) -> str:
    """A customer with that much of each asset, who is subscribed to the product."""
    assert product.status_code == 201, product.text
    customer = str(credyt.post("/customers", json={"name": "Buyer"}).json()["id"])
    for asset, amount in money.items():
        gift = {"transaction_id": str(uuid4()), "asset": asset, "amount": amount, "reason": "gift"}
        assert credyt.post(f"/customers/{customer}/wallet/adjustments", json=gift).status_code == 201
    asked = {"products": [{"code": product.json()["code"]}]}
    assert credyt.post(f"/customers/{customer}/subscriptions", json=asked).status_code == 201
    return customer


def fees(credyt: httpx.Client, customer: str, event_type: str, **data: object) -> list[tuple[str, Decimal]]:
    told = {"id": str(uuid4()), "event_type": event_type, "data": data}
    answered = credyt.post("/events", json={"customer_id": customer, "events": [told]})
    assert answered.status_code == 200, answered.text
    return [(fee["asset"], Decimal(fee["amount"])) for fee in answered.json()["events"][0]["fees"]]


def coin(credyt: httpx.Client) -> str:
    code = f"C{uuid4().hex[:8].upper()}"
    assert credyt.post("/assets", json={"code": code, "name": "Coins"}).status_code == 201
    return code


def test_the_first_asset_that_has_enough_pays_and_the_last_one_goes_below_zero(credyt: httpx.Client) -> None:
    coins = coin(credyt)
    pricing = [{"asset": coins, "values": [{"unit_price": 3}]}, *usd({"unit_price": "0.5"})]
    product = sell(credyt, price("either", pricing))
    jane = buyer(credyt, product, **{coins: 7, "USD": "0.7"})
    paid = [fees(credyt, jane, "either") for _ in range(5)]
    assert paid == [
        [(coins, Decimal(3))],
        [(coins, Decimal(3))],
        [("USD", Decimal("0.5"))],
        [("USD", Decimal("0.5"))],
        [("USD", Decimal("0.5"))],
    ]
    accounts = {each["asset"]: each["available"] for each in credyt.get(f"/customers/{jane}/wallet").json()["accounts"]}
    assert accounts == {coins: 1, "USD": -0.8}
    shown = product.json()["prices"]
    assert [each["asset"] for each in shown[0]["pricing"]] == [coins, "USD"]
    asked = {"customer_id": jane, "event_type": "either", "quantity": 1}
    assert credyt.post("/gate/check", json=asked).json()["asset"] == "USD"


def test_a_quantity_is_counted_once_whatever_pays_for_it(credyt: httpx.Client) -> None:
    coins = coin(credyt)
    tiers = [{"up_to": 2, "unit_price": 4}, {"unit_price": 1}]
    dollars = [{"up_to": 2, "unit_price": 40}, {"unit_price": 10}]
    product = sell(credyt, price("tiered", [{"asset": coins, "values": tiers}, *usd(*dollars)], pricing_model="tiered"))
    jane = buyer(credyt, product, **{coins: 4, "USD": 100})
    assert [fees(credyt, jane, "tiered") for _ in range(3)] == [
        [(coins, Decimal(4))],
        [("USD", Decimal(40))],
        [("USD", Decimal(10))],
    ]


BOUNDED = {"unit_price": "0.10", "volume_rate": "0.01", "min_amount": "0.25", "max_amount": 1}


def test_units_and_volume_make_one_fee_with_its_bounds(credyt: httpx.Client) -> None:
    counts = {"usage_type": "unit_and_volume", "volume_field": "seconds"}
    jane = buyer(credyt, sell(credyt, price("call", usd(BOUNDED), counts=counts)), USD=100)

    def total(seconds: int) -> Decimal:
        return sum((amount for _, amount in fees(credyt, jane, "call", seconds=seconds)), Decimal(0))

    assert [total(5), total(30), total(500)] == [Decimal("0.25"), Decimal("0.4"), Decimal(1)]
    told = {"id": str(uuid4()), "event_type": "call", "data": {}}
    refused = credyt.post("/events", json={"customer_id": jane, "events": [told]})
    assert (refused.status_code, refused.json()["code"]) == (422, "volume_missing")
    assert refused.json()["errors"] == {"events[0]": ["The event needs a number under 'seconds'."]}


def test_bulk_prices_the_whole_and_a_package_counts_when_it_is_begun(credyt: httpx.Client) -> None:
    tiers = usd({"up_to": 2, "unit_price": 5}, {"unit_price": 3})
    jane = buyer(credyt, sell(credyt, price("bulk", tiers, pricing_model="bulk")), USD=100)
    assert [amount for _ in range(3) for _, amount in fees(credyt, jane, "bulk")] == [5, 5, -1]
    counts = {"usage_type": "volume", "volume_field": "kb"}
    package = usd({"volume_rate": 2, "package_size": 10})
    joe = buyer(credyt, sell(credyt, price("package", package, counts=counts)), USD=100)
    assert [fees(credyt, joe, "package", kb=kb)[0][1] for kb in (1, 9, 25)] == [2, 0, 6]


def test_dimensions_fall_back_and_what_nothing_prices_is_parked(credyt: httpx.Client) -> None:
    counts = {"billable_dimensions": ["model"]}
    rows = usd(
        {"name": "Large", "dimensions": {"model": "large"}, "values": [{"unit_price": 2}]},
        {"dimensions": {"model": "*"}, "values": [{"unit_price": 1}]},
    )
    jane = buyer(credyt, sell(credyt, price("by_model", rows, counts=counts)), USD=100)
    assert [fees(credyt, jane, "by_model", model=each)[0][1] for each in ("large", "tiny")] == [2, 1]
    one = usd({"dimensions": {"model": "large"}, "values": [{"unit_price": 2}]})
    joe = buyer(credyt, sell(credyt, price("one_model", one, counts=counts)), USD=100)
    told = {"id": str(uuid4()), "event_type": "one_model", "data": {"model": "tiny"}}
    [answer] = credyt.post("/events", json={"customer_id": joe, "events": [told]}).json()["events"]
    assert (answer["status"], answer["code"]) == ("parked", "rate_missing")
    assert credyt.get(f"/events/{told['id']}").json()["status"] == "parked"


def test_usage_before_the_subscription_is_parked_until_one_begins_earlier(credyt: httpx.Client) -> None:
    product = sell(credyt, price("early", usd({"unit_price": 2})))
    customer = credyt.post("/customers", json={"name": "Early"}).json()["id"]
    told = {"id": str(uuid4()), "event_type": "early"}
    [answer] = credyt.post("/events", json={"customer_id": customer, "events": [told]}).json()["events"]
    assert (answer["status"], answer["code"]) == ("parked", "no_subscription")
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    asked = {"products": [{"code": product.json()["code"]}], "starts_at": yesterday}
    assert credyt.post(f"/customers/{customer}/subscriptions", json=asked).json()["status"] == "active"
    [again] = credyt.post("/events", json={"customer_id": customer, "events": [told]}).json()["events"]
    assert (again["status"], again["fees"][0]["amount"]) == ("billed", "2")
    assert credyt.get(f"/events/{told['id']}").json()["status"] == "billed"


def test_a_fixed_fee_is_paid_by_the_first_asset_that_has_it_and_once(credyt: httpx.Client) -> None:
    coins = coin(credyt)
    pricing = [{"asset": coins, "values": [{"unit_price": 5}]}, *usd({"unit_price": 2, "quantity": 3})]
    fixed = {
        "name": "Setup",
        "type": "fixed",
        "billing_model": {"type": "one_time", "one_time": {"service_period": "P3M"}},
        "pricing": pricing,
    }
    product = sell(credyt, fixed, price("after_setup", usd({"unit_price": 1})))
    assert product.json()["prices"][0]["billing_model"] == fixed["billing_model"]
    jane = buyer(credyt, product, **{coins: 4, "USD": 10})
    [subscription] = credyt.get(f"/customers/{jane}").json()["subscriptions"]
    assert (subscription["status"], subscription["renews_at"]) == ("active", None)
    assert credyt.get(f"/customers/{jane}/wallet/default:USD").json()["available"] == 4
    address = f"/customers/{jane}/subscriptions/{subscription['id']}"
    for status in ("inactive", "active"):
        assert credyt.patch(address, json={"status": status}).json()["status"] == status
    assert credyt.get(f"/customers/{jane}/wallet/default:USD").json()["available"] == 4


def test_a_draft_is_edited_and_a_published_version_is_not(credyt: httpx.Client) -> None:
    made = sell(credyt, price("drafted", usd({"unit_price": 1})), publish=False).json()
    assert (made["status"], made["is_default"]) == ("draft", False)
    refused = credyt.post("/customers", json={"name": "X", "subscriptions": [{"products": [{"code": made["code"]}]}]})
    assert (refused.status_code, refused.json()["code"]) == (422, "not_published")
    patch = {"prices": [{"name": "Usage", "pricing": usd({"unit_price": 2})}], "publish": True}
    edited = credyt.patch(f"/products/{made['id']}/1", json=patch).json()
    assert (edited["version"], edited["status"], edited["is_default"]) == (1, "published", True)
    assert edited["prices"][0]["pricing"][0]["values"][0]["unit_price"] == 2
    again = credyt.patch(f"/products/{made['id']}/1", json=patch).json()
    assert again["version"] == 2


WRONG = [
    ({"counts": {"usage_type": "custom"}}, "custom usage is not offered"),
    ({"counts": {"unit_aggregation": "max(x)"}}, "aggregation of units"),
    ({"counts": {"usage_type": "volume"}}, "volume_field is required"),
    ({"tiering": {"basis": "package"}}, "tiers by package are not offered"),
    ({"tiering": {"basis": "unit", "period": "custom"}}, "custom period"),
    ({"billing_model": {"type": "one_time"}}, "real_time, or recurring"),
    ({"billing_model": {"type": "recurring"}}, "recurring.interval is required"),
    ({"collection": {"type": "invoice"}}, "collected from the balance"),
    ({"collection": {"type": "balance", "address": "other:USD"}}, "default account"),
    ({"funding_destination": {"address": "default:USD"}}, "not offered"),
    ({"pricing_model": "graduated"}, "Input should be"),
]


@pytest.mark.parametrize(("more", "said"), WRONG, ids=[said for _, said in WRONG])
def test_what_is_not_offered_is_refused_by_name(credyt: httpx.Client, more: dict[str, Any], said: str) -> None:
    refused = sell(credyt, price("wrong", usd({"unit_price": 1}), **more))
    assert refused.status_code == 400, refused.text
    assert refused.headers["content-type"] == "application/problem+json"
    assert any(said in each for told in refused.json()["errors"].values() for each in told), refused.text


REFUSED = [
    ([{"asset": "USD", "values": [{"up_to": 5, "unit_price": 1}]}], {}),
    (usd({"unit_price": 1, "min_amount": 1}, {"up_to": 5, "unit_price": 1}), {}),
    (usd({"up_to": 5, "unit_price": 1, "package_size": 2}, {"unit_price": 1}), {}),
    (usd({"dimensions": {"model": "a"}, "unit_price": 1}), {}),
    (usd({"unit_price": 1}), {"counts": {"usage_type": "unit_and_volume", "volume_field": "x"}}),
    (usd({}), {}),
]


@pytest.mark.parametrize(("pricing", "more"), REFUSED)
def test_values_that_make_no_price_are_refused(
    credyt: httpx.Client, pricing: list[dict[str, Any]], more: dict[str, Any]
) -> None:
    refused = sell(credyt, price("wrong", pricing, **more))
    assert refused.status_code == 422, refused.text
    assert refused.json()["detail"]
