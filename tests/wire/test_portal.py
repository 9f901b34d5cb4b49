"""The way into the portal, and who it is shut to."""

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest
import stripe

from tests.wire.conftest import stripe_client
from tests.wire.portal import Visitor
from tests.wire.test_portal_session import session
from tests.wire.working import running

HOME = "https://pixel.example/account"


@pytest.fixture
def enter(base_url: str) -> Iterator[Callable[[str], Visitor]]:
    """Follows links; every visitor leaves at the end."""
    visitors: list[Visitor] = []

    def follow(link: str) -> Visitor:
        visitors.append(Visitor(base_url, link))
        return visitors[-1]

    yield follow
    for visitor in visitors:
        visitor.close()


Enter = Callable[[str], Visitor]


def links_mailed(dsn: str, recipient: str) -> list[str]:
    """The links in the mails to an address."""

    async def bodies() -> list[str]:
        connection = await asyncpg.connect(dsn)
        try:
            return [row[0] for row in await connection.fetch("SELECT body FROM mail WHERE recipient = $1", recipient)]
        finally:
            await connection.close()

    return [line for body in asyncio.run(bodies()) for line in body.splitlines() if line.startswith("http")]


def test_a_link_is_exchanged_for_a_cookie(client: stripe.StripeClient, enter: Enter) -> None:
    customer = client.v1.customers.create({"name": "Zoë Ångström <&> 山田"})
    made = session(client, customer.id, return_url=HOME)
    visitor = enter(made.url)
    assert visitor.entered.status_code == 303
    assert visitor.home == f"/portal/test/{made.id}"
    cookie = visitor.entered.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie and f"Path=/portal/test/{made.id}" in cookie
    secret = made.url.rpartition("/")[2]
    assert secret not in cookie and secret not in visitor.see()
    shown = visitor.browser.get(f"{visitor.home}/overview")
    assert shown.headers["cache-control"] == "no-store"
    assert "Zoë Ångström &lt;&amp;&gt; 山田" in shown.text and HOME in shown.text
    assert visitor.browser.get(visitor.home).status_code == 200


def test_without_the_cookie_nothing_opens(client: stripe.StripeClient, base_url: str, enter: Enter) -> None:
    customer = client.v1.customers.create({"name": "Ada"})
    made = session(client, customer.id)
    inside = enter(made.url)
    with httpx.Client(base_url=base_url) as stranger:
        for path in ("", "/overview", "/balance"):
            answer = stranger.get(inside.home + path)
            assert (answer.status_code, "Ada" in answer.text) == (403, False)
        stranger.cookies.set("meterline_portal", "0" * 64)
        assert stranger.get(inside.home).status_code == 403
        assert stranger.post(f"{inside.home}/details/save", data={"form_token": "0"}).status_code == 403
        assert stranger.get(f"{inside.home}/open/{'A' * 43}").status_code == 403
        assert stranger.get("/portal/test/bps_none/open/x").status_code == 403
        assert stranger.get("/portal/%00/bps_none").status_code == 403


def test_a_cookie_opens_one_portal_only(client: stripe.StripeClient, base_url: str, enter: Enter) -> None:
    ada, bob = (client.v1.customers.create({"name": name}) for name in ("Ada", "Bob"))
    one, other = enter(session(client, ada.id).url), enter(session(client, bob.id).url)
    assert "Ada" in one.see() and "Bob" in other.see()
    cookie = one.browser.cookies.get("meterline_portal", path=one.home)
    with httpx.Client(base_url=base_url, cookies={"meterline_portal": str(cookie)}) as thief:
        assert thief.get(f"{one.home}/overview").status_code == 200
        assert thief.get(f"{other.home}/overview").status_code == 403
        assert thief.get(f"{one.home.replace('/test/', '/live/')}/overview").status_code == 403


def test_a_form_of_another_site_does_nothing(client: stripe.StripeClient, enter: Enter) -> None:
    customer = client.v1.customers.create({"name": "Ada"})
    visitor = enter(session(client, customer.id).url)
    forged = visitor.browser.post(f"{visitor.home}/details/save", data={"name": "Eve"})
    assert (forged.status_code, "out of date" in forged.text) == (400, True)
    assert client.v1.customers.retrieve(customer.id).name == "Ada"
    assert visitor.do("details/save", {"name": "Ada Lovelace"}).status_code == 303
    assert client.v1.customers.retrieve(customer.id).name == "Ada Lovelace"


def test_what_belongs_to_somebody_else_is_not_touched(client: stripe.StripeClient, enter: Enter) -> None:
    ada, bob = (client.v1.customers.create({"name": name}) for name in ("Ada", "Bob"))
    card = client.v1.payment_methods.attach("pm_card_visa", {"customer": bob.id})
    price = client.v1.prices.create(
        {"currency": "usd", "unit_amount": 900, "recurring": {"interval": "month"}, "product_data": {"name": "Seat"}}
    )
    asked: Any = {"customer": bob.id, "items": [{"price": price.id}], "default_payment_method": card.id}
    theirs = client.v1.subscriptions.create(asked)
    visitor = enter(session(client, ada.id).url)
    for act, fields in (
        ("payment-methods/remove", {"id": card.id}),
        ("payment-methods/choose", {"id": card.id}),
        ("subscriptions/end", {"id": theirs.id}),
        ("subscriptions/keep", {"id": theirs.id}),
        ("subscriptions/switch", {"id": theirs.id, "item": theirs["items"].data[0].id, "quantity": "9"}),
    ):
        assert visitor.do(act, fields).status_code == 400, act
    assert visitor.browser.get(f"{visitor.home}/invoices?after={theirs.latest_invoice}").status_code == 404
    after = client.v1.subscriptions.retrieve(theirs.id)
    assert (after.status, after.cancel_at_period_end, after.default_payment_method) == ("active", False, card.id)
    assert client.v1.payment_methods.retrieve(card.id).customer == bob.id


