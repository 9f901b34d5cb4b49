"""The oracle itself: `assert_typed` must see what is wrong."""

from typing import Any

import pytest
import stripe

from tests.wire.typed import assert_typed


@pytest.fixture(scope="module")
def price(client: stripe.StripeClient) -> dict[str, Any]:
    created = client.v1.prices.create(
        {
            "currency": "usd",
            "unit_amount": 100,
            "product_data": {"name": "Tokens"},
            "recurring": {"interval": "month"},
            "expand": ["product", "currency_options"],
        }
    )
    plain: dict[str, Any] = created.to_dict(for_json=True)
    return plain


def test_a_whole_object_passes(price: dict[str, Any]) -> None:
    assert_typed(price)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (lambda it: it.pop("lookup_key"), "price.lookup_key is missing"),
        (lambda it: it.update(currency=None), "price.currency is null"),
        (lambda it: it.update(created="now"), "price.created is 'now'"),
        (lambda it: it.update(plan="gold"), "price.plan is not declared"),
        (lambda it: it.update(unit_amount_decimal=1), "price.unit_amount_decimal is 1"),
        (lambda it: it["recurring"].pop("meter"), "price.recurring.meter is missing"),
        (lambda it: it["product"].pop("url"), "product.url is missing"),
        (lambda it: it["currency_options"]["usd"].pop("unit_amount"), "price.currency_options.unit_amount is missing"),
    ],
)
def test_each_fault_is_told(price: dict[str, Any], fault: Any, told: str) -> None:
    faulty = {
        **price,
        "recurring": dict(price["recurring"]),
        "product": dict(price["product"]),
        "currency_options": {"usd": dict(price["currency_options"]["usd"])},
    }
    fault(faulty)

    with pytest.raises(AssertionError, match=told.replace(".", r"\.")):
        assert_typed(faulty)
