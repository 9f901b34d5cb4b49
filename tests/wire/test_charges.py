"""Charges through the official SDK: they say for ever what was charged, how, and what the bank said."""

from typing import Any

import httpx
import pytest
import stripe

from tests.wire.billing import customer_with, draft_of
from tests.wire.typed import assert_typed

CARD_OF_OTHER_PROCESSORS = tuple(
    f"charge.payment_method_details.card.{name}"
    for name in (
        "capture_before",
        "description",
        "electronic_commerce_indicator",
        "iin",
        "issuer",
        "moto",
        "setup_credential_usage",
        "stored_credential_usage",
        "transaction_link_id",
    )
)


def charged(client: stripe.StripeClient, card: str = "pm_card_visa", **more: Any) -> stripe.Charge:
    asked: Any = {"amount": 2000, "currency": "usd", "payment_method": card, "confirm": True, **more}
    taken = client.v1.payment_intents.create(asked | {"expand": ["latest_charge"]})
    assert isinstance(taken.latest_charge, stripe.Charge)
    return taken.latest_charge


def card_of(charge: stripe.Charge) -> stripe.Charge.PaymentMethodDetails.Card:
    assert charge.payment_method_details is not None and charge.payment_method_details.card is not None
    assert charge.payment_method_details.type == "card"
    return charge.payment_method_details.card


def test_a_charge_tells_its_card_its_holder_and_what_the_payment_was_for(client: stripe.StripeClient) -> None:
    method = client.v1.payment_methods.create(
        {
            "type": "card",
            "card": {"number": "5200 8282 8282 8210", "exp_month": 4, "exp_year": 2039, "cvc": "123"},
            "billing_details": {"name": "Zoë Ünal", "email": "zoe@example.com", "address": {"postal_code": "10115"}},
        }
    )
    charge = charged(client, method.id, description="Eggs ☃", metadata={"order": "7"}, receipt_email="zoe@example.com")
    others = stripe.Charge.PaymentMethodDetails.__annotations__.keys() - {"card", "type"}
    assert_typed(
        charge, absent=[*(f"charge.payment_method_details.{name}" for name in others), *CARD_OF_OTHER_PROCESSORS]
    )
    card = card_of(charge)
    assert (card.brand, card.last4, card.exp_month, card.exp_year) == ("mastercard", "8210", 4, 2039)
    assert (card.funding, card.country, card.network, card.three_d_secure) == ("debit", "US", "mastercard", None)
    assert card.checks is not None
    assert (card.checks.cvc_check, card.checks.address_postal_code_check) == ("pass", "pass")
    assert card.checks.address_line1_check is None
    holder = charge.billing_details
    assert (holder.name, holder.email, holder.address and holder.address.postal_code) == (
        "Zoë Ünal",
        "zoe@example.com",
        "10115",
    )
    assert (charge.description, charge.receipt_email, charge.metadata["order"]) == ("Eggs ☃", "zoe@example.com", "7")


def test_a_charge_stays_what_it_was_when_its_card_changes(client: stripe.StripeClient) -> None:
    customer = customer_with(client)
    [method] = client.v1.payment_methods.list({"customer": customer.id}).data
    charge = charged(client, method.id, customer=customer.id)
    client.v1.payment_methods.update(method.id, {"card": {"exp_year": 2055}, "billing_details": {"name": "Later"}})
    client.v1.payment_methods.detach(method.id)
    again = client.v1.charges.retrieve(charge.id)
    assert (card_of(again).exp_year, again.billing_details.name) == (card_of(charge).exp_year, None)


def test_an_invoices_charge_tells_its_card_too(client: stripe.StripeClient) -> None:
    invoice = draft_of(client, customer_with(client), 900)
    client.v1.invoices.pay(invoice.id)
    [charge] = client.v1.charges.list({"customer": str(invoice.customer)}).data
    assert card_of(charge).last4 == "4242"


