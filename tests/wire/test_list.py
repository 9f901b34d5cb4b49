"""Lists: newest first, cursors both ways, clamped limits, filters."""

from collections.abc import Callable

import httpx
import pytest
import stripe


@pytest.fixture(scope="module")
def ids(client: stripe.StripeClient) -> list[str]:
    """Seven products, oldest first."""
    return [client.v1.products.create({"name": f"Product {number}"}).id for number in range(7)]


def test_a_list_is_exactly_its_envelope(raw: httpx.Client, ids: list[str]) -> None:
    page = raw.get("/v1/products").json()

    assert page.keys() == {"object", "data", "has_more", "url"}
    assert (page["object"], page["has_more"], page["url"]) == ("list", False, "/v1/products")
    assert [each["id"] for each in page["data"]] == ids[::-1]


@pytest.mark.parametrize(("limit", "given"), [("0", 1), ("-5", 1), ("1", 1), ("3", 3), ("101", 7), ("99999", 7)])
def test_the_limit_is_clamped(raw: httpx.Client, ids: list[str], limit: str, given: int) -> None:
    page = raw.get("/v1/products", params={"limit": limit}).json()

    assert len(page["data"]) == given
    assert page["has_more"] is (given < len(ids))


def test_pages_forwards(client: stripe.StripeClient, ids: list[str]) -> None:
    page = client.v1.products.list({"limit": 2, "starting_after": ids[5]})

    assert [each.id for each in page] == [ids[4], ids[3]]
    assert page.has_more


def test_pages_backwards_stay_newest_first_and_next_to_the_cursor(client: stripe.StripeClient, ids: list[str]) -> None:
    page = client.v1.products.list({"limit": 2, "ending_before": ids[1]})

    assert [each.id for each in page] == [ids[3], ids[2]]
    assert page.has_more


def test_the_ends_are_empty(client: stripe.StripeClient, ids: list[str]) -> None:
    assert client.v1.products.list({"starting_after": ids[0]}).data == []
    assert client.v1.products.list({"ending_before": ids[-1]}).data == []


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
def test_auto_paging_sees_everything_once(client: stripe.StripeClient, ids: list[str], limit: int) -> None:
    seen = [each.id for each in client.v1.products.list({"limit": limit}).auto_paging_iter()]

    assert seen == ids[::-1]


def test_auto_paging_backwards_sees_everything_once(client: stripe.StripeClient, ids: list[str]) -> None:
    page = client.v1.products.list({"limit": 2, "ending_before": ids[0]})

    assert [each.id for each in page.auto_paging_iter()] == ids[1:]


def test_the_cursor_of_a_deleted_object_still_works(client: stripe.StripeClient) -> None:
    older, gone, newer = (client.v1.customers.create({"email": "cursor@example.com"}).id for _ in range(3))
    client.v1.customers.delete(gone)

    after = client.v1.customers.list({"email": "cursor@example.com", "starting_after": gone})
    before = client.v1.customers.list({"email": "cursor@example.com", "ending_before": gone})

    assert [each.id for each in after] == [older]
    assert [each.id for each in before] == [newer]


Listed = Callable[[str], list[str]]


@pytest.fixture(scope="module")
def prices(client: stripe.StripeClient) -> dict[str, str]:
    meter = client.v1.billing.meters.create(
        {"display_name": "Tokens", "event_name": "tokens", "default_aggregation": {"formula": "sum"}}
    )
    product = client.v1.products.create({"name": "Filtered"}).id
    made = {
        "monthly": {"recurring": {"interval": "month"}, "lookup_key": "monthly"},
        "yearly": {"recurring": {"interval": "year"}, "active": False, "lookup_key": "yearly"},
        "metered": {"recurring": {"interval": "month", "usage_type": "metered", "meter": meter.id}},
        "once": {"currency": "eur"},
    }
    ids = {
        name: client.v1.prices.create({"currency": "usd", "unit_amount": 1, "product": product, **params}).id  # type: ignore[typeddict-item]
        for name, params in made.items()
    }
    return {**ids, "product": product, "meter": meter.id}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("active=false", ["yearly"]),
        ("active=true", ["once", "metered", "monthly"]),
        ("currency=EUR", ["once"]),
        ("type=one_time", ["once"]),
        ("type=recurring", ["metered", "yearly", "monthly"]),
        ("recurring[interval]=month", ["metered", "monthly"]),
        ("recurring[usage_type]=metered", ["metered"]),
        ("recurring[meter]={meter}", ["metered"]),
        ("recurring[meter]=mtr_other", []),
        ("lookup_keys[]=yearly&lookup_keys[]=monthly", ["yearly", "monthly"]),
        ("lookup_keys[0]=yearly&lookup_keys[1]=nothing", ["yearly"]),
        ("created[gte]=1&created[lt]=9999999999", ["once", "metered", "yearly", "monthly"]),
        ("created[gt]=9999999999", []),
        ("created=1", []),
        ("product=prod_other", []),
    ],
)
def test_prices_are_filtered(raw: httpx.Client, prices: dict[str, str], query: str, found: list[str]) -> None:
    scope = "" if query.startswith("product") else f"&product={prices['product']}"
    page = raw.get(f"/v1/prices?{query.format(**prices)}{scope}").json()

    names = {id: name for name, id in prices.items()}
    assert [names[each["id"]] for each in page["data"]] == found


def test_products_are_filtered(client: stripe.StripeClient) -> None:
    shipped = client.v1.products.create(
        {"name": "Shirt", "type": "good", "shippable": True, "url": "https://example.com/shirt"}
    )

    assert [each.id for each in client.v1.products.list({"shippable": True})] == [shipped.id]
    assert [each.id for each in client.v1.products.list({"type": "good"})] == [shipped.id]
    assert [each.id for each in client.v1.products.list({"url": "https://example.com/shirt"})] == [shipped.id]
    assert [each.id for each in client.v1.products.list({"ids": [shipped.id, "prod_other"]})] == [shipped.id]


def test_customers_on_a_test_clock_are_listed_by_their_clock_only(client: stripe.StripeClient) -> None:
    clock = client.v1.test_helpers.test_clocks.create({"frozen_time": 1_700_000_000})
    on_clock = client.v1.customers.create({"email": "clock@example.com", "test_clock": clock.id})
    off_clock = client.v1.customers.create({"email": "clock@example.com"})

    unscoped = client.v1.customers.list({"email": "clock@example.com"})
    scoped = client.v1.customers.list({"test_clock": clock.id})

    assert [each.id for each in unscoped] == [off_clock.id]
    assert [each.id for each in scoped] == [on_clock.id]
    assert on_clock.created == 1_700_000_000
