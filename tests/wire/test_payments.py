"""Payments through the official SDK: the status machine, test cards, captures, refunds, disputes, saved cards."""

from collections.abc import Iterator
from typing import Any

import pytest
import stripe

from tests.wire import working
from tests.wire.billing import customer_with, draft_of
from tests.wire.typed import assert_typed

NOT_OFFERED = (
    "attach_to_self",
    "hooks",
    "managed_payments",
    "payment_details",
    "payment_record",
    "presentment_details",
)
"""Of features that are absent here."""
ONLY_OTHER_REFUNDS = (
    "description",
    "failure_balance_transaction",
    "failure_reason",
    "instructions_email",
    "next_action",
    "pending_reason",
)
"""Of refunds that failed, are under way, or are made by the customer."""


@pytest.fixture(scope="module", autouse=True)
def worker(dsn: str) -> Iterator[None]:
    """Somebody has to find out what became of lost answers."""
    with working.running(dsn):
        yield


def pay(client: stripe.StripeClient, amount: int = 2000, **more: Any) -> stripe.PaymentIntent:
    return client.v1.payment_intents.create({"amount": amount, "currency": "usd", **more})  # type: ignore[typeddict-item]


def paid(client: stripe.StripeClient, card: str = "pm_card_visa", **more: Any) -> stripe.PaymentIntent:
    return pay(client, payment_method=card, confirm=True, **more)


def declined(call: Any, *args: Any) -> stripe.CardError:
    with pytest.raises(stripe.CardError) as told:
        call(*args)
    return told.value


def refused(call: Any, *args: Any) -> stripe.InvalidRequestError:
    with pytest.raises(stripe.InvalidRequestError) as told:
        call(*args)
    return told.value