def test_a_holder_who_confirmed_stands_on_the_charge(client: stripe.StripeClient, raw: httpx.Client) -> None:
    back = "https://shop.example/back?cart=1"
    waiting = client.v1.payment_intents.create(
        {
            "amount": 2000,
            "currency": "usd",
            "payment_method": "pm_card_authenticationRequired",
            "confirm": True,
            "return_url": back,
        }
    )
    assert waiting.next_action is not None and waiting.next_action.redirect_to_url is not None
    page = str(waiting.next_action.redirect_to_url.url)
    sent = raw.post(page, data={"decision": "confirm"}, headers={"authorization": ""})
    came = httpx.URL(sent.headers["location"]).params
    assert (came["cart"], came["payment_intent"], came["redirect_status"]) == ("1", waiting.id, "succeeded")
    assert came["payment_intent_client_secret"] == waiting.client_secret
    taken = client.v1.payment_intents.retrieve(waiting.id, {"expand": ["latest_charge"]})
    assert isinstance(taken.latest_charge, stripe.Charge)
    secure = card_of(taken.latest_charge).three_d_secure
    assert secure is not None
    assert (secure.result, secure.authentication_flow) == ("authenticated", "challenge")


def test_a_holder_who_refused_leaves_an_error_that_is_no_decline(
    client: stripe.StripeClient, raw: httpx.Client
) -> None:
    waiting = client.v1.payment_intents.create(
        {"amount": 2000, "currency": "usd", "payment_method": "pm_card_authenticationRequired", "confirm": True}
    )
    assert waiting.next_action is not None and waiting.next_action.redirect_to_url is not None
    raw.post(str(waiting.next_action.redirect_to_url.url), data={"decision": "refuse"}, headers={"authorization": ""})
    error = client.v1.payment_intents.retrieve(waiting.id).last_payment_error
    assert error is not None and error.payment_method is not None
    assert (error.type, error.code) == ("invalid_request_error", "payment_intent_authentication_failure")
    assert error.payment_method.id == waiting.payment_method
    assert "charge" not in error


def test_a_decline_names_the_card_and_its_charge(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.CardError) as told:
        charged(client, "pm_card_chargeDeclinedIncorrectCvc")
    assert told.value.error is not None and told.value.error.payment_intent is not None
    method = told.value.error.payment_method
    assert method is not None and method.card is not None and method.card.last4 == "0127"
    failed = client.v1.payment_intents.retrieve(told.value.error.payment_intent.id, {"expand": ["latest_charge"]})
    error, charge = failed.last_payment_error, failed.latest_charge
    assert error is not None and isinstance(charge, stripe.Charge)
    assert (error.charge, error.code, error.type) == (charge.id, "incorrect_cvc", "card_error")
    assert error.doc_url == "https://stripe.com/docs/error-codes/incorrect-cvc"
    assert error.payment_method is not None and error.payment_method.id == method.id
    assert (charge.paid, charge.captured, charge.receipt_url) == (False, False, None)
    checks = card_of(charge).checks
    assert checks is not None and checks.cvc_check == "fail"


def test_a_setup_that_was_refused_names_the_card(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.CardError) as told:
        client.v1.setup_intents.create({"payment_method": "pm_card_chargeDeclined", "confirm": True})
    assert told.value.error is not None and told.value.error.setup_intent is not None
    error = client.v1.setup_intents.retrieve(told.value.error.setup_intent.id).last_setup_error
    assert error is not None and error.payment_method is not None and error.payment_method.card is not None
    assert error.payment_method.card.last4 == "0002"


CARD: Any = {"type": "card", "card": {"token": "tok_mastercard"}, "billing_details": {"name": "Ada"}}


