"""Live cards that need a second step: their holder's consent, or a capture; and refunds that take their time."""

import asyncio
from typing import Any

import httpx
import pytest
import stripe

from meterline.gateway.stripe_processor import StripeProcessor
from tests.wire.billing import draft_of
from tests.wire.live import events, payer, polled, told, upstream_payments, work
from tests.wire.test_books_of_business import cents, standing

THREE_D = "pm_card_authenticationRequired"


def method_of(customer: stripe.Customer) -> str:
    assert customer.invoice_settings is not None
    return str(customer.invoice_settings.default_payment_method)


def asked(live: stripe.StripeClient, customer: stripe.Customer, **more: Any) -> stripe.PaymentIntent:
    """A payment that was confirmed, and that nobody knows the end of yet."""
    wanted = {
        "amount": 3000,
        "currency": "usd",
        "customer": customer.id,
        "payment_method": method_of(customer),
        "confirm": True,
        "return_url": "https://shop.example/back",
    } | more
    payment = live.v1.payment_intents.create(wanted)  # type: ignore[arg-type]
    assert payment.status == "processing"
    return payment


def answer(payment: stripe.PaymentIntent, decision: str) -> httpx.Response:
    """What the page says that Stripe showed the card's holder, once they have decided."""
    assert payment.next_action is not None and payment.next_action.redirect_to_url is not None
    return httpx.post(str(payment.next_action.redirect_to_url.url), data={"decision": decision}, timeout=30)


def decide(payment: stripe.PaymentIntent, decision: str) -> None:
    """The card's holder decides, on the page that Stripe showed them."""
    back = answer(payment, decision)
    assert back.headers["location"].startswith("https://shop.example/back")


@pytest.mark.parametrize(
    ("decision", "status", "taken"), [("confirm", "succeeded", 3000), ("refuse", "requires_payment_method", 0)]
)
def test_the_holder_is_asked_at_stripe_and_what_they_decided_is_found(
    live: stripe.StripeClient,
    client: stripe.StripeClient,
    processor: StripeProcessor,
    dsn: str,
    decision: str,
    status: str,
    taken: int,
) -> None:
    customer = payer(live, client, THREE_D)
    payment = asked(live, customer)
    work(dsn)
    waiting = live.v1.payment_intents.retrieve(payment.id)
    assert waiting.status == "requires_action"
    decide(waiting, decision)
    polled(dsn, processor)
    polled(dsn, processor)
    assert live.v1.payment_intents.retrieve(payment.id).status == status
    assert -standing(dsn).get((customer.id, "clearing:stripe"), cents(0)) == cents(taken)


def test_off_session_such_a_card_is_declined(live: stripe.StripeClient, client: stripe.StripeClient, dsn: str) -> None:
    payment = asked(live, payer(live, client, THREE_D), off_session=True)
    work(dsn)
    failed = live.v1.payment_intents.retrieve(payment.id)
    assert (failed.status, failed.last_payment_error and failed.last_payment_error.code) == (
        "requires_payment_method",
        "authentication_required",
    )


@pytest.mark.parametrize("confirmed", [False, True])
def test_another_card_takes_over_and_the_first_cannot_pay_as_well(
    live: stripe.StripeClient, client: stripe.StripeClient, processor: StripeProcessor, dsn: str, *, confirmed: bool
) -> None:
    customer = payer(live, client, THREE_D)
    payment = asked(live, customer)
    work(dsn)
    waiting = live.v1.payment_intents.retrieve(payment.id)
    other = client.v1.payment_methods.attach("pm_card_visa", {"customer": client.v1.customers.create({}).id})
    live.v1.payment_methods.attach(other.id, {"customer": customer.id})
    live.v1.payment_intents.confirm(payment.id, {"payment_method": other.id})
    if confirmed:
        decide(waiting, "confirm")
    work(dsn)
    polled(dsn, processor)
    assert live.v1.payment_intents.retrieve(payment.id).status == "succeeded"
    charges = live.v1.charges.list({"payment_intent": payment.id}).data
    assert sorted(each.amount_captured for each in charges) == [0, 3000]
    asked_there = [each for charge in charges for each in upstream_payments(client, charge.id)]
    assert sum(each.amount_received for each in asked_there) == 3000
    assert -standing(dsn)[customer.id, "clearing:stripe"] == cents(3000)


def test_a_payment_that_was_called_off_gives_back_what_its_holder_confirms_too_late(
    live: stripe.StripeClient, client: stripe.StripeClient, processor: StripeProcessor, dsn: str
) -> None:
    customer = payer(live, client, THREE_D)
    payment = asked(live, customer)
    work(dsn)
    waiting = live.v1.payment_intents.retrieve(payment.id)
    assert live.v1.payment_intents.cancel(payment.id).status == "canceled"
    decide(waiting, "confirm")
    polled(dsn, processor)
    work(dsn)
    assert live.v1.payment_intents.retrieve(payment.id).amount_received == 0
    [refund] = live.v1.refunds.list({"payment_intent": payment.id}).data
    assert (refund.status, refund.amount, refund.reason) == ("succeeded", 3000, "duplicate")
    books = standing(dsn)
    assert {books[customer.id, "clearing:stripe"], books[customer.id, "refunds"]} == {cents(0)}