def test_a_payment_is_asked_for_confirmed_and_taken(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({})
    asked = pay(client, customer=customer.id, metadata={"order": "7"})
    assert (asked.status, asked.amount_received, asked.payment_method) == ("requires_payment_method", 0, None)
    chosen = client.v1.payment_intents.update(asked.id, {"payment_method": "pm_card_visa", "amount": 2500})
    assert (chosen.status, chosen.amount) == ("requires_confirmation", 2500)
    taken = client.v1.payment_intents.confirm(asked.id)
    assert_typed(taken, absent=[f"payment_intent.{name}" for name in NOT_OFFERED])
    assert (taken.status, taken.amount_received, taken.next_action) == ("succeeded", 2500, None)
    charge = client.v1.charges.retrieve(str(taken.latest_charge))
    assert (charge.paid, charge.captured, charge.amount_captured, charge.payment_intent) == (True, True, 2500, taken.id)
    assert client.v1.charges.list({"payment_intent": taken.id}).data == [charge]
    assert client.v1.payment_intents.list({"customer": customer.id}).data == [taken]
    again = refused(client.v1.payment_intents.confirm, asked.id)
    assert (again.code, again.http_status) == ("payment_intent_unexpected_state", 400)


def test_a_decline_is_recorded_and_told_and_another_card_succeeds(client: stripe.StripeClient) -> None:
    error = declined(lambda: paid(client, "pm_card_visa_chargeDeclinedInsufficientFunds"))
    assert (error.http_status, error.code, error.error and error.error.decline_code) == (
        402,
        "card_declined",
        "insufficient_funds",
    )
    assert error.error is not None and error.error.payment_intent is not None
    failed = client.v1.payment_intents.retrieve(error.error.payment_intent.id)
    assert (failed.status, failed.payment_method) == ("requires_payment_method", None)
    assert failed.last_payment_error is not None
    assert failed.last_payment_error.decline_code == "insufficient_funds"
    charge = client.v1.charges.retrieve(str(failed.latest_charge))
    assert (charge.status, charge.paid, charge.failure_code) == ("failed", False, "card_declined")
    taken = client.v1.payment_intents.confirm(failed.id, {"payment_method": "pm_card_visa"})
    assert (taken.status, len(client.v1.charges.list({"payment_intent": taken.id}).data)) == ("succeeded", 2)


def test_money_is_authorized_captured_in_part_and_never_twice(client: stripe.StripeClient) -> None:
    held = paid(client, capture_method="manual")
    assert (held.status, held.amount_capturable, held.amount_received) == ("requires_capture", 2000, 0)
    assert not client.v1.charges.retrieve(str(held.latest_charge)).captured
    over = refused(client.v1.payment_intents.capture, held.id, {"amount_to_capture": 2001})
    assert over.code == "amount_too_large"
    taken = client.v1.payment_intents.capture(held.id, {"amount_to_capture": 1500})
    assert (taken.status, taken.amount_received, taken.amount_capturable) == ("succeeded", 1500, 0)
    assert refused(client.v1.payment_intents.capture, held.id).code == "payment_intent_unexpected_state"
    assert client.v1.charges.retrieve(str(held.latest_charge)).amount_captured == 1500


def test_a_payment_is_called_off_before_it_is_taken_only(client: stripe.StripeClient) -> None:
    held = paid(client, capture_method="manual")
    off = client.v1.payment_intents.cancel(held.id, {"cancellation_reason": "abandoned"})
    assert (off.status, off.cancellation_reason, off.amount_capturable) == ("canceled", "abandoned", 0)
    for act in (client.v1.payment_intents.cancel, client.v1.payment_intents.confirm, client.v1.payment_intents.capture):
        assert refused(act, held.id).code == "payment_intent_unexpected_state"
    assert refused(client.v1.payment_intents.cancel, paid(client).id).code == "payment_intent_unexpected_state"


def test_a_card_that_asks_its_holder_waits_for_them_or_is_declined_off_session(client: stripe.StripeClient) -> None:
    waiting = paid(client, "pm_card_authenticationRequired", return_url="https://shop.example/back")
    assert waiting.status == "requires_action"
    assert waiting.next_action is not None and waiting.next_action.redirect_to_url is not None
    assert waiting.next_action.redirect_to_url.return_url == "https://shop.example/back"
    assert waiting.latest_charge is None
    error = declined(lambda: paid(client, "pm_card_authenticationRequired", off_session=True))
    assert error.code == "authentication_required"


def test_what_cannot_be_paid_is_refused(client: stripe.StripeClient) -> None:
    assert refused(lambda: pay(client, 49)).code == "amount_too_small"
    assert refused(lambda: pay(client, -1)).http_status == 400
    assert refused(lambda: pay(client, currency="xxx")).param == "currency"
    assert refused(lambda: pay(client, customer="cus_nobody")).code == "resource_missing"
    assert refused(lambda: paid(client, "pm_nothing")).code == "resource_missing"
    stranger = client.v1.payment_methods.attach("pm_card_visa", {"customer": client.v1.customers.create({}).id})
    assert refused(lambda: paid(client, stranger.id)).param == "payment_method"
    assert refused(client.v1.payment_intents.confirm, pay(client).id).code == "payment_intent_unexpected_state"
    with pytest.raises(stripe.InvalidRequestError) as missing:
        client.v1.payment_intents.retrieve("pi_nothing")
    assert (missing.value.http_status, missing.value.param) == (404, "intent")


def test_an_expired_card_is_declined(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({})
    card = client.v1.payment_methods.attach("pm_card_visa", {"customer": customer.id})
    client.v1.payment_methods.update(card.id, {"card": {"exp_month": 1, "exp_year": 2020}})
    assert declined(lambda: paid(client, card.id, customer=customer.id)).code == "expired_card"


def test_refunds_never_exceed_what_was_taken(client: stripe.StripeClient) -> None:
    taken = paid(client)
    part = client.v1.refunds.create({"payment_intent": taken.id, "amount": 700, "reason": "requested_by_customer"})
    others = stripe.Refund.DestinationDetails.__annotations__.keys() - {"card", "type"}
    of_card = [f"refund.destination_details.{name}" for name in (*others, "card.reference")]
    assert_typed(part, absent=[*(f"refund.{name}" for name in (*NOT_OFFERED, *ONLY_OTHER_REFUNDS)), *of_card])
    assert (part.status, part.amount, part.charge) == ("succeeded", 700, taken.latest_charge)
    for wrong in ({"amount": 1301}, {"amount": 0}, {"amount": -5}, {"amount": 5, "currency": "eur"}):
        assert refused(client.v1.refunds.create, {"charge": str(taken.latest_charge), **wrong}).http_status == 400
    rest = client.v1.refunds.create({"charge": str(taken.latest_charge)})
    assert rest.amount == 1300
    charge = client.v1.charges.retrieve(str(taken.latest_charge))
    assert (charge.refunded, charge.amount_refunded) == (True, 2000)
    assert refused(client.v1.refunds.create, {"payment_intent": taken.id}).code == "charge_already_refunded"
    assert client.v1.refunds.list({"charge": charge.id}).data == [rest, part]


def test_only_taken_money_is_refunded(client: stripe.StripeClient) -> None:
    held = paid(client, capture_method="manual")
    assert "captured" in str(refused(client.v1.refunds.create, {"charge": str(held.latest_charge)}).user_message)
    assert refused(client.v1.refunds.create, {}).code == "parameter_missing"
    assert refused(client.v1.refunds.create, {"charge": "ch_nothing"}).code == "resource_missing"


@pytest.mark.parametrize(("said", "ends"), [("winning_evidence", "won"), ("losing_evidence", "lost")])
def test_a_dispute_is_argued_and_decided(client: stripe.StripeClient, said: str, ends: str) -> None:
    taken = paid(client, "pm_card_createDispute")
    [dispute] = client.v1.disputes.list({"payment_intent": taken.id}).data
    assert (dispute.status, dispute.reason, dispute.amount) == ("needs_response", "fraudulent", 2000)
    assert client.v1.charges.retrieve(str(taken.latest_charge)).disputed
    assert refused(client.v1.refunds.create, {"payment_intent": taken.id}).code == "charge_disputed"
    kept = client.v1.disputes.update(dispute.id, {"evidence": {"uncategorized_text": said}, "submit": False})
    assert (kept.status, kept.evidence_details.submission_count) == ("needs_response", 0)
    decided = client.v1.disputes.update(dispute.id, {"evidence": {"uncategorized_text": said}})
    assert decided.status == ends
    moved = [(each.type, each.amount) for each in decided.balance_transactions]
    assert moved == [("adjustment", -2000), ("adjustment", 2000)][: 2 if ends == "won" else 1]
    how = decided.payment_method_details
    assert how is not None and how.card is not None
    assert (how.card.brand, how.card.case_type) == ("visa", "chargeback")
    assert "already closed" in str(refused(client.v1.disputes.close, dispute.id).user_message)


def test_a_dispute_is_accepted(client: stripe.StripeClient) -> None:
    taken = paid(client, "pm_card_createDisputeProductNotReceived")
    [dispute] = client.v1.disputes.list({"charge": str(taken.latest_charge)}).data
    assert dispute.reason == "product_not_received"
    assert client.v1.disputes.close(dispute.id).status == "lost"


def test_a_card_is_saved_without_a_payment(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({})
    setup = client.v1.setup_intents.create({"customer": customer.id})
    assert_typed(setup, absent=[f"setup_intent.{name}" for name in NOT_OFFERED])
    assert setup.status == "requires_payment_method"
    done = client.v1.setup_intents.confirm(setup.id, {"payment_method": "pm_card_visa"})
    assert done.status == "succeeded"
    assert client.v1.payment_methods.retrieve(str(done.payment_method)).customer == customer.id
    assert refused(client.v1.setup_intents.cancel, setup.id).code == "setup_intent_unexpected_state"
    error = declined(client.v1.setup_intents.create, {"payment_method": "pm_card_chargeDeclined", "confirm": True})
    assert error.error is not None and error.error.setup_intent is not None
    waiting = client.v1.setup_intents.create({"payment_method": "pm_card_authenticationRequired", "confirm": True})
    assert (waiting.status, waiting.next_action is not None) == ("requires_action", True)
    assert client.v1.setup_intents.cancel(waiting.id).status == "canceled"


def test_a_payment_can_leave_its_card_with_the_customer(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({})
    taken = paid(client, customer=customer.id, setup_future_usage="off_session")
    assert client.v1.payment_methods.retrieve(str(taken.payment_method)).customer == customer.id
    later = paid(client, str(taken.payment_method), customer=customer.id, off_session=True)
    assert later.status == "succeeded"


def test_an_answer_that_was_lost_is_found_out_and_nothing_is_taken_twice(client: stripe.StripeClient) -> None:
    silent = paid(client, "pm_card_answerLost")
    assert silent.status == "processing"
    refused(client.v1.payment_intents.confirm, silent.id)
    taken = settled(client, silent.id)
    assert (taken.status, taken.amount_received) == ("succeeded", 2000)
    [charge] = client.v1.charges.list({"payment_intent": silent.id}).data
    assert (charge.id, charge.status) == (silent.latest_charge, "succeeded")


def test_an_invoice_whose_payment_is_in_the_air_is_neither_paid_again_nor_voided(client: stripe.StripeClient) -> None:
    invoice = draft_of(client, customer_with(client, "pm_card_answerLost"), 1200)
    waiting = client.v1.invoices.pay(invoice.id, {"expand": ["payments"]})
    assert waiting.payments is not None
    intent = str(waiting.payments.data[0].payment.payment_intent)
    if waiting.status == "open" and client.v1.payment_intents.retrieve(intent).status == "processing":
        for act in (client.v1.invoices.pay, client.v1.invoices.void_invoice):
            with pytest.raises(stripe.InvalidRequestError, match=r"being processed|paid"):
                act(invoice.id)
    assert settled(client, intent).status == "succeeded"
    done = client.v1.invoices.retrieve(invoice.id)
    assert (done.status, done.amount_paid) == ("paid", 1200)
    assert len(client.v1.charges.list({"payment_intent": intent}).data) == 1


def settled(client: stripe.StripeClient, intent: str) -> stripe.PaymentIntent:
    """The payment once its answer is known."""
    for _ in range(600):
        found = client.v1.payment_intents.retrieve(intent)
        if found.status != "processing":
            return found
    raise AssertionError("nobody found out")


def test_an_invoices_payment_is_a_payment_intent_with_its_charge(client: stripe.StripeClient) -> None:
    invoice = draft_of(client, customer_with(client), 1250)
    done = client.v1.invoices.pay(invoice.id, {"expand": ["payments.data.payment.payment_intent"]})
    assert done.payments is not None
    intent = done.payments.data[0].payment.payment_intent
    assert isinstance(intent, stripe.PaymentIntent)
    assert (intent.status, intent.amount_received, intent.customer) == ("succeeded", 1250, invoice.customer)
    back = client.v1.refunds.create({"payment_intent": intent.id, "amount": 250})
    assert (back.status, client.v1.invoices.retrieve(invoice.id).status) == ("succeeded", "paid")


def test_an_open_invoice_is_paid_through_its_payment_intent(client: stripe.StripeClient) -> None:
    invoice = client.v1.invoices.finalize_invoice(
        draft_of(client, customer_with(client, None), 900).id, {"expand": ["payments"]}
    )
    assert invoice.payments is not None
    intent = str(invoice.payments.data[0].payment.payment_intent)
    declined(client.v1.payment_intents.confirm, intent, {"payment_method": "pm_card_chargeCustomerFail"})
    assert client.v1.invoices.retrieve(invoice.id).status == "open"
    taken = client.v1.payment_intents.confirm(intent, {"payment_method": "pm_card_visa"})
    assert taken.status == "succeeded"
    assert client.v1.invoices.retrieve(invoice.id).status == "paid"


def test_every_step_is_told(client: stripe.StripeClient) -> None:
    taken = paid(client)
    client.v1.refunds.create({"payment_intent": taken.id})
    types = {event.type for event in client.v1.events.list({"limit": 20}).data if taken.id in str(event.data.object)}
    assert {"payment_intent.created", "payment_intent.succeeded", "charge.succeeded", "charge.refunded"} <= types
    assert {"refund.created", "refund.updated"} <= types