def test_an_intent_brings_its_card_along(client: stripe.StripeClient) -> None:
    once = client.v1.payment_intents.create(
        {"amount": 2000, "currency": "usd", "payment_method_data": CARD, "confirm": True, "expand": ["latest_charge"]}
    )
    assert isinstance(once.latest_charge, stripe.Charge)
    assert (once.status, card_of(once.latest_charge).brand) == ("succeeded", "mastercard")
    assert once.latest_charge.billing_details.name == "Ada"
    later = client.v1.payment_intents.create({"amount": 2000, "currency": "usd"})
    chosen = client.v1.payment_intents.update(later.id, {"payment_method_data": CARD})
    assert (chosen.status, chosen.payment_method is not None) == ("requires_confirmation", True)
    assert client.v1.payment_intents.confirm(later.id, {"payment_method_data": CARD}).status == "succeeded"
    customer = client.v1.customers.create({})
    saved = client.v1.setup_intents.create({"customer": customer.id, "payment_method_data": CARD, "confirm": True})
    assert client.v1.payment_methods.retrieve(str(saved.payment_method)).customer == customer.id


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"payment_method": "pm_card_visa", "payment_method_data": CARD}, "payment_method_data"),
        ({"payment_method_data": {"type": "card"}}, "payment_method_data[card]"),
        ({"payment_method_data": {"type": "klarna"}}, "payment_method_data[type]"),
        ({"allowed_payment_method_types": ["klarna"]}, "allowed_payment_method_types[0]"),
        ({"excluded_payment_method_types": ["card"]}, "excluded_payment_method_types"),
        ({"payment_method_types": ["card"]}, "payment_method_types"),
        ({"statement_descriptor_suffix": "A*B"}, "statement_descriptor_suffix"),
        ({"statement_descriptor": "1234"}, "statement_descriptor"),
        ({"receipt_email": "nobody"}, "receipt_email"),
        ({"amount": 100_000_000}, "amount"),
        ({"off_session": "sometimes"}, "off_session"),
        ({"shipping": {"name": "Ada"}}, "shipping[address]"),
    ],
)
def test_what_an_intent_cannot_be_asked_for(client: stripe.StripeClient, asked: dict[str, Any], param: str) -> None:
    wrong: Any = {"amount": 2000, "currency": "usd"} | asked
    with pytest.raises(stripe.InvalidRequestError) as told:
        client.v1.payment_intents.create(wrong)
    assert (told.value.http_status, told.value.param) == (400, param)


def test_what_is_sent_and_what_the_bank_shows_stand_on_the_charge(client: stripe.StripeClient) -> None:
    to: Any = {"name": "Ada", "address": {"line1": "1 Rd", "country": "GB"}}
    charge = charged(
        client,
        shipping=to,
        statement_descriptor_suffix="EGGS 7",
        allowed_payment_method_types=["card"],
        excluded_payment_method_types=["klarna"],
        off_session="one_off",
    )
    assert charge.shipping is not None and charge.shipping.address is not None
    assert (charge.shipping.name, charge.shipping.address.country) == ("Ada", "GB")
    assert (charge.statement_descriptor_suffix, charge.calculated_statement_descriptor) == ("EGGS 7", "EGGS 7")
    short: Any = {"number": "4242424242424242", "exp_month": 1, "exp_year": 2040, "cvc": "12"}
    with pytest.raises(stripe.CardError) as told:
        client.v1.payment_methods.create({"type": "card", "card": short})
    assert told.value.code == "invalid_cvc"


def test_before_endive_the_kinds_of_method_had_another_name(raw: httpx.Client) -> None:
    asked = {"amount": "2000", "currency": "usd", "payment_method_types[0]": "card"}
    older = {"stripe-version": "2026-08-26.dahlia"}
    made = raw.post("/v1/payment_intents", data=asked, headers=older)
    assert made.status_code == 200
    assert made.json()["payment_method_types"] == ["card"]
    assert "allowed_payment_method_types" not in made.json()
    now = raw.get(f"/v1/payment_intents/{made.json()['id']}").json()
    assert now["allowed_payment_method_types"] == ["card"]


def test_a_receipt_is_a_page(client: stripe.StripeClient) -> None:
    charge = charged(client, description="Two <eggs>")
    shown = httpx.get(str(charge.receipt_url))
    assert shown.status_code == 200
    assert all(part in shown.text for part in ("Visa ending in 4242", "20.00", "Two &lt;eggs&gt;"))
    assert "Refunded" not in shown.text
    client.v1.refunds.create({"charge": charge.id, "amount": 500})
    assert "5.00" in httpx.get(str(charge.receipt_url)).text
    assert httpx.get(str(charge.receipt_url) + "x").status_code == 404
