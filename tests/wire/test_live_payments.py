"""Money in live mode, taken by Stripe: asked for by the worker, told by webhooks and polls, booked once.

A second environment of the same server stands in for Stripe; between them is the official SDK over HTTP.
"""

import asyncio
import json

import httpx
import pytest
import stripe

from meterline.gateway.stripe_processor import StripeProcessor
from tests.wire.billing import draft_of
from tests.wire.live import payer, polled, told, upstream_payments, work
from tests.wire.test_books_of_business import cents, standing


def asked(live: stripe.StripeClient, customer: stripe.Customer, amount: int) -> tuple[stripe.Invoice, str]:
    """An invoice whose money was asked for, and the attempt's id."""
    draft = draft_of(live, customer, amount)
    invoice = live.v1.invoices.pay(draft.id, {"expand": ["payments.data.payment.payment_intent"]})
    assert invoice.payments is not None
    intent = invoice.payments.data[0].payment.payment_intent
    assert isinstance(intent, stripe.PaymentIntent)
    assert (invoice.status, intent.status) == ("open", "processing")
    return invoice, str(intent.latest_charge)


def test_an_invoice_is_paid_by_stripe_and_refunded_there(
    live: stripe.StripeClient, client: stripe.StripeClient, dsn: str
) -> None:
    customer = payer(live, client)
    invoice, charge = asked(live, customer, 1700)
    work(dsn)
    assert live.v1.invoices.retrieve(invoice.id).status == "paid"
    [upstream] = upstream_payments(client, charge)
    assert (upstream.status, upstream.amount_received) == ("succeeded", 1700)
    assert standing(dsn)[customer.id, "clearing:stripe"] == -cents(1700)

    refund = live.v1.refunds.create({"charge": charge, "amount": 700})
    assert refund.status == "pending"
    work(dsn)
    assert live.v1.refunds.retrieve(refund.id).status == "succeeded"
    assert client.v1.charges.retrieve(str(upstream.latest_charge)).amount_refunded == 700
    assert standing(dsn)[customer.id, "clearing:stripe"] == -cents(1000)


def test_a_decline_upstream_is_a_failed_payment_here(
    live: stripe.StripeClient, client: stripe.StripeClient, dsn: str
) -> None:
    invoice, charge = asked(live, payer(live, client, "pm_card_chargeCustomerFail"), 900)
    work(dsn)
    assert live.v1.invoices.retrieve(invoice.id).status == "open"
    assert live.v1.charges.retrieve(charge).failure_code == "card_declined"


def test_news_that_come_often_and_from_everywhere_credit_once(
    live: stripe.StripeClient, client: stripe.StripeClient, raw: httpx.Client, processor: StripeProcessor, dsn: str
) -> None:
    customer = payer(live, client)
    invoice, charge = asked(live, customer, 2300)
    method = str(live.v1.charges.retrieve(charge).payment_method)
    client.v1.payment_intents.create(
        {
            "amount": 2300,
            "currency": "usd",
            "customer": str(client.v1.payment_methods.retrieve(method).customer),
            "payment_method": method,
            "confirm": True,
            "metadata": {"meterline_attempt": charge},
        },
        {"idempotency_key": charge},
    )
    [event] = raw.get("/v1/events", params={"type": "payment_intent.succeeded", "limit": 1}).json()["data"]
    body = json.dumps(event).encode()
    assert asyncio.run(told(dsn, processor, [body] * 5)) == [200] * 5
    assert asyncio.run(told(dsn, processor, [body] * 2, forged=True)) == [400] * 2
    assert polled(dsn, processor) >= 1

    assert live.v1.invoices.retrieve(invoice.id).amount_paid == 2300
    assert standing(dsn)[customer.id, "clearing:stripe"] == -cents(2300)


def test_live_mode_takes_no_test_cards_and_no_numbers(live: stripe.StripeClient) -> None:
    customer = live.v1.customers.create({})
    with pytest.raises(stripe.InvalidRequestError, match="No such PaymentMethod"):
        live.v1.payment_methods.attach("pm_card_visa", {"customer": customer.id})
    with pytest.raises(stripe.InvalidRequestError, match="Stripe's own form"):
        live.v1.payment_methods.create({"type": "card", "card": {"token": "tok_visa"}})
