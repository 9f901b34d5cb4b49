"""Products."""

from decimal import Decimal

import httpx
import pytest
import stripe

from tests.wire.typed import assert_typed

EVERYTHING: stripe.params.ProductCreateParams = {
    "name": "Shirt",
    "active": False,
    "description": "Grey",
    "id": "shirt",
    "images": ["https://example.com/a.png", "https://example.com/b.png"],
    "marketing_features": [{"name": "Soft"}, {"name": "Warm"}],
    "metadata": {"tier": "gold"},
    "package_dimensions": {"height": 1.5, "length": 2, "weight": 0.25, "width": 3},
    "shippable": True,
    "statement_descriptor": "SHIRTS INC",
    "tax_code": "txcd_10000000",
    "type": "good",
    "unit_label": "shirt",
    "url": "https://example.com/shirt",
}


def test_every_parameter_is_read_back(client: stripe.StripeClient) -> None:
    created = client.v1.products.create(EVERYTHING)
    read = client.v1.products.retrieve("shirt")

    assert read == created
    assert_typed(read)
    plain = read.to_dict()
    assert {name: plain[name] for name in EVERYTHING} == EVERYTHING


def test_a_product_needs_only_a_name(client: stripe.StripeClient) -> None:
    product = client.v1.products.create({"name": "Tokens"})

    assert_typed(product)
    assert product.id.startswith("prod_") and len(product.id) == 19
    assert (product.active, product.type, product.images, product.updated) == (True, "service", [], product.created)


def test_a_default_price_is_made_along(client: stripe.StripeClient) -> None:
    product = client.v1.products.create(
        {
            "name": "Seats",
            "default_price_data": {
                "currency": "usd",
                "unit_amount_decimal": Decimal("0.5"),
                "recurring": {"interval": "month"},
                "currency_options": {"eur": {"unit_amount": 1}},
            },
            "expand": ["default_price"],
        }
    )

    assert isinstance(product.default_price, stripe.Price)
    assert product.default_price.product == product.id
    assert product.default_price.unit_amount_decimal == Decimal("0.5")


def test_the_default_price_must_be_the_products_own_and_active(client: stripe.StripeClient) -> None:
    product = client.v1.products.create({"name": "Tokens"})
    foreign = client.v1.prices.create({"currency": "usd", "unit_amount": 1, "product_data": {"name": "Other"}})
    own = client.v1.prices.create({"currency": "usd", "unit_amount": 1, "product": product.id})

    for wrong in (foreign.id, "price_nope"):
        with pytest.raises(stripe.InvalidRequestError) as raised:
            client.v1.products.update(product.id, {"default_price": wrong})
        assert (raised.value.http_status, raised.value.param) == (400, "default_price")
    assert client.v1.products.update(product.id, {"default_price": own.id}).default_price == own.id


def test_an_update_changes_what_was_sent_and_an_empty_text_unsets(client: stripe.StripeClient) -> None:
    product = client.v1.products.create({"name": "Tokens", "description": "old", "unit_label": "token", "url": "u"})

    changed = client.v1.products.update(product.id, {"description": "", "images": ["https://example.com/i.png"]})

    assert (changed.name, changed.description, changed.unit_label, changed.url) == ("Tokens", None, "token", "u")
    assert changed.images == ["https://example.com/i.png"]
    assert client.v1.products.update(product.id, {"images": ""}).images == []


def test_metadata_merges(client: stripe.StripeClient, raw: httpx.Client) -> None:
    product = client.v1.products.create({"name": "Tokens", "metadata": {"a": "1", "b": "2"}})

    def changed(metadata: object) -> dict[str, str]:
        return client.v1.products.update(product.id, {"metadata": metadata}).metadata.to_dict()  # type: ignore[arg-type]

    assert changed({"b": "3", "c": "4"}) == {"a": "1", "b": "3", "c": "4"}
    assert changed({"a": ""}) == {"b": "3", "c": "4"}
    assert changed("") == {}


def test_metadata_has_at_most_fifty_keys(client: stripe.StripeClient) -> None:
    product = client.v1.products.create({"name": "Tokens", "metadata": {f"k{n}": "v" for n in range(50)}})

    with pytest.raises(stripe.InvalidRequestError) as raised:
        client.v1.products.update(product.id, {"metadata": {"one_more": "v"}})
    assert raised.value.param == "metadata"
    assert client.v1.products.update(product.id, {"metadata": {"k0": "", "one_more": "v"}}).metadata["one_more"] == "v"


def test_an_id_is_used_once(client: stripe.StripeClient) -> None:
    client.v1.products.create({"name": "Tokens", "id": "mine"})
    client.v1.products.delete("mine")

    with pytest.raises(stripe.InvalidRequestError) as raised:
        client.v1.products.create({"name": "Tokens", "id": "mine"})
    assert (raised.value.code, raised.value.param) == ("resource_already_exists", "id")


def test_a_product_that_was_never_priced_can_be_deleted(client: stripe.StripeClient) -> None:
    product = client.v1.products.create({"name": "Tokens"}).id

    gone = client.v1.products.delete(product)

    assert gone.to_dict() == {"id": product, "object": "product", "deleted": True}
    with pytest.raises(stripe.InvalidRequestError, match="No such product"):
        client.v1.products.retrieve(product)


def test_a_product_that_was_priced_cannot_be_deleted(client: stripe.StripeClient) -> None:
    product = client.v1.products.create({"name": "Tokens"}).id
    client.v1.prices.create({"currency": "usd", "unit_amount": 1, "product": product})

    with pytest.raises(stripe.InvalidRequestError) as raised:
        client.v1.products.delete(product)

    assert raised.value.user_message == (
        "This product cannot be deleted because it has one or more user-created prices."
    )


def test_services_have_no_dimensions(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as raised:
        client.v1.products.create(
            {"name": "Tokens", "package_dimensions": {"height": 1, "length": 1, "weight": 1, "width": 1}}
        )
    assert raised.value.param == "package_dimensions"
