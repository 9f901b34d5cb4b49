"""Ways into the portal, by the official SDK and by the wallet dialect."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import stripe

from tests.wire.billing import Month, customer_with
from tests.wire.conftest import stripe_client
from tests.wire.test_credits import JUNE
from tests.wire.test_portal_configuration import configuration
from tests.wire.typed import assert_typed


def session(client: stripe.StripeClient, customer: str, **more: Any) -> stripe.billing_portal.Session:
    asked: Any = {"customer": customer, **more}
    return client.v1.billing_portal.sessions.create(asked)


def subscribed(client: stripe.StripeClient, *items: Any) -> stripe.Subscription:
    customer = customer_with(client)
    return client.v1.subscriptions.create({"customer": customer.id, "items": list(items)})


def test_a_session_has_a_link(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({})
    made = session(
        client, customer.id, return_url="https://pixel.example/account", locale="de", expand=["configuration"]
    )
    assert_typed(made)
    assert (made.customer, made.return_url, made.locale) == (customer.id, "https://pixel.example/account", "de")
    assert isinstance(made.configuration, stripe.billing_portal.Configuration) and made.configuration.is_default
    assert f"/portal/test/{made.id}/open/" in made.url


def test_the_link_is_told_to_nobody_else(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({})
    made = session(client, customer.id)
    [told] = [
        event
        for event in client.v1.events.list({"type": "billing_portal.session.created", "limit": 100}).data
        if event.data.object["id"] == made.id
    ]
    assert_typed(told)
    assert told.data.object["url"] == made.url.partition("/open/")[0]


def test_a_configuration_can_be_named(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({})
    own = configuration(client, {}, default_return_url="https://pixel.example/home")
    made = session(client, customer.id, configuration=own.id)
    assert (made.configuration, made.return_url) == (own.id, "https://pixel.example/home")
    client.v1.billing_portal.configurations.update(own.id, {"active": False})
    with pytest.raises(stripe.InvalidRequestError, match="inactive"):
        session(client, customer.id, configuration=own.id)


def test_a_flow_leads_to_one_thing(client: stripe.StripeClient) -> None:
    month = Month(client, start=JUNE)
    own = subscribed(client, {"price": month.seat.id, "quantity": 2})
    flow = {
        "type": "subscription_cancel",
        "subscription_cancel": {"subscription": own.id},
        "after_completion": {"type": "redirect", "redirect": {"return_url": "https://pixel.example/bye"}},
    }
    made = session(client, str(own.customer), flow_data=flow)
    assert_typed(made)
    assert made.flow is not None and made.flow.subscription_cancel is not None
    assert made.flow.subscription_cancel.subscription == own.id
    assert made.flow.after_completion.redirect is not None
    assert_typed(session(client, str(own.customer), flow_data={"type": "payment_method_update"}))


def test_a_flow_confirms_a_change(client: stripe.StripeClient) -> None:
    month = Month(client, start=JUNE)
    own = subscribed(client, {"price": month.seat.id, "quantity": 2})
    [item] = own["items"].data
    offered = {
        "product": str(month.seat.product),
        "prices": [month.seat.id],
        "adjustable_quantity": {"enabled": True, "minimum": 1, "maximum": 5},
    }
    update = {"enabled": True, "default_allowed_updates": ["quantity"], "products": [offered]}
    seats = configuration(client, {"subscription_update": update})

    def confirm(quantity: int) -> stripe.billing_portal.Session:
        about = {"subscription": own.id, "items": [{"id": item.id, "quantity": quantity}]}
        flow = {"type": "subscription_update_confirm", "subscription_update_confirm": about}
        return session(client, str(own.customer), configuration=seats.id, flow_data=flow)

    made = confirm(5)
    assert_typed(made)
    assert made.flow is not None and made.flow.subscription_update_confirm is not None
    assert made.flow.subscription_update_confirm["items"][0].quantity == 5
    with pytest.raises(stripe.InvalidRequestError, match="between 1 and 5"):
        confirm(6)


def test_flows_that_lead_nowhere_are_refused(client: stripe.StripeClient) -> None:
    month = Month(client, start=JUNE)
    own = subscribed(client, {"price": month.seat.id})
    metered = subscribed(client, {"price": month.tokens.id})
    stranger = client.v1.customers.create({})
    nothing = configuration(client, {})
    update = {"enabled": True, "default_allowed_updates": ["price"]}
    offered = [{"product": str(month.seat.product), "prices": [month.seat.id]}]
    prices = configuration(client, {"subscription_update": update | {"products": offered}})
    cancel = {"type": "subscription_cancel", "subscription_cancel": {"subscription": own.id}}
    change = {"type": "subscription_update", "subscription_update": {"subscription": metered.id}}
    wrong: list[dict[str, Any]] = [
        {"customer": stranger.id, "flow_data": cancel},
        {"customer": str(own.customer), "flow_data": cancel, "configuration": nothing.id},
        {"customer": str(own.customer), "flow_data": {"type": "subscription_cancel"}},
        {"customer": str(own.customer), "flow_data": {"type": "payment_method_update"}, "configuration": nothing.id},
        {"customer": str(metered.customer), "flow_data": change, "configuration": prices.id},
        {"customer": str(own.customer), "flow_data": {"type": "subscription_pause"}},
    ]
    for each in wrong:
        with pytest.raises(stripe.InvalidRequestError):
            session(client, **each)
    client.v1.subscriptions.cancel(own.id)
    with pytest.raises(stripe.InvalidRequestError, match="canceled already"):
        session(client, str(own.customer), flow_data=cancel)


def test_what_opens_nothing_is_refused(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({})
    gone = client.v1.customers.create({})
    client.v1.customers.delete(gone.id)
    wrong: list[dict[str, Any]] = [
        {"customer": "cus_nobody"},
        {"customer": gone.id},
        {"customer": customer.id, "return_url": "not a page"},
        {"customer": customer.id, "return_url": "javascript:alert(1)"},
        {"customer": customer.id, "on_behalf_of": "acct_other"},
        {"customer": customer.id, "configuration": "bpc_none"},
        {"customer": customer.id, "locale": "tlh"},
    ]
    for each in wrong:
        with pytest.raises(stripe.InvalidRequestError):
            session(client, **each)


def test_the_wallet_dialect_gives_a_link_for_ten_minutes(raw: httpx.Client) -> None:
    made = raw.post("/customers", json={"name": "Jane Doe", "external_id": "user_jane"}).json()
    home = {"return_url": "https://app.example/account"}
    for asked in (
        {"customer_id": made["id"]} | home,
        {"customer_external_id": "user_jane"} | home,
        {"customer_id": made["id"]},
    ):
        answer = raw.post("/billing-portal/sessions", json=asked)
        assert answer.status_code == 200
        assert answer.json().keys() == {"redirect_url", "expires_at"}
        left = datetime.fromisoformat(answer.json()["expires_at"]) - datetime.now(UTC)
        assert timedelta(minutes=9) < left <= timedelta(minutes=10)


def test_the_wallet_dialect_refuses_with_problems(raw: httpx.Client) -> None:
    made = raw.post("/customers", json={"name": "Jane Doe"}).json()
    home = "https://app.example/account"
    for body, status, code in (
        ({"return_url": home}, 422, "required"),
        ({"return_url": home, "customer_id": "cus_nobody"}, 422, "resource_missing"),
        ({"return_url": "javascript:alert(1)", "customer_id": made["id"]}, 422, "url_invalid"),
        ({"return_url": home, "failure_url": "x", "customer_id": made["id"]}, 422, "url_invalid"),
        ({"return_url": 5, "customer_id": made["id"]}, 400, "validation"),
    ):
        answer = raw.post("/billing-portal/sessions", json=body)
        assert answer.headers["content-type"] == "application/problem+json"
        assert (answer.status_code, answer.json()["code"]) == (status, code), body


def test_the_link_lasts_by_the_customers_clock(client: stripe.StripeClient, raw: httpx.Client) -> None:
    clock = client.v1.test_helpers.test_clocks.create({"frozen_time": int(JUNE.timestamp())})
    customer = client.v1.customers.create({"test_clock": clock.id})
    body = {"customer_id": customer.id, "return_url": "https://app.example/account"}
    answer = raw.post("/billing-portal/sessions", json=body).json()
    assert datetime.fromisoformat(answer["expires_at"]) == JUNE + timedelta(minutes=10)


def test_sessions_of_another_environment_are_not_made(
    base_url: str, client: stripe.StripeClient, add_key: Callable[..., str]
) -> None:
    other = stripe_client(base_url, add_key("sk_test_anotherSandbox000000000000", environment="sandbox"))
    customer = client.v1.customers.create({})
    with pytest.raises(stripe.InvalidRequestError, match="No such customer"):
        session(other, customer.id)
    own = configuration(client, {})
    theirs = other.v1.customers.create({})
    with pytest.raises(stripe.InvalidRequestError, match="No such configuration"):
        session(other, theirs.id, configuration=own.id)
