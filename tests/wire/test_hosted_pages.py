"""Hosted pages: a browser without scripts opens a link, fills in a form, and the objects follow."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import stripe

from tests.wire.billing import Month, customer_with, draft_of
from tests.wire.test_books_of_business import standing
from tests.wire.test_credits import JUNE

VISA = {"number": "4242 4242 4242 4242", "expiry": "12 / 34", "cvc": "123"}
PAYER = VISA | {"email": "ada@example.com", "name": "Ada"}


@pytest.fixture
def browser(base_url: str) -> Iterator[httpx.Client]:
    """Somebody with nothing but links."""
    with httpx.Client(base_url=base_url, follow_redirects=False, timeout=30) as opened:
        yield opened


def checkout(client: stripe.StripeClient, mode: str = "payment", **more: Any) -> stripe.checkout.Session:
    asked = {"mode": mode, "success_url": "https://shop.example/done?s={CHECKOUT_SESSION_ID}"} | more
    if mode == "payment":
        asked.setdefault("line_items", [top_up(5000)])
    return client.v1.checkout.sessions.create(asked)  # type: ignore[arg-type]


def top_up(amount: int) -> dict[str, Any]:
    return {
        "price_data": {"currency": "usd", "unit_amount": amount, "product_data": {"name": "Top-up"}},
        "quantity": 1,
    }


def submit(browser: httpx.Client, url: str | None, fields: dict[str, str]) -> httpx.Response:
    assert url is not None
    return browser.post(url, data=fields)


def test_a_checkout_is_paid_and_leads_back_to_the_shop(client: stripe.StripeClient, browser: httpx.Client) -> None:
    session = checkout(client, client_reference_id="order-7", payment_intent_data={"metadata": {"order": "7"}})
    assert (session.status, session.payment_status, session.amount_total) == ("open", "unpaid", 5000)
    shown = browser.get(str(session.url))
    assert shown.status_code == 200
    assert "$50.00" in shown.text and "Top-up" in shown.text
    paid = submit(browser, session.url, PAYER)
    assert paid.status_code == 303
    assert paid.headers["location"] == f"https://shop.example/done?s={session.id}"
    done = client.v1.checkout.sessions.retrieve(session.id, {"expand": ["line_items", "payment_intent"]})
    assert (done.status, done.payment_status, done.url) == ("complete", "paid", None)
    assert done.customer_details is not None and done.customer_details.email == "ada@example.com"
    assert isinstance(done.payment_intent, stripe.PaymentIntent)
    assert (done.payment_intent.status, done.payment_intent.metadata["order"]) == ("succeeded", "7")
    assert done.line_items is not None and done.line_items.data[0].amount_total == 5000
    [sold] = client.v1.checkout.sessions.line_items.list(session.id).data
    assert sold.price is not None and (sold.price.object, sold.price.unit_amount) == ("price", 5000)
    assert submit(browser, f"/hosted/checkout/test/{session.id}", PAYER).status_code == 303
    assert len(client.v1.charges.list({"payment_intent": done.payment_intent.id}).data) == 1


def test_a_declined_card_is_told_and_another_one_pays(client: stripe.StripeClient, browser: httpx.Client) -> None:
    session = checkout(client)
    refused = submit(browser, session.url, PAYER | {"number": "4000 0000 0000 0002"})
    assert refused.status_code == 402
    assert "Your card was declined." in refused.text
    for wrong in ({"number": "1234"}, {"expiry": "soon"}, {"expiry": "01/20"}):
        assert submit(browser, session.url, PAYER | wrong).status_code == 402
    assert client.v1.checkout.sessions.retrieve(session.id).status == "open"
    assert submit(browser, session.url, PAYER).status_code == 303


@pytest.mark.parametrize(("decision", "ends"), [("confirm", "complete"), ("refuse", "open")])
def test_a_card_whose_holder_is_asked(
    client: stripe.StripeClient, browser: httpx.Client, decision: str, ends: str
) -> None:
    session = checkout(client)
    asked = submit(browser, session.url, PAYER | {"number": "4000002760003184"})
    step = asked.headers["location"]
    assert "/hosted/authentication/" in step
    assert "Confirm with your bank" in browser.get(step).text
    assert browser.get(re.sub("secret=.*", "secret=guess", step)).status_code == 404
    back = submit(browser, step, {"decision": decision})
    browser.get(back.headers["location"])
    assert client.v1.checkout.sessions.retrieve(session.id).status == ends


def test_a_subscription_is_bought(client: stripe.StripeClient, browser: httpx.Client) -> None:
    month = Month(client, start=JUNE)
    lines = [{"price": month.seat.id, "quantity": 2}, {"price": month.tokens.id}]
    session = checkout(client, "subscription", line_items=lines, subscription_data={"metadata": {"plan": "team"}})
    assert session.amount_total == 4000
    assert submit(browser, session.url, PAYER).status_code == 303
    done = client.v1.checkout.sessions.retrieve(session.id, {"expand": ["subscription", "invoice", "customer"]})
    assert isinstance(done.subscription, stripe.Subscription) and isinstance(done.invoice, stripe.Invoice)
    assert (done.subscription.status, done.subscription.metadata["plan"]) == ("active", "team")
    assert (done.invoice.status, done.invoice.amount_paid) == ("paid", 4000)
    assert isinstance(done.customer, stripe.Customer) and done.customer.email == "ada@example.com"


def test_a_card_is_saved(client: stripe.StripeClient, browser: httpx.Client) -> None:
    customer = client.v1.customers.create({})
    session = checkout(client, "setup", customer=customer.id)
    assert submit(browser, session.url, PAYER).status_code == 303
    done = client.v1.checkout.sessions.retrieve(session.id, {"expand": ["setup_intent"]})
    assert (done.status, done.payment_status) == ("complete", "no_payment_required")
    assert isinstance(done.setup_intent, stripe.SetupIntent)
    methods = client.v1.payment_methods.list({"customer": customer.id}).data
    assert [method.id for method in methods] == [done.setup_intent.payment_method]


def test_an_expired_checkout_is_not_paid(client: stripe.StripeClient, browser: httpx.Client) -> None:
    session = checkout(client)
    assert client.v1.checkout.sessions.expire(session.id).status == "expired"
    assert submit(browser, session.url, PAYER).status_code == 400
    with pytest.raises(stripe.InvalidRequestError, match="can be expired"):
        client.v1.checkout.sessions.expire(session.id)


def test_what_cannot_be_sold_is_refused(client: stripe.StripeClient) -> None:
    month = Month(client, start=JUNE)
    wrong: list[dict[str, Any]] = [
        {"line_items": []},
        {"line_items": [top_up(10)]},
        {"line_items": [{"price": "price_nothing", "quantity": 1}]},
        {"line_items": [{"price": month.seat.id, "quantity": 1}]},
        {"line_items": [{"price_data": top_up(500)["price_data"]}]},
        {"expires_at": 1},
        {"customer": "cus_nobody"},
        {"mode": "subscription", "line_items": [top_up(500)]},
        {"mode": "subscription", "line_items": [{"price": month.tokens.id, "quantity": 1}]},
        {"mode": "setup", "line_items": [top_up(500)]},
        {"mode": "donate"},
    ]
    for each in wrong:
        with pytest.raises(stripe.InvalidRequestError):
            checkout(client, **({"mode": "payment"} | each))


def test_an_invoice_is_paid_on_its_page(client: stripe.StripeClient, browser: httpx.Client, dsn: str) -> None:
    customer = customer_with(client, None)
    draft = draft_of(client, customer, 1500, 250)
    assert draft.hosted_invoice_url is None
    assert browser.get(f"/hosted/invoice/test/{draft.id}").status_code == 404
    invoice = client.v1.invoices.finalize_invoice(draft.id)
    shown = browser.get(str(invoice.hosted_invoice_url))
    assert invoice.number is not None and invoice.number in shown.text
    assert "$17.50" in shown.text
    declined = submit(browser, invoice.hosted_invoice_url, VISA | {"number": "4000000000000341"})
    assert (declined.status_code, "declined" in declined.text) == (402, True)
    assert client.v1.invoices.retrieve(invoice.id).status == "open"
    assert submit(browser, invoice.hosted_invoice_url, VISA).status_code == 303
    assert client.v1.invoices.retrieve(invoice.id).status == "paid"
    assert submit(browser, invoice.hosted_invoice_url, VISA).status_code == 400
    assert "Paid" in browser.get(str(invoice.hosted_invoice_url)).text
    assert standing(dsn)[customer.id, "receivable"] == 0


def test_an_address_that_opens_nothing(browser: httpx.Client) -> None:
    for path in ("checkout/test/cs_test_x", "invoice/live/in_x", "authentication/test/pi_x", "invoice/%00/in_x"):
        answer = browser.get(f"/hosted/{path}")
        assert answer.status_code == 404
        assert "<h1>There is nothing here</h1>" in answer.text


def test_pages_run_nothing_and_are_not_framed(browser: httpx.Client) -> None:
    policy = browser.get("/hosted/invoice/test/in_x").headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert browser.get("/hosted/style.css").headers["content-type"].startswith("text/css")
