"""Prices: what a caller says, what they read back, what is refused and how."""

from typing import Any

import httpx
import pytest
import stripe

from tests.wire.typed import assert_typed


@pytest.fixture(scope="module")
def product(client: stripe.StripeClient) -> str:
    return client.v1.products.create({"name": "Tokens", "id": "tokens"}).id


@pytest.fixture(scope="module")
def meter(client: stripe.StripeClient) -> str:
    return client.v1.billing.meters.create(
        {"display_name": "Tokens", "event_name": "tokens", "default_aggregation": {"formula": "sum"}}
    ).id


def create(raw: httpx.Client, **params: str) -> dict[str, Any]:
    answer = raw.post("/v1/prices", data={"currency": "usd", "product": "tokens", **params})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    assert_typed(body)
    return body


def test_a_plain_price_reads_like_stripes(raw: httpx.Client, product: str) -> None:
    price = create(raw, unit_amount="1000")

    expected = {
        "object": "price", "active": True, "billing_scheme": "per_unit", "currency": "usd", "custom_unit_amount": None,
        "livemode": False, "lookup_key": None, "metadata": {}, "nickname": None, "product": product,
        "recurring": None, "tax_behavior": "unspecified", "tiers_mode": None, "transform_quantity": None,
        "type": "one_time", "unit_amount": 1000, "unit_amount_decimal": "1000",
    }  # fmt: skip
    assert price == {**expected, "id": price["id"], "created": price["created"]}
    assert price["id"].startswith("price_") and len(price["id"]) == 30


@pytest.mark.parametrize(
    ("asked", "whole", "exact"),
    [
        ({"unit_amount": "0"}, 0, "0"),
        ({"unit_amount_decimal": "0.04"}, None, "0.04"),
        ({"unit_amount_decimal": "123.450"}, None, "123.45"),
        ({"unit_amount_decimal": "0.000000000001"}, None, "0.000000000001"),
        ({"unit_amount_decimal": "7.0"}, 7, "7"),
        ({"unit_amount_decimal": "1000"}, 1000, "1000"),
    ],
)
def test_amounts_are_exact(
    raw: httpx.Client, product: str, asked: dict[str, str], whole: int | None, exact: str
) -> None:
    price = create(raw, **asked)

    assert (price["unit_amount"], price["unit_amount_decimal"]) == (whole, exact)


def test_a_metered_monthly_price(raw: httpx.Client, product: str, meter: str) -> None:
    price = create(
        raw,
        unit_amount="4",
        **{
            "recurring[interval]": "month",
            "recurring[usage_type]": "metered",
            "recurring[meter]": meter,
            "transform_quantity[divide_by]": "100",
            "transform_quantity[round]": "up",
        },
    )

    assert price["type"] == "recurring"
    assert price["recurring"] == {
        "interval": "month", "interval_count": 1, "meter": meter, "trial_period_days": None, "usage_type": "metered",
    }  # fmt: skip
    assert price["transform_quantity"] == {"divide_by": 100, "round": "up"}


TIERED = {
    "billing_scheme": "tiered",
    "tiers_mode": "graduated",
    "recurring[interval]": "month",
    "tiers[0][up_to]": "5",
    "tiers[0][unit_amount]": "700",
    "tiers[1][up_to]": "inf",
    "tiers[1][unit_amount_decimal]": "0.5",
    "tiers[1][flat_amount]": "100",
}


def test_tiers_are_read_when_expanded(raw: httpx.Client, product: str) -> None:
    hidden = create(raw, **TIERED)
    shown = create(raw, **TIERED, **{"expand[]": "tiers"})

    assert "tiers" not in hidden
    assert (shown["unit_amount"], shown["unit_amount_decimal"], shown["tiers_mode"]) == (None, None, "graduated")
    assert shown["tiers"] == [
        {"flat_amount": None, "flat_amount_decimal": None, "unit_amount": 700, "unit_amount_decimal": "700",
         "up_to": 5},
        {"flat_amount": 100, "flat_amount_decimal": "100", "unit_amount": None, "unit_amount_decimal": "0.5",
         "up_to": None},
    ]  # fmt: skip


def test_currency_options_are_read_when_expanded(raw: httpx.Client, product: str) -> None:
    options = {"currency_options[eur][unit_amount]": "90", "currency_options[JPY][unit_amount_decimal]": "15000"}
    assert "currency_options" not in create(raw, unit_amount="100", **options)
    price = create(raw, unit_amount="100", **options, **{"expand[]": "currency_options"})

    assert {currency: option["unit_amount"] for currency, option in price["currency_options"].items()} == {
        "eur": 90, "jpy": 15000, "usd": 100,
    }  # fmt: skip


def test_a_product_is_made_along(client: stripe.StripeClient) -> None:
    price = client.v1.prices.create(
        {
            "currency": "usd",
            "unit_amount": 5,
            "product_data": {"name": "Made along", "metadata": {"a": "b"}, "unit_label": "token"},
            "expand": ["product"],
        }
    )

    assert isinstance(price.product, stripe.Product)
    assert (price.product.name, price.product.unit_label) == ("Made along", "token")
    assert client.v1.products.retrieve(price.product.id).metadata.to_dict() == {"a": "b"}