def test_a_holder_who_confirms_more_than_a_credit_note_has_left_gets_it_back_and_is_asked_again(
    live: stripe.StripeClient, client: stripe.StripeClient, processor: StripeProcessor, dsn: str
) -> None:
    customer = payer(live, client, THREE_D)
    invoice = live.v1.invoices.finalize_invoice(str(draft_of(live, customer, 3000).id))
    [asked_for] = live.v1.payment_intents.list({"customer": customer.id}).data
    live.v1.payment_intents.confirm(
        asked_for.id, {"payment_method": method_of(customer), "return_url": "https://shop.example/back"}
    )
    work(dsn)
    payment = live.v1.payment_intents.retrieve(asked_for.id)
    assert payment.status == "requires_action"
    live.v1.credit_notes.create({"invoice": str(invoice.id), "amount": 1000})
    answer(payment, "confirm")
    polled(dsn, processor)
    work(dsn)
    owed = live.v1.invoices.retrieve(str(invoice.id))
    assert (owed.status, owed.amount_paid, owed.amount_remaining) == ("open", 0, 2000)
    [refund] = live.v1.refunds.list({"payment_intent": payment.id}).data
    assert (refund.status, refund.amount) == ("succeeded", 3000)
    books = standing(dsn)
    assert {books[customer.id, "clearing:stripe"], books[customer.id, "refunds"]} == {cents(0)}
    assert -books[customer.id, "receivable"] == cents(2000)


def test_a_holder_who_confirms_what_is_not_asked_for_any_more_gets_it_back(
    live: stripe.StripeClient, client: stripe.StripeClient, processor: StripeProcessor, dsn: str
) -> None:
    customer = payer(live, client, THREE_D)
    payment = asked(live, customer)
    work(dsn)
    waiting = live.v1.payment_intents.retrieve(payment.id)
    assert live.v1.payment_intents.update(payment.id, {"amount": 2000}).status == "requires_confirmation"
    decide(waiting, "confirm")
    polled(dsn, processor)
    work(dsn)
    seen = live.v1.payment_intents.retrieve(payment.id)
    assert (seen.status, seen.amount, seen.amount_received) == ("requires_confirmation", 2000, 0)
    [refund] = live.v1.refunds.list({"payment_intent": payment.id}).data
    assert (refund.status, refund.amount) == ("succeeded", 3000)


def test_authorized_money_is_captured_at_stripe_in_part(
    live: stripe.StripeClient, client: stripe.StripeClient, dsn: str
) -> None:
    customer = payer(live, client)
    payment = asked(live, customer, capture_method="manual")
    work(dsn)
    held = live.v1.payment_intents.retrieve(payment.id)
    assert (held.status, held.amount_capturable) == ("requires_capture", 3000)
    assert live.v1.payment_intents.capture(payment.id, {"amount_to_capture": 1200}).status == "processing"
    with pytest.raises(stripe.InvalidRequestError) as again:
        live.v1.payment_intents.capture(payment.id)
    assert again.value.code == "payment_intent_unexpected_state"
    work(dsn)
    taken = live.v1.payment_intents.retrieve(payment.id)
    assert (taken.status, taken.amount_received) == ("succeeded", 1200)
    [upstream] = upstream_payments(client, str(taken.latest_charge))
    assert upstream.amount_received == 1200
    assert -standing(dsn)[customer.id, "clearing:stripe"] == cents(1200)


def test_authorized_money_is_let_go_of_at_stripe(
    live: stripe.StripeClient, client: stripe.StripeClient, dsn: str
) -> None:
    payment = asked(live, payer(live, client), capture_method="manual")
    work(dsn)
    off = live.v1.payment_intents.cancel(payment.id)
    assert off.status == "canceled"
    work(dsn)
    [upstream] = upstream_payments(client, str(off.latest_charge))
    assert upstream.status == "canceled"


@pytest.mark.parametrize(("there", "status"), [("capture", "succeeded"), ("cancel", "canceled")])
def test_what_was_done_at_stripe_itself_is_found(
    live: stripe.StripeClient,
    client: stripe.StripeClient,
    processor: StripeProcessor,
    dsn: str,
    there: str,
    status: str,
) -> None:
    customer = payer(live, client)
    payment = asked(live, customer, capture_method="manual")
    work(dsn)
    charge = str(live.v1.payment_intents.retrieve(payment.id).latest_charge)
    [upstream] = upstream_payments(client, charge)
    if there == "capture":
        client.v1.payment_intents.capture(upstream.id, {"amount_to_capture": 700})
    else:
        client.v1.payment_intents.cancel(upstream.id)
    polled(dsn, processor)
    assert live.v1.payment_intents.retrieve(payment.id).status == status
    expected = 700 if there == "capture" else 0
    assert -standing(dsn).get((customer.id, "clearing:stripe"), cents(0)) == cents(expected)


@pytest.mark.parametrize(
    ("card", "ends", "left"), [("pm_card_pendingRefund", "succeeded", 0), ("pm_card_refundFail", "failed", 3000)]
)
def test_a_refund_that_takes_its_time_is_heard_of(
    live: stripe.StripeClient,
    client: stripe.StripeClient,
    processor: StripeProcessor,
    raw: httpx.Client,
    dsn: str,
    card: str,
    ends: str,
    left: int,
) -> None:
    customer = payer(live, client, card)
    payment = asked(live, customer)
    work(dsn)
    refund = live.v1.refunds.create({"payment_intent": payment.id})
    work(dsn)
    news = events(raw, "refund.created", "refund.updated", "refund.failed")
    assert set(asyncio.run(told(dsn, processor, news * 2))) == {200}
    polled(dsn, processor)
    assert live.v1.refunds.retrieve(refund.id).status == ends
    assert -standing(dsn)[customer.id, "clearing:stripe"] == cents(left)
    assert live.v1.charges.list({"payment_intent": payment.id}).data[0].amount_refunded == 3000 - left
