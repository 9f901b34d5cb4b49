"""Cards: made from tokens and numbers, attached, declined, detached."""

from typing import TYPE_CHECKING, cast

import pytest
import stripe

if TYPE_CHECKING:
    from stripe.params import PaymentMethodCreateParamsCard


def test_a_test_method_becomes_a_card_of_the_customer(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({})

    method = client.v1.payment_methods.attach("pm_card_visa", {"customer": customer.id})

    assert method.id.startswith("pm_")
    assert method.id != "pm_card_visa"
    assert method.customer == customer.id
    assert method.card is not None
    assert (method.card.brand, method.card.last4, method.card.funding) == ("visa", "4242", "credit")
    assert client.v1.payment_methods.retrieve(method.id) == method
    own = client.v1.customers.payment_methods.list(customer.id)
    assert [each.id for each in own.data] == [method.id]


def test_a_card_comes_from_a_token_or_a_number(client: stripe.StripeClient) -> None:
    by_token = client.v1.payment_methods.create({"type": "card", "card": {"token": "tok_mastercard"}})
    by_number = client.v1.payment_methods.create(
        {
            "type": "card",
            "card": {"number": "4242 4242 4242 4242", "exp_month": 7, "exp_year": 2044, "cvc": "314"},
            "billing_details": {"name": "Ada", "address": {"country": "GB"}},
        }
    )

    assert by_token.card is not None
    assert by_token.card.brand == "mastercard"
    assert by_token.customer is None
    assert by_number.card is not None
    assert (by_number.card.exp_month, by_number.card.exp_year) == (7, 2044)
    assert by_number.billing_details.name == "Ada"
    assert by_number.billing_details.address is not None
    assert by_number.billing_details.address.country == "GB"


@pytest.mark.parametrize(
    ("card", "code"),
    [
        ({"number": "4111111111111112", "exp_month": 1, "exp_year": 2044}, "incorrect_number"),
        ({"number": "4242424242424242", "exp_month": 13, "exp_year": 2044}, "invalid_expiry_month"),
        ({"number": "4242424242424242", "exp_month": 1, "exp_year": 2001}, "invalid_expiry_year"),
    ],
)
def test_what_is_not_a_card_is_a_card_error(client: stripe.StripeClient, card: dict[str, object], code: str) -> None:
    with pytest.raises(stripe.CardError) as refused:
        client.v1.payment_methods.create({"type": "card", "card": cast("PaymentMethodCreateParamsCard", card)})
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("method", "code", "decline_code"),
    [
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_visa_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_visa_chargeDeclinedLostCard", "card_declined", "lost_card"),
        ("pm_card_visa_chargeDeclinedStolenCard", "card_declined", "stolen_card"),
        ("pm_card_visa_chargeDeclinedVelocityLimitExceeded", "card_declined", "card_velocity_exceeded"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card"),
        ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", "incorrect_cvc"),
        ("pm_card_chargeDeclinedProcessingError", "processing_error", "processing_error"),
    ],
)
def test_a_card_that_declines_cannot_be_attached(
    client: stripe.StripeClient, method: str, code: str, decline_code: str
) -> None:
    customer = client.v1.customers.create({})

    with pytest.raises(stripe.CardError) as refused:
        client.v1.payment_methods.attach(method, {"customer": customer.id})

    assert refused.value.http_status == 402
    assert refused.value.code == code
    assert refused.value.error is not None
    assert refused.value.error.decline_code == decline_code
    assert client.v1.customers.payment_methods.list(customer.id).data == []


def test_a_detached_card_is_nobodys_default_and_stays_detached(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({})
    method = client.v1.payment_methods.attach("pm_card_visa", {"customer": customer.id})
    client.v1.customers.update(customer.id, {"invoice_settings": {"default_payment_method": method.id}})

    detached = client.v1.payment_methods.detach(method.id)

    assert detached.customer is None
    settings = client.v1.customers.retrieve(customer.id).invoice_settings
    assert settings is not None
    assert settings.default_payment_method is None
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        client.v1.payment_methods.attach(method.id, {"customer": customer.id})
    with pytest.raises(stripe.InvalidRequestError, match="detachment is impossible"):
        client.v1.payment_methods.detach(method.id)


def test_an_attached_card_belongs_to_one_customer(client: stripe.StripeClient) -> None:
    first, second = client.v1.customers.create({}), client.v1.customers.create({})
    method = client.v1.payment_methods.attach("pm_card_visa", {"customer": first.id})

    with pytest.raises(stripe.InvalidRequestError, match="already been attached"):
        client.v1.payment_methods.attach(method.id, {"customer": second.id})
    with pytest.raises(stripe.InvalidRequestError, match="No such PaymentMethod"):
        client.v1.customers.payment_methods.retrieve(second.id, method.id)


def test_a_card_can_be_described_anew(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({})
    method = client.v1.payment_methods.attach("pm_card_visa", {"customer": customer.id})

    changed = client.v1.payment_methods.update(
        method.id,
        {
            "billing_details": {"email": "ada@example.com"},
            "card": {"exp_month": 3, "exp_year": 2040},
            "metadata": {"team": "ops"},
        },
    )

    assert changed.billing_details.email == "ada@example.com"
    assert changed.card is not None
    assert (changed.card.exp_month, changed.card.exp_year) == (3, 2040)
    assert changed.metadata is not None
    assert changed.metadata.to_dict() == {"team": "ops"}


def test_unknown_methods_and_kinds_are_refused_by_name(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({})

    with pytest.raises(stripe.InvalidRequestError) as missing:
        client.v1.payment_methods.attach("pm_nope", {"customer": customer.id})
    assert (missing.value.http_status, missing.value.code) == (404, "resource_missing")
    with pytest.raises(stripe.InvalidRequestError) as unsupported:
        client.v1.payment_methods.create({"type": "sepa_debit", "sepa_debit": {"iban": "DE89370400440532013000"}})
    assert unsupported.value.http_status == 400
    with pytest.raises(stripe.InvalidRequestError) as token:
        client.v1.payment_methods.create({"type": "card", "card": {"token": "tok_nope"}})
    assert token.value.code == "resource_missing"
