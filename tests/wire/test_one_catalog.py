"""One catalog behind two doors: what one makes, the other reads."""

from decimal import Decimal

import httpx
import pytest
import stripe

from tests.wire.billing import FREE_THEN_A_TENTH

OFFER = {
    "name": "Images",
    "code": "images",
    "publish": True,
    "prices": [
        {
            "name": "Per image",
            "usage_calculation": {"event_type": "image", "usage_type": "unit"},
            "pricing": [{"asset": "USD", "values": [{"unit_price": "0.05"}]}],
        },
        {
            "name": "Plan",
            "type": "fixed",
            "billing_model": {"type": "recurring", "recurring": {"interval": "month"}},
            "pricing": [{"asset": "USD", "values": [{"unit_price": "9"}]}],
        },
    ],
}


def test_what_wallets_are_sold_is_read_by_the_official_sdk(raw: httpx.Client, client: stripe.StripeClient) -> None:
    made = raw.post("/products", json=OFFER)
    assert made.status_code == 201, made.text
    product = client.v1.products.retrieve(made.json()["id"])
    assert (product.name, product.active) == ("Images", True)
    assert product.id in [each.id for each in client.v1.products.list().data]
    by_name = {each.nickname: each for each in client.v1.prices.list({"product": product.id}).data}
    per_image = by_name["Per image"]
    assert (per_image.unit_amount, per_image.currency) == (5, "usd")
    assert per_image.recurring is not None and per_image.recurring.meter is not None
    assert client.v1.billing.meters.retrieve(per_image.recurring.meter).event_name == "image"
    plan = client.v1.prices.retrieve(by_name["Plan"].id, {"expand": ["tiers"]})
    assert plan.tiers is not None
    assert (plan.type, [each.flat_amount for each in plan.tiers]) == ("recurring", [900])


def test_what_is_invoiced_is_read_at_the_door_of_wallets(raw: httpx.Client, client: stripe.StripeClient) -> None:
    meter = client.v1.billing.meters.create(
        {"display_name": "Tokens", "event_name": "tokens", "default_aggregation": {"formula": "sum"}}
    )
    product = client.v1.products.create({"name": "Tokens"})
    client.v1.prices.create(
        {
            "currency": "usd",
            "product": product.id,
            "billing_scheme": "tiered",
            "tiers_mode": "graduated",
            "tiers": FREE_THEN_A_TENTH,  # type: ignore[typeddict-item]
            "recurring": {"interval": "month", "usage_type": "metered", "meter": meter.id},
        }
    )
    client.v1.prices.create({"currency": "jpy", "product": product.id, "unit_amount": 500})
    shown = raw.get(f"/products/{product.id}").json()
    assert (shown["name"], shown["code"], shown["status"]) == ("Tokens", product.id, "published")
    tiered, once = shown["prices"]
    assert tiered["usage_calculation"]["event_type"] == "tokens"
    assert tiered["collection"] == {"type": "invoice", "timing": "in_arrears"}
    [pricing] = tiered["pricing"]
    assert pricing["asset"] == "USD"
    assert [(each.get("up_to"), Decimal(str(each["unit_price"]))) for each in pricing["values"]] == [
        (100_000, 0),
        (None, Decimal("0.001")),
    ]
    assert once["pricing"] == [{"asset": "JPY", "values": [{"unit_price": 500}]}]
    listed = raw.get("/products", params={"limit": 100}).json()
    assert product.id in [each["id"] for each in listed["items"]]
    assert listed["total_count"] == len(listed["items"])
    assert raw.get("/products", params={"code": product.id}).json()["total_count"] == 1


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_pages_hold_every_product_once(raw: httpx.Client, client: stripe.StripeClient, limit: int) -> None:
    client.v1.products.create({"name": "One more"})
    whole = [each["id"] for each in raw.get("/products", params={"limit": 100}).json()["items"]]
    paged: list[str] = []
    while True:
        page = raw.get("/products", params={"limit": limit, "offset": len(paged)}).json()
        paged += [each["id"] for each in page["items"]]
        if not page["items"]:
            break
    assert paged == whole and len(set(whole)) == len(whole)