def test_the_buyer_names_the_amount(raw: httpx.Client, product: str) -> None:
    price = create(raw, **{"custom_unit_amount[enabled]": "true", "custom_unit_amount[minimum]": "500"})

    assert price["custom_unit_amount"] == {"maximum": None, "minimum": 500, "preset": None}
    assert (price["unit_amount"], price["unit_amount_decimal"]) == (None, None)


MONTHLY = {"recurring[interval]": "month"}
METERED = {**MONTHLY, "recurring[usage_type]": "metered"}

REFUSALS: list[tuple[str, dict[str, str], str, str | None, str | None]] = [
    ("no product", {"product": ""}, "You passed an empty string for 'product'.", "product", "parameter_invalid_empty"),
    (
        "both products", {"product_data[name]": "x", "unit_amount": "1"},
        "You may only specify one of these parameters: product, product_data.", "product", None,
    ),
    ("no amount", {}, "Prices require an `unit_amount` or `unit_amount_decimal` parameter to be set.", None, None),
    (
        "both amounts", {"unit_amount": "1", "unit_amount_decimal": "1"},
        "You may only specify one of these parameters: unit_amount, unit_amount_decimal.", "unit_amount", None,
    ),
    (
        "metered without meter", {**METERED, "unit_amount": "1"},
        "Starting with Stripe version `2025-03-31.basil`, metered prices must be backed by meters.", None, None,
    ),
    (
        "unknown meter", {**METERED, "recurring[meter]": "mtr_nope", "unit_amount": "1"},
        "No such billing meter: 'mtr_nope'", "recurring[meter]", "resource_missing",
    ),
    (
        "licensed with meter", {**MONTHLY, "recurring[meter]": "mtr_nope", "unit_amount": "1"},
        "Prices backed by a meter must have `recurring[usage_type]=metered`.", "recurring[meter]", None,
    ),
    (
        "tiered once", {name: value for name, value in TIERED.items() if name not in MONTHLY},
        "Prices with `type=one_time` are not supported with tiered billing.", "interval", None,
    ),
    (
        "too many months", {**MONTHLY, "recurring[interval_count]": "37", "unit_amount": "1"},
        "The interval_count for monthly prices can't be greater than 36", "recurring[interval_count]", None,
    ),
    (
        "too many years", {"recurring[interval]": "year", "recurring[interval_count]": "4", "unit_amount": "1"},
        "The interval_count for yearly prices can't be greater than 3", "recurring[interval_count]", None,
    ),
    (
        "no interval at all", {**MONTHLY, "recurring[interval_count]": "0", "unit_amount": "1"},
        "This value must be greater than or equal to 1.", "recurring[interval_count]", "parameter_invalid_integer",
    ),
    (
        "unknown product", {"product": "prod_nope", "unit_amount": "1"}, "No such product: 'prod_nope'", "product",
        "resource_missing",
    ),
    (
        "negative amount", {"unit_amount": "-1"}, "This value must be greater than or equal to 0.", "unit_amount",
        "parameter_invalid_integer",
    ),
    (
        "thirteen decimals", {"unit_amount_decimal": "0.0000000000001"},
        "Invalid decimal: 0.0000000000001; must contain at maximum 12 decimal places.", "unit_amount_decimal",
        None,
    ),
    ("an exponent", {"unit_amount_decimal": "1e400"}, "Invalid decimal: 1e400", "unit_amount_decimal", None),
    ("not a number", {"unit_amount_decimal": "NaN"}, "Invalid decimal: NaN", "unit_amount_decimal", None),
    (
        "a huge integer", {"unit_amount": "9" * 30}, f"Invalid integer: {'9' * 30}", "unit_amount",
        "parameter_invalid_integer",
    ),
    (
        "tiers without scheme", {"tiers[0][up_to]": "inf", "tiers[0][unit_amount]": "1"},
        "`tiers` and `tiers_mode` can only be set when `billing_scheme=tiered`.", "tiers", None,
    ),
    (
        "no open tier", {**TIERED, "tiers[1][up_to]": "9"}, "Invalid tiers: the last tier's `up_to` must be `inf`.",
        "tiers", None,
    ),
    (
        "tiers that shrink",
        {**TIERED, "tiers[1][up_to]": "4", "tiers[2][up_to]": "inf", "tiers[2][unit_amount]": "1"},
        "Invalid tiers: each tier's `up_to` must be greater than the one before it.", "tiers", None,
    ),
    (
        "a tier for nothing", {**TIERED, "tiers[2][up_to]": "inf"},
        "Invalid tier: at least one of `unit_amount` and `flat_amount` is required.", "tiers[2]", None,
    ),
    (
        "tiers and transform", {**TIERED, "transform_quantity[divide_by]": "2", "transform_quantity[round]": "up"},
        "`transform_quantity` cannot be combined with `billing_scheme=tiered`.", "transform_quantity", None,
    ),
    (
        "another kind of option", {"unit_amount": "1", "currency_options[eur][tiers][0][up_to]": "inf",
                                   "currency_options[eur][tiers][0][unit_amount]": "1"},
        "Currency options must have the same billing scheme as their price.", "currency_options[eur]", None,
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "message", "param", "code"), [case[1:] for case in REFUSALS], ids=[case[0] for case in REFUSALS]
)
def test_what_is_refused(
    raw: httpx.Client, product: str, asked: dict[str, str], message: str, param: str | None, code: str | None
) -> None:
    answer = raw.post("/v1/prices", data={"currency": "usd", "product": product, **asked})

    error = answer.json()["error"]
    assert answer.status_code == 400
    assert error["message"].startswith(message)
    assert (error.get("param"), error.get("code")) == (param, code)


