"""What the portal shows and does, by plain HTTP: the same numbers as the API, within what the seller allows."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
import stripe

from tests.wire.billing import Month
from tests.wire.portal import Visitor
from tests.wire.test_credits import JUNE
from tests.wire.test_portal_configuration import changed, configuration
from tests.wire.test_portal_session import session
from tests.wire.working import running


@pytest.fixture(scope="module")
def worker(dsn: str) -> Iterator[None]:
    """What makes clocks arrive."""
    with running(dsn):
        yield


@pytest.fixture
def visit(base_url: str, client: stripe.StripeClient) -> Iterator[Callable[..., Visitor]]:
    """Lets a customer in."""
    inside: list[Visitor] = []

    def enter(customer: str, **more: Any) -> Visitor:
        inside.append(Visitor(base_url, session(client, customer, **more).url))
        return inside[-1]

    yield enter
    for each in inside:
        each.close()


Enter = Callable[..., Visitor]


@pytest.mark.usefixtures("worker")
def test_the_cost_so_far_is_the_previews_and_its_days_add_up(client: stripe.StripeClient, visit: Enter) -> None:
    month = Month(client, start=JUNE)
    month.subscribe(seats=2)
    month.advance(JUNE + timedelta(days=20))
    for day, tokens in ((2, 60_000), (3, 55_555), (9, 123_456), (19, 7)):
        month.use(tokens, at=JUNE + timedelta(days=day, hours=5))
    preview = client.v1.invoices.create_preview({"customer": month.customer.id})
    used = sum(line.amount for line in preview.lines.data if "Tokens" in str(line.description))
    shown = visit(month.customer.id).see("usage")
    assert f"${used / 100:,.2f} so far" in shown
    days = re.findall(r"<td>\d+ June</td><td class=\"amount\">\$([0-9,.]+)</td>", shown)
    assert sum(int(day.replace(",", "").replace(".", "")) for day in days) == used
    assert len(days) == 3
    assert f"${preview.total / 100:,.2f}" in visit(month.customer.id).see()


def test_a_fee_is_shown_with_its_price_and_the_books_agree(raw: httpx.Client, visit: Enter) -> None:
    price = {
        "name": "Per Image",
        "type": "usage_based",
        "billing_model": {"type": "real_time"},
        "usage_calculation": {"event_type": "image_made", "usage_type": "unit"},
        "pricing": [{"asset": "USD", "values": [{"unit_price": 0.0005}]}],
    }
    assert raw.post(
        "/products", json={"name": "Images", "code": "images", "prices": [price], "publish": True}
    ).is_success
    made = raw.post("/customers", json={"name": "Jane", "subscriptions": [{"products": [{"code": "images"}]}]})
    jane = made.json()["id"]
    gift = {"asset": "USD", "amount": 3, "reason": "gift"}
    raw.post(f"/customers/{jane}/wallet/adjustments", json=gift)
    raw.post(f"/customers/{jane}/wallet/charges", json={"asset": "USD", "amount": 0.25, "description": "Set-up"})
    for nth in range(3):
        event = {"id": f"made_{nth}", "event_type": "image_made", "subject": f"cat {nth}"}
        raw.post("/events", json={"customer_id": jane, "events": [event]})
    visitor = visit(jane)
    balance = visitor.see("balance")
    assert "$2.7485" in balance
    assert "1 × Images, Per Image at $0.0005 each · cat 2" in balance and "-$0.0005" in balance
    usage = visitor.see("usage")
    assert "$0.2515" in usage and "$0.0015" in usage and "Fees" in usage
    [found] = raw.get("/ops/invariants", params={"name": "spending_by_day_booked"}).json()["data"]
    assert found["violations"] == 0


def test_an_end_at_once_bills_and_needs_the_sellers_word(client: stripe.StripeClient, visit: Enter) -> None:
    month = Month(client, start=JUNE)
    month.subscribe(seats=1)
    cancel = {"enabled": True, "mode": "immediately", "cancellation_reason": {"enabled": True, "options": ["unused"]}}
    rules = configuration(client, {"subscription_cancel": cancel})
    visitor = visit(month.customer.id, configuration=rules.id)
    assert "The subscription ends at once" in visitor.see("subscriptions")
    changed(client, rules.id, features={"subscription_cancel": {"enabled": False}})
    refused = visitor.do("subscriptions/end", {"id": month.subscription.id})
    assert (refused.status_code, "disabled" in refused.text) == (400, True)
    changed(client, rules.id, features={"subscription_cancel": {"enabled": True}})
    done = visitor.do("subscriptions/end", {"id": month.subscription.id, "feedback": "unused", "comment": "Bye"})
    assert done.status_code == 303
    ended = client.v1.subscriptions.retrieve(month.subscription.id)
    assert ended.status == "canceled"
    assert ended.cancellation_details is not None
    assert (ended.cancellation_details.feedback, ended.cancellation_details.comment) == ("unused", "Bye")


def test_a_plan_is_changed_among_those_offered(client: stripe.StripeClient, visit: Enter) -> None:
    month = Month(client, start=JUNE)
    month.subscribe(seats=0)
    monthly: Any = {"currency": "usd", "recurring": {"interval": "month"}, "product": str(month.seat.product)}
    larger = client.v1.prices.create(monthly | {"unit_amount": 5000})
    hidden = client.v1.prices.create(monthly | {"unit_amount": 1})
    asked: Any = {"customer": month.customer.id, "items": [{"price": month.seat.id, "quantity": 2}]}
    own = client.v1.subscriptions.create(asked)
    [item] = own["items"].data
    offered = {
        "product": str(month.seat.product),
        "prices": [month.seat.id, larger.id],
        "adjustable_quantity": {"enabled": True, "minimum": 1, "maximum": 4},
    }
    update = {"enabled": True, "default_allowed_updates": ["price", "quantity"], "products": [offered]}
    rules = configuration(client, {"subscription_update": update | {"proration_behavior": "always_invoice"}})
    visitor = visit(month.customer.id, configuration=rules.id)
    assert "Seat, $50.00 / month" in visitor.see("subscriptions")
    about = {"id": own.id, "item": item.id}
    for wrong in ({"price": hidden.id}, {"quantity": "5"}, {"quantity": "0"}, {"quantity": "many"}):
        assert visitor.do("subscriptions/switch", about | wrong).status_code == 400, wrong
    metered = {"id": month.subscription.id, "item": month.subscription["items"].data[0].id, "quantity": "2"}
    assert visitor.do("subscriptions/switch", metered).status_code == 400
    assert visitor.do("subscriptions/switch", about | {"price": larger.id, "quantity": "3"}).status_code == 303
    [after] = client.v1.subscriptions.retrieve(own.id)["items"].data
    assert (after.price.id, after.quantity) == (larger.id, 3)
    newest = client.v1.invoices.list({"subscription": own.id, "limit": 1}).data[0]
    assert (newest.billing_reason, newest.status) == ("subscription_update", "paid")


def test_sellers_budgets_are_seen_and_not_touched(raw: httpx.Client, visit: Enter) -> None:
    jane = raw.post("/customers", json={"name": "Jane"}).json()["id"]
    raw.put(f"/customers/{jane}/budgets/house", json={"asset": "USD", "amount": 90, "window": "month"})
    visitor = visit(jane)
    assert "Set by the seller" in visitor.see("limits")
    assert visitor.do("limits/lift", {"id": "house"}).status_code == 400
    assert visitor.do("limits/put", {"id": "house", "asset": "USD", "amount": "1", "window": "day"}).status_code == 400
    for wrong in ({"amount": "-1"}, {"amount": "NaN"}, {"amount": "1", "window": "fortnight"}, {}):
        assert visitor.do("limits/put", {"asset": "USD", "window": "day"} | wrong).status_code == 400, wrong
    [kept] = raw.get(f"/customers/{jane}/budgets").json()["items"]
    assert (kept["id"], kept["amount"], kept["owner"]) == ("house", 90, "seller")
    assert visitor.do("limits/put", {"asset": "USD", "amount": "1", "window": "day"}).status_code == 303
    own = next(each for each in raw.get(f"/customers/{jane}/budgets").json()["items"] if each["id"] != "house")
    assert own["owner"] == "customer"


def test_only_allowed_details_are_changed(client: stripe.StripeClient, visit: Enter) -> None:
    customer = client.v1.customers.create({"name": "Ada", "email": "ada@example.com"})
    allowed = {"enabled": True, "allowed_updates": ["address"]}
    rules = configuration(client, {"customer_update": allowed})
    visitor = visit(customer.id, configuration=rules.id)
    sent = {"name": "Eve", "email": "eve@example.com", "line1": "1 High Street", "country": "GB"}
    assert visitor.do("details/save", sent).status_code == 303
    after = client.v1.customers.retrieve(customer.id)
    assert (after.name, after.email) == ("Ada", "ada@example.com")
    assert after.address is not None and (after.address.line1, after.address.country) == ("1 High Street", "GB")


def test_yen_and_dinars_are_shown_to_the_unit(raw: httpx.Client, visit: Enter) -> None:
    jane = raw.post("/customers", json={"name": "Jane"}).json()["id"]
    for asset, amount in (("JPY", 12345), ("KWD", 1.234)):
        gift = {"asset": asset, "amount": amount, "reason": "gift"}
        assert raw.post(f"/customers/{jane}/wallet/adjustments", json=gift).status_code == 201
    shown = visit(jane).see("balance")
    assert "¥12,345" in shown and "KWD 1.234" in shown and "¥10,000" in shown


def test_who_has_paid_for_a_subscription_is_led_into_the_portal(raw: httpx.Client, base_url: str) -> None:
    fee = {
        "name": "Monthly",
        "type": "fixed",
        "billing_model": {"type": "recurring", "recurring": {"interval": "month"}},
        "pricing": [{"asset": "USD", "values": [{"unit_price": 20}]}],
    }
    assert raw.post("/products", json={"name": "Club", "code": "club", "prices": [fee], "publish": True}).is_success
    asked = {"products": [{"code": "club"}], "redirect_to": "portal", "return_url": "https://club.example/home"}
    made = raw.post("/customers", json={"name": "Jane", "subscriptions": [asked]}).json()
    [waiting] = made["subscriptions"]
    assert waiting["status"] == "action_required"
    [action] = waiting["required_actions"]
    with httpx.Client(base_url=base_url, follow_redirects=True, timeout=30) as browser:
        card = {"number": "4242424242424242", "expiry": "12/34", "cvc": "123"}
        inside = browser.post(action["redirect_url"], data=card)
        assert inside.status_code == 200
        assert "Overview" in inside.text and "https://club.example/home" in inside.text
