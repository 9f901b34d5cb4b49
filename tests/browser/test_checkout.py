"""Somebody pays, subscribes and saves a card on the hosted checkout, in a browser."""

from typing import Any

import pytest
import stripe
from playwright.async_api import Page

from tests.browser.paying import ASKS_ITS_HOLDER, DECLINED, introduce, press, reads, type_card


def checkout(client: stripe.StripeClient, mode: str, **more: Any) -> stripe.checkout.Session:
    asked: Any = {"mode": mode, **more}
    return client.v1.checkout.sessions.create(asked)


@pytest.fixture
def book(client: stripe.StripeClient) -> dict[str, Any]:
    """A thing to sell."""
    return {
        "price_data": {"currency": "usd", "unit_amount": 5000, "product_data": {"name": "A book, “Zoë & Ångström”"}},
        "quantity": 1,
    }


async def test_a_declined_card_is_told_and_another_one_pays(
    page: Page, client: stripe.StripeClient, base_url: str, book: dict[str, Any]
) -> None:
    session = checkout(client, "payment", line_items=[book], success_url=f"{base_url}/healthz?paid")
    await page.goto(str(session.url))
    await reads(page, "“Zoë & Ångström”")
    await introduce(page)
    await type_card(page, DECLINED)
    await press(page, "Pay")
    await reads(page, "declined")
    assert client.v1.checkout.sessions.retrieve(session.id).status == "open"
    await introduce(page)
    await type_card(page)
    await press(page, "Pay")
    await page.wait_for_url("**/healthz?paid")
    assert client.v1.checkout.sessions.retrieve(session.id).payment_status == "paid"


async def test_the_cards_holder_confirms_first(page: Page, client: stripe.StripeClient, book: dict[str, Any]) -> None:
    session = checkout(client, "payment", line_items=[book])
    await page.goto(str(session.url))
    await introduce(page)
    await type_card(page, ASKS_ITS_HOLDER)
    await press(page, "Pay")
    await reads(page, "Confirm with your bank")
    assert client.v1.checkout.sessions.retrieve(session.id).status == "open"
    await press(page, "Confirm")
    await reads(page, "Your payment was received")
    assert client.v1.checkout.sessions.retrieve(session.id).payment_status == "paid"


async def test_a_subscription_begins(page: Page, client: stripe.StripeClient) -> None:
    seat = client.v1.prices.create(
        {"currency": "eur", "unit_amount": 900, "recurring": {"interval": "month"}, "product_data": {"name": "Seat"}}
    )
    session = checkout(client, "subscription", line_items=[{"price": seat.id, "quantity": 2}])
    await page.goto(str(session.url))
    await reads(page, "€18.00")
    await introduce(page)
    await type_card(page)
    await press(page, "Subscribe")
    await reads(page, "Thank you")
    done = client.v1.checkout.sessions.retrieve(session.id)
    assert client.v1.subscriptions.retrieve(str(done.subscription)).status == "active"


async def test_a_card_is_saved(page: Page, client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({"email": "ada@example.com"})
    session = checkout(client, "setup", customer=customer.id)
    await page.goto(str(session.url))
    await introduce(page)
    await type_card(page)
    await press(page, "Save card")
    await reads(page, "You are all set")
    assert len(client.v1.payment_methods.list({"customer": customer.id}).data) == 1


async def test_an_invoice_is_paid_on_its_page(page: Page, client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({"name": "山田 太郎"})
    draft = client.v1.invoices.create(
        {"customer": customer.id, "currency": "jpy", "collection_method": "send_invoice", "days_until_due": 7}
    )
    client.v1.invoice_items.create({"customer": customer.id, "invoice": draft.id, "amount": 12000, "currency": "jpy"})
    invoice = client.v1.invoices.finalize_invoice(draft.id)
    await page.goto(str(invoice.hosted_invoice_url))
    await reads(page, "¥12,000")
    await type_card(page, DECLINED)
    await press(page, "Pay ¥12,000")
    await reads(page, "declined")
    await type_card(page, ASKS_ITS_HOLDER)
    await press(page, "Pay ¥12,000")
    await press(page, "Confirm")
    await reads(page, "Paid")
    assert client.v1.invoices.retrieve(invoice.id).status == "paid"
