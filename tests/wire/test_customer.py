"""Customers."""

import re
from typing import Any

import httpx
import pytest
import stripe

from tests.wire.typed import assert_typed

ADDRESS = {"city": "Berlin", "country": "DE", "line1": "Weg 1", "line2": None, "postal_code": "10115", "state": None}

EVERYTHING: dict[str, Any] = {
    "name": "Ada",
    "email": "ada@example.com",
    "phone": "+49 30 1",
    "description": "first",
    "business_name": "Ada Ltd",
    "individual_name": "Ada L.",
    "address": {name: value for name, value in ADDRESS.items() if value},
    "shipping": {"name": "Ada", "phone": "1", "address": {"line1": "Weg 1", "city": "Berlin", "country": "DE",
                                                        "postal_code": "10115"}},
    "invoice_prefix": "ADA1",
    "next_invoice_sequence": 7,
    "invoice_settings": {
        "custom_fields": [{"name": "PO", "value": "1"}],
        "footer": "Thanks",
        "rendering_options": {"amount_tax_display": "include_inclusive_tax"},
    },
    "metadata": {"plan": "gold"},
    "preferred_locales": ["de", "en"],
    "tax_exempt": "reverse",
}  # fmt: skip

PAYING = {"payment_method": "pm_card_visa", "invoice_settings": {"default_payment_method": "pm_card_visa"}}


def create(client: stripe.StripeClient, **params: Any) -> stripe.Customer:
    return client.v1.customers.create(params)  # type: ignore[arg-type]


def test_a_bare_customer_reads_like_stripes(client: stripe.StripeClient) -> None:
    customer = create(client)

    assert_typed(customer)
    assert customer.id.startswith("cus_") and len(customer.id) == 18
    assert re.fullmatch("[A-Z0-9]{8}", customer.invoice_prefix or "")
    plain = customer.to_dict()
    assert plain == {
        "id": customer.id, "object": "customer", "address": None, "balance": 0, "created": customer.created,
        "currency": None, "default_source": None, "delinquent": False, "description": None, "discount": None,
        "email": None, "invoice_prefix": customer.invoice_prefix,
        "invoice_settings": {
            "custom_fields": None, "default_payment_method": None, "footer": None, "rendering_options": None,
        },
        "livemode": False, "metadata": {}, "name": None, "next_invoice_sequence": 1, "phone": None,
        "preferred_locales": [], "shipping": None, "tax_exempt": "none", "test_clock": None,
    }  # fmt: skip


def test_every_parameter_is_read_back(client: stripe.StripeClient) -> None:
    created = create(client, **EVERYTHING)
    read = client.v1.customers.retrieve(created.id).to_dict()

    assert_typed(read)
    assert read == created.to_dict()
    assert read["address"] == ADDRESS
    assert read["shipping"] == {"name": "Ada", "phone": "1", "address": ADDRESS}
    rest = EVERYTHING.keys() - {"address", "shipping", "invoice_settings"}
    assert {name: read[name] for name in rest} == {name: EVERYTHING[name] for name in rest}
    assert read["invoice_settings"] == {
        **EVERYTHING["invoice_settings"],
        "default_payment_method": None,
        "rendering_options": {"amount_tax_display": "include_inclusive_tax", "template": None},
    }


def test_an_update_changes_what_was_sent_and_an_empty_text_unsets(client: stripe.StripeClient) -> None:
    customer = create(client, **EVERYTHING | {"invoice_prefix": "ADA2"})
    emptied = dict.fromkeys(("phone", "address", "shipping", "business_name", "tax_exempt", "preferred_locales"), "")

    more = {"invoice_settings": {"footer": "", "custom_fields": ""}, "metadata": {"plan": ""}}
    changed = client.v1.customers.update(customer.id, {**emptied, **more}).to_dict()  # type: ignore[arg-type]

    assert "business_name" not in changed
    assert (changed["phone"], changed["address"], changed["shipping"]) == (None, None, None)
    assert (changed["tax_exempt"], changed["preferred_locales"], changed["metadata"]) == ("none", [], {})
    assert changed["invoice_settings"]["footer"] is None
    assert changed["invoice_settings"]["custom_fields"] is None
    assert changed["invoice_settings"]["rendering_options"]["amount_tax_display"] == "include_inclusive_tax"
    assert (changed["name"], changed["email"]) == ("Ada", "ada@example.com")


