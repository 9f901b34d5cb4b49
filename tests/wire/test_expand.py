"""`expand[]`: ids become objects, hidden fields appear, dead ends are refused."""

import httpx
import pytest
import stripe

from meterline.api.stripe import expand
from meterline.app import RESOURCES
from tests.wire.typed import assert_typed


@pytest.fixture(scope="module")
def price(client: stripe.StripeClient) -> str:
    product = client.v1.products.create({"name": "Tokens", "default_price_data": {"currency": "usd", "unit_amount": 1}})
    assert isinstance(product.default_price, str)
    return product.default_price


def test_an_id_becomes_the_object(raw: httpx.Client, price: str) -> None:
    plain = raw.get(f"/v1/prices/{price}").json()
    expanded = raw.get(f"/v1/prices/{price}?expand[]=product").json()

    assert plain["product"] == expanded["product"]["id"]
    assert_typed(expanded)


def test_four_levels_and_no_more(raw: httpx.Client, price: str) -> None:
    four = "product.default_price.product.default_price"
    body = raw.get(f"/v1/prices/{price}?expand[]={four}").json()
    five = raw.get(f"/v1/prices/{price}?expand[]={four}.product")

    assert body["product"]["default_price"]["product"]["default_price"]["id"] == price
    assert five.status_code == 400
    assert five.json()["error"]["message"] == (
        f"You cannot expand more than 4 levels of a property. Property: {four}.product"
    )


def test_a_list_is_expanded_through_data(raw: httpx.Client, price: str) -> None:
    page = raw.get("/v1/prices?expand[]=data.product&expand[]=data.currency_options").json()

    assert page["data"][0]["product"]["name"] == "Tokens"
    assert page["data"][0]["currency_options"].keys() == {"usd"}


def test_a_search_is_expanded_through_data_and_counts_when_asked(raw: httpx.Client, price: str) -> None:
    query = {"query": "type:'one_time'", "expand[]": "data.product"}
    found = raw.get("/v1/prices/search", params=query).json()
    counted = raw.get("/v1/prices/search", params={"query": "type:'one_time'", "expand[]": "total_count"}).json()

    assert found["data"][0]["product"]["name"] == "Tokens"
    assert "total_count" not in found
    assert counted["total_count"] == 1


def test_both_a_path_and_its_beginning(raw: httpx.Client, price: str) -> None:
    body = raw.get(f"/v1/prices/{price}?expand[]=product&expand[]=product.default_price").json()

    assert body["product"]["default_price"]["id"] == price


def test_null_stays_null(raw: httpx.Client, client: stripe.StripeClient) -> None:
    product = client.v1.products.create({"name": "Without"}).id

    assert raw.get(f"/v1/products/{product}?expand[]=default_price.product").json()["default_price"] is None


def test_what_is_created_can_be_expanded_at_once(client: stripe.StripeClient) -> None:
    price = client.v1.prices.create(
        {"currency": "usd", "unit_amount": 1, "product_data": {"name": "At once"}, "expand": ["product"]}
    )

    assert isinstance(price.product, stripe.Product)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nope", "This property cannot be expanded because it doesn't exist: nope."),
        ("product.nope", "This property cannot be expanded because it doesn't exist: product.nope."),
        ("currency", "This property cannot be expanded (currency)."),
        ("product.name", "This property cannot be expanded (product.name)."),
        ("a.b.c.d.e", "You cannot expand more than 4 levels of a property. Property: a.b.c.d.e"),
    ],
)
def test_dead_ends_are_refused(raw: httpx.Client, price: str, path: str, message: str) -> None:
    answer = raw.get(f"/v1/prices/{price}?expand[]={path}")

    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == message


def test_a_refused_expansion_undoes_the_call(raw: httpx.Client) -> None:
    assert raw.post("/v1/products", data={"name": "Undone", "expand[]": "nope"}).status_code == 400
    assert raw.get("/v1/products/search", params={"query": "name:'Undone'"}).json()["data"] == []


NEVER_MORE_THAN_NULL = {"account", "application", "setup_intent", "source", "subscription_schedule"}
"""Kinds of objects that do not exist here, so that fields that name one are null."""


def test_whatever_can_be_expanded_is_fetched_by_somebody() -> None:
    assert RESOURCES
    assert expand.unfetched() <= NEVER_MORE_THAN_NULL
