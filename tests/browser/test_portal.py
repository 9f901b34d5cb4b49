"""A customer looks after their own money in the portal, in a browser: with scripts, without them, and on a phone."""

import re
from typing import Any
from uuid import uuid4

import httpx
import pytest
import stripe
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import PHONE
from tests.browser.paying import ASKS_ITS_HOLDER, DECLINED, press, reads, type_card
from tests.wire.test_wallet_story import PRODUCT

SECTIONS = ("overview", "balance", "usage", "subscriptions", "invoices", "payment-methods", "limits", "details")


class Customer:
    """Somebody with a wallet, a subscription and a way into their portal."""

    def __init__(self, client: stripe.StripeClient, raw: httpx.Client) -> None:
        self.client, self.raw = client, raw
        self.offer = f"img_{uuid4().hex[:8]}"
        assert raw.post("/products", json={**PRODUCT, "code": self.offer}).status_code == 201
        made = raw.post(
            "/customers",
            json={"name": "Žofia Müller 山田", "subscriptions": [{"products": [{"code": self.offer}]}]},
        )
        self.id = str(made.json()["id"])
        self.give(5)

    def give(self, amount: int) -> None:
        gift = {"asset": "USD", "amount": amount, "reason": "gift"}
        assert self.raw.post(f"/customers/{self.id}/wallet/adjustments", json=gift).status_code == 201

    def use(self) -> None:
        event = {"id": str(uuid4()), "event_type": "image_generated", "subject": "a cat"}
        answer = self.raw.post("/events", json={"customer_id": self.id, "events": [event]})
        assert answer.json()["events"][0]["fees"], answer.text

    def save_card(self) -> str:
        method = self.client.v1.payment_methods.attach("pm_card_visa", {"customer": self.id})
        settings: Any = {"invoice_settings": {"default_payment_method": method.id}}
        self.client.v1.customers.update(self.id, settings)
        return str(method.id)

    def subscribe(self) -> str:
        self.save_card()
        seat = self.client.v1.prices.create(
            {
                "currency": "usd",
                "unit_amount": 900,
                "recurring": {"interval": "month"},
                "product_data": {"name": "Seat"},
            }
        )
        asked: Any = {"customer": self.id, "items": [{"price": seat.id, "quantity": 3}]}
        return str(self.client.v1.subscriptions.create(asked).id)

    def available(self) -> Any:
        return self.raw.get(f"/customers/{self.id}/wallet/default:USD").json()["available"]

    def link(self, **more: Any) -> str:
        asked: Any = {"customer": self.id, **more}
        return self.client.v1.billing_portal.sessions.create(asked).url


@pytest.fixture
def customer(client: stripe.StripeClient, raw: httpx.Client) -> Customer:
    return Customer(client, raw)


async def test_a_top_up_fills_the_wallet(page: Page, customer: Customer) -> None:
    await page.goto(customer.link())
    await reads(page, "Žofia Müller 山田")
    await page.get_by_role("link", name="Add funds").click()
    await press(page, "$25.00")
    await reads(page, "Add $25.00 to your balance")
    await type_card(page, DECLINED)
    await press(page, "Pay $25.00")
    await reads(page, "declined")
    assert customer.available() == 5
    await type_card(page, ASKS_ITS_HOLDER)
    await press(page, "Pay $25.00")
    await press(page, "Confirm")
    await reads(page, "The amount was added to your balance.")
    await reads(page, "$30.00")
    assert customer.available() == 30


async def test_an_amount_of_ones_own_is_paid_with_a_saved_card(page: Page, customer: Customer) -> None:
    customer.save_card()
    await page.goto(f"{customer.link()}")
    await page.get_by_role("link", name="Balance").click()
    await page.get_by_label("Another amount, USD").fill("twelve")
    await page.get_by_role("button", name="Add funds").click()
    await reads(page, "Enter an amount as a number")
    await page.get_by_label("Another amount, USD").fill("12.50")
    await page.get_by_role("button", name="Add funds").click()
    await press(page, "Pay $12.50")
    await reads(page, "$17.50")


async def test_the_wallet_recharges_itself_until_it_is_told_not_to(page: Page, customer: Customer) -> None:
    method = customer.save_card()
    await page.goto(customer.link())
    await page.get_by_role("link", name="Balance").click()
    await page.get_by_label("Recharge by itself").check()
    await page.get_by_label("Below, USD").fill("10")
    await page.get_by_label("Up to, USD").fill("8")
    await press(page, "Save")
    await reads(page, "The target is above the threshold.")
    await page.get_by_label("Recharge by itself").check()
    await page.get_by_label("Below, USD").fill("10")
    await page.get_by_label("Up to, USD").fill("40")
    await page.get_by_label("At most a month, USD").fill("100")
    await press(page, "Save")
    await reads(page, "Auto-recharge is on.")
    path = f"/customers/{customer.id}/wallet/default:USD/auto-recharge"
    rule = customer.raw.get(path).json()
    assert (rule["enabled"], rule["threshold"], rule["target"], rule["monthly_cap"]) == (True, 10, 40, 100)
    assert rule["payment_method"] == method
    await page.get_by_label("Recharge by itself").uncheck()
    await press(page, "Save")
    await reads(page, "Auto-recharge is off.")
    assert customer.raw.get(path).json()["enabled"] is False