def test_a_deleted_customer_leaves_a_tombstone(client: stripe.StripeClient, raw: httpx.Client) -> None:
    customer = create(client, email="gone@example.com")

    gone = client.v1.customers.delete(customer.id)

    tombstone = {"id": customer.id, "object": "customer", "deleted": True}
    assert gone.to_dict() == tombstone
    assert raw.get(f"/v1/customers/{customer.id}").json() == tombstone
    assert client.v1.customers.list({"email": "gone@example.com"}).data == []
    for again in (raw.delete, lambda url: raw.post(url, data={"name": "x"})):
        answer = again(f"/v1/customers/{customer.id}")
        assert answer.status_code == 404
        assert answer.json()["error"]["message"] == f"No such customer: '{customer.id}'"


def test_deleting_a_customer_ends_their_subscriptions(client: stripe.StripeClient) -> None:
    customer = create(client, **PAYING)
    price = client.v1.prices.create(
        {"currency": "usd", "unit_amount": 500, "product_data": {"name": "x"}, "recurring": {"interval": "month"}}
    )
    subscription = client.v1.subscriptions.create({"customer": customer.id, "items": [{"price": price.id}]})

    client.v1.customers.delete(customer.id)

    assert client.v1.subscriptions.retrieve(subscription.id).status == "canceled"


def test_the_balance_changes_by_transactions(client: stripe.StripeClient) -> None:
    customer = create(client, balance=-1000)
    assert (customer.balance, customer.currency) == (-1000, "usd")

    changed = client.v1.customers.update(customer.id, {"balance": 250})

    assert changed.balance == 250
    history = client.v1.customers.balance_transactions.list(customer.id).data
    assert [(each.type, each.amount, each.ending_balance) for each in history] == [
        ("adjustment", 1250, 250),
        ("initial", -1000, -1000),
    ]


def test_a_payment_method_is_attached_and_made_default(client: stripe.StripeClient) -> None:
    customer = create(client, **PAYING)

    assert customer.invoice_settings is not None
    method = client.v1.payment_methods.retrieve(str(customer.invoice_settings.default_payment_method))
    assert method.customer == customer.id


def test_a_default_payment_method_must_be_attached(client: stripe.StripeClient) -> None:
    mine, theirs = create(client), create(client)
    method = client.v1.payment_methods.attach("pm_card_visa", {"customer": theirs.id})

    with pytest.raises(stripe.InvalidRequestError) as raised:
        client.v1.customers.update(mine.id, {"invoice_settings": {"default_payment_method": method.id}})

    assert (raised.value.code, raised.value.param) == (
        "resource_missing",
        "invoice_settings[default_payment_method]",
    )


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"invoice_prefix": "lower"}, "invoice_prefix"),
        ({"invoice_prefix": "WITH-DASH"}, "invoice_prefix"),
        ({"invoice_prefix": "THIRTEENCHARS"}, "invoice_prefix"),
        ({"next_invoice_sequence": 0}, "next_invoice_sequence"),
        ({"email": "no at"}, "email"),
        ({"tax_exempt": "maybe"}, "tax_exempt"),
        ({"test_clock": "clock_nope"}, "test_clock"),
        ({"shipping": {"name": "x"}}, "shipping[address]"),
        ({"invoice_settings": {"custom_fields": [{"name": "a", "value": "b"}] * 5}}, "invoice_settings[custom_fields]"),
        ({"payment_method": "pm_nope"}, "payment_method"),
        ({"source": "tok_visa"}, "source"),
        ({"balance": 10**13}, "balance"),
    ],
)
def test_what_is_refused(client: stripe.StripeClient, params: dict[str, Any], param: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as raised:
        create(client, **params)

    assert (raised.value.http_status, raised.value.param) == (400, param)


def test_a_test_clock_has_room_for_three(client: stripe.StripeClient) -> None:
    clock = client.v1.test_helpers.test_clocks.create({"frozen_time": 1_700_000_000}).id
    for _ in range(3):
        create(client, test_clock=clock)

    with pytest.raises(stripe.InvalidRequestError) as raised:
        create(client, test_clock=clock)
    assert raised.value.param == "test_clock"


def test_a_customer_does_not_move_to_another_clock(client: stripe.StripeClient, raw: httpx.Client) -> None:
    error = raw.post(f"/v1/customers/{create(client).id}", data={"test_clock": "clock_x"}).json()["error"]

    assert error["code"] == "parameter_unknown"


def test_what_is_hidden_is_sent_to_who_expands_it(client: stripe.StripeClient) -> None:
    customer = create(
        client,
        tax_id_data=[{"type": "eu_vat", "value": "DE123456789"}],
        expand=["sources", "subscriptions", "tax_ids", "tax", "invoice_credit_balance"],
    ).to_dict()

    assert customer["tax_ids"]["data"][0]["value"] == "DE123456789"
    assert (customer["sources"]["data"], customer["sources"]["total_count"]) == ([], 0)
    assert customer["subscriptions"]["url"] == f"/v1/subscriptions?customer={customer['id']}"