def test_neither_product_nor_data(raw: httpx.Client) -> None:
    error = raw.post("/v1/prices", data={"currency": "usd", "unit_amount": "1"}).json()["error"]

    assert error["message"] == "You must specify either `product` or `product_data` when creating a price."


def test_an_inactive_meter_backs_no_new_price(client: stripe.StripeClient, raw: httpx.Client, product: str) -> None:
    idle = client.v1.billing.meters.create(
        {"display_name": "Idle", "event_name": "idle", "default_aggregation": {"formula": "count"}}
    ).id
    client.v1.billing.meters.deactivate(idle)

    backed = {"unit_amount": "1", **METERED, "recurring[meter]": idle}
    answer = raw.post("/v1/prices", data={"currency": "usd", "product": product, **backed})

    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "recurring[meter]"


def test_a_lookup_key_has_one_holder_even_an_inactive_one(client: stripe.StripeClient, product: str) -> None:
    holder = client.v1.prices.create(
        {"currency": "usd", "unit_amount": 1, "product": product, "lookup_key": "standard", "active": False}
    )

    with pytest.raises(stripe.InvalidRequestError) as raised:
        client.v1.prices.create({"currency": "usd", "unit_amount": 2, "product": product, "lookup_key": "standard"})

    assert str(raised.value.user_message) == f"A price (`{holder.id}`) already uses that lookup key."
    assert raised.value.param == "lookup_key"


def test_a_lookup_key_can_be_transferred(client: stripe.StripeClient, product: str) -> None:
    first, second = (
        client.v1.prices.create({"currency": "usd", "unit_amount": 1, "product": product}).id for _ in range(2)
    )
    client.v1.prices.update(first, {"lookup_key": "moving"})
    with pytest.raises(stripe.InvalidRequestError, match="already uses that lookup key"):
        client.v1.prices.update(second, {"lookup_key": "moving"})

    client.v1.prices.update(second, {"lookup_key": "moving", "transfer_lookup_key": True})

    assert client.v1.prices.retrieve(first).lookup_key is None
    assert client.v1.prices.retrieve(second).lookup_key == "moving"
    told = [each.to_dict()["data"] for each in client.v1.events.list({"type": "price.updated"})]
    lost = [data["object"]["id"] for data in told if data["previous_attributes"] == {"lookup_key": "moving"}]
    assert lost == [first]


def test_seven_fields_can_change(client: stripe.StripeClient, product: str) -> None:
    price = client.v1.prices.create({"currency": "usd", "unit_amount": 1, "product": product})

    changed = client.v1.prices.update(
        price.id,
        {
            "active": False,
            "nickname": "old",
            "metadata": {"k": "v"},
            "tax_behavior": "exclusive",
            "lookup_key": "seven",
            "currency_options": {"eur": {"unit_amount": 2}},
            "expand": ["currency_options"],
        },
    )

    assert (changed.active, changed.nickname, changed.tax_behavior, changed.lookup_key) == (
        False, "old", "exclusive", "seven",
    )  # fmt: skip
    assert changed.to_dict()["currency_options"]["eur"]["unit_amount"] == 2


@pytest.mark.parametrize("field", ["unit_amount", "currency", "product", "recurring", "tiers"])
def test_nothing_else_can_change(raw: httpx.Client, product: str, field: str) -> None:
    price = create(raw, unit_amount="1")["id"]

    error = raw.post(f"/v1/prices/{price}", data={field: "1"}).json()["error"]

    assert (error["code"], error["param"]) == ("parameter_unknown", field)


def test_a_tax_behavior_is_final(client: stripe.StripeClient, product: str) -> None:
    price = client.v1.prices.create(
        {"currency": "usd", "unit_amount": 1, "product": product, "tax_behavior": "inclusive"}
    )

    with pytest.raises(stripe.InvalidRequestError) as raised:
        client.v1.prices.update(price.id, {"tax_behavior": "exclusive"})

    assert raised.value.param == "tax_behavior"


def test_prices_cannot_be_deleted(raw: httpx.Client, product: str) -> None:
    price = create(raw, unit_amount="1")["id"]

    assert raw.delete(f"/v1/prices/{price}").status_code == 404
    assert raw.get(f"/v1/prices/{price}").status_code == 200