async def test_a_subscription_is_canceled_and_kept_after_all(
    page: Page, customer: Customer, client: stripe.StripeClient
) -> None:
    subscription = customer.subscribe()
    await page.goto(customer.link())
    await page.get_by_role("link", name="Subscriptions").click()
    await reads(page, "$9.00 / month")
    await page.get_by_text("Cancel", exact=True).click()
    await press(page, "Cancel the subscription")
    await reads(page, "Your subscription was canceled.")
    assert client.v1.subscriptions.retrieve(subscription).cancel_at_period_end
    await press(page, "Keep the subscription")
    await reads(page, "Your subscription goes on.")
    assert not client.v1.subscriptions.retrieve(subscription).cancel_at_period_end


async def test_a_card_is_added_chosen_and_removed(page: Page, customer: Customer, client: stripe.StripeClient) -> None:
    customer.subscribe()
    await page.goto(customer.link())
    await page.get_by_role("link", name="Payment methods").click()
    await press(page, "Remove")
    await reads(page, "Make another one the default first.")
    await type_card(page, "5555 5555 5555 4444")
    await press(page, "Save the card")
    await reads(page, "Mastercard ending in 4444 Default")
    await press(page, "Remove 4242")
    await reads(page, "The card was removed.")
    [left] = client.v1.payment_methods.list({"customer": customer.id}).data
    owner = client.v1.customers.retrieve(customer.id)
    assert left.card is not None and left.card.last4 == "4444"
    assert owner.invoice_settings is not None and owner.invoice_settings.default_payment_method == left.id


async def test_a_flow_ends_where_the_seller_said(
    page: Page, customer: Customer, client: stripe.StripeClient, base_url: str
) -> None:
    subscription = customer.subscribe()
    after = {"type": "redirect", "redirect": {"return_url": f"{base_url}/healthz?gone"}}
    about = {"subscription": subscription}
    flow = {"type": "subscription_cancel", "subscription_cancel": about, "after_completion": after}
    await page.goto(customer.link(flow_data=flow))
    await reads(page, "Cancel your subscription")
    await expect(page.get_by_role("navigation")).to_have_count(0)
    await press(page, "Cancel the subscription")
    await page.wait_for_url("**/healthz?gone")
    assert client.v1.subscriptions.retrieve(subscription).cancel_at_period_end


async def test_a_budget_of_ones_own_is_set_and_lifted(page: Page, customer: Customer) -> None:
    customer.raw.put(f"/customers/{customer.id}/budgets/house", json={"asset": "USD", "amount": 90, "window": "month"})
    await page.goto(customer.link())
    await page.get_by_role("link", name="Limits").click()
    await page.get_by_label("At most").fill("2.5")
    await page.get_by_label("How often").select_option("day")
    await press(page, "Set the budget")
    await reads(page, "$2.50 per day")
    call = {"customer_id": customer.id, "id": "call_1", "amount": 3, "asset": "USD"}
    refused = customer.raw.post("/gate/authorize", json=call)
    assert (refused.status_code, refused.json()["code"]) == (402, "budget_exceeded")
    assert await page.get_by_role("button", name="Lift").count() == 1
    await press(page, "Lift")
    await reads(page, "The budget was lifted.")
    assert customer.raw.post("/gate/authorize", json=call | {"id": "call_2"}).status_code == 201


async def test_the_numbers_move_by_themselves(page: Page, customer: Customer) -> None:
    await page.goto(customer.link())
    await reads(page, "$5.00")
    customer.use()
    await expect(page.locator("#tiles")).to_contain_text("$4.95", timeout=20_000)
    await expect(page.locator("#entries")).to_contain_text("1 × AI Image Generation, Per Image at $0.05 each · a cat")


async def test_everything_works_without_scripts_and_fits_a_phone(
    chromium: Browser, base_url: str, customer: Customer
) -> None:
    customer.subscribe()
    customer.use()
    context = await chromium.new_context(
        base_url=base_url, java_script_enabled=False, viewport={"width": PHONE[0], "height": PHONE[1]}
    )
    page = await context.new_page()
    await page.goto(customer.link())
    home = re.sub(r"/overview$", "", page.url)
    for section in SECTIONS:
        answer = await page.goto(f"{home}/{section}")
        assert answer is not None and answer.status == 200, section
        main = await page.locator("main").bounding_box()
        assert main is not None and main["width"] <= PHONE[0], section
        boxes = await page.locator("input:not([type=hidden]), select, textarea").all()
        for box in boxes:
            assert await box.evaluate("box => box.labels.length") == 1, section
    await page.get_by_label("Name").fill("Žofia Nováková")
    await press(page, "Save")
    await reads(page, "Your details were saved.")
    await context.close()
    assert customer.client.v1.customers.retrieve(customer.id).name == "Žofia Nováková"


async def test_the_keyboard_alone_reaches_the_content(page: Page, customer: Customer) -> None:
    await page.goto(customer.link())
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    await page.keyboard.press("Enter")
    assert page.url.endswith("#content")
    await expect(page.get_by_role("link", name="Overview")).to_have_attribute("aria-current", "page")