def test_the_link_expires_by_the_customers_clock(
    client: stripe.StripeClient, dsn: str, raw: httpx.Client, enter: Enter
) -> None:
    noon = datetime(2026, 6, 1, 12, tzinfo=UTC)
    clock = client.v1.test_helpers.test_clocks.create({"frozen_time": int(noon.timestamp())})
    customer = client.v1.customers.create({"test_clock": clock.id})
    body = {"customer_id": customer.id, "return_url": HOME, "failure_url": "https://pixel.example/late"}
    link = raw.post("/billing-portal/sessions", json=body).json()["redirect_url"]
    assert enter(link).entered.status_code == 303
    later = int((noon + timedelta(minutes=10)).timestamp())
    with running(dsn):
        client.v1.test_helpers.test_clocks.advance(clock.id, {"frozen_time": later})
        while client.v1.test_helpers.test_clocks.retrieve(clock.id).status != "ready":
            time.sleep(0.05)
    late = enter(link).entered
    assert (late.status_code, "https://pixel.example/late" in late.text) == (403, True)


def test_a_closed_portal_stays_closed(client: stripe.StripeClient, enter: Enter) -> None:
    customer = client.v1.customers.create({})
    made = session(client, customer.id, return_url=HOME)
    visitor = enter(made.url)
    left = visitor.do("leave")
    assert (left.status_code, left.headers["location"]) == (303, HOME)
    assert visitor.browser.get(f"{visitor.home}/overview").status_code == 403
    assert enter(made.url).entered.status_code == 403


def test_a_deleted_customer_has_no_portal(client: stripe.StripeClient, enter: Enter) -> None:
    customer = client.v1.customers.create({})
    visitor = enter(session(client, customer.id).url)
    client.v1.customers.delete(customer.id)
    assert visitor.browser.get(f"{visitor.home}/overview").status_code == 403


def test_another_environments_session_is_apart(
    base_url: str, client: stripe.StripeClient, add_key: Callable[..., str], enter: Enter
) -> None:
    other = stripe_client(base_url, add_key("sk_test_sandboxOfThePortal0000000", environment="sandbox"))
    theirs = other.v1.customers.create({"name": "Sandy"})
    made = session(other, theirs.id)
    assert f"/portal/sandbox/{made.id}" in made.url
    assert enter(made.url.replace("/sandbox/", "/test/")).entered.status_code == 403
    assert "Sandy" in enter(made.url).see()


def test_only_what_the_configuration_offers_is_there(client: stripe.StripeClient, enter: Enter) -> None:
    customer = client.v1.customers.create({"name": "Ada"})
    bare: Any = {"features": {"invoice_history": {"enabled": False}}, "business_profile": {"headline": "Pixelworks"}}
    configuration = client.v1.billing_portal.configurations.create(bare)
    visitor = enter(session(client, customer.id, configuration=configuration.id).url)
    seen = visitor.see()
    assert "Pixelworks" in seen and "/subscriptions" in seen
    for section in ("invoices", "payment-methods", "details", "balance"):
        assert f"{visitor.home}/{section}" not in seen
        assert visitor.browser.get(f"{visitor.home}/{section}").status_code == 404
    assert visitor.do("details/save", {"name": "Eve"}).status_code == 404
    client.v1.billing_portal.configurations.update(
        configuration.id, {"features": {"invoice_history": {"enabled": True}}}
    )
    assert "There are no invoices" in visitor.see("invoices")


def test_an_expired_session_mails_a_new_link_where_that_is_allowed(
    client: stripe.StripeClient, base_url: str, dsn: str, raw: httpx.Client, enter: Enter
) -> None:
    noon = datetime(2026, 6, 1, 12, tzinfo=UTC)
    clock = client.v1.test_helpers.test_clocks.create({"frozen_time": int(noon.timestamp())})
    customer = client.v1.customers.create({"test_clock": clock.id, "email": "ada@example.com"})
    made = session(client, customer.id, after_expiration={"type": "customer_login"})
    assert made.after_expiration is not None and made.after_expiration.type == "customer_login"
    with httpx.Client(base_url=base_url) as browser:
        for _ in range(2):
            asked = browser.post(f"/portal/test/{made.id}/renew")
            assert (asked.status_code, "on its way" in asked.text) == (200, True)
        [link] = links_mailed(dsn, "ada@example.com")
        assert enter(link).entered.status_code == 303
        plain = session(client, customer.id)
        assert browser.post(f"/portal/test/{plain.id}/renew").status_code == 404


def test_the_login_page_mails_a_link_and_tells_nobody_who_is_known(
    client: stripe.StripeClient, base_url: str, dsn: str, enter: Enter
) -> None:
    client.v1.customers.create({"email": "known@example.com", "name": "Known"})
    made: Any = client.v1.billing_portal.configurations.create(
        {"features": {"invoice_history": {"enabled": True}}, "login_page": {"enabled": True}}
    )
    with httpx.Client(base_url=base_url) as browser:
        page = made.login_page.url
        assert browser.get(page).status_code == 200
        known = browser.post(page, data={"email": "known@example.com"})
        unknown = browser.post(page, data={"email": "nobody@example.com"})
        assert known.status_code == unknown.status_code == 200
        assert known.text == unknown.text
        [link] = links_mailed(dsn, "known@example.com")
        assert "Known" in enter(link).see()
        client.v1.billing_portal.configurations.update(made.id, {"login_page": {"enabled": False}})
        assert browser.get(page).status_code == 404
