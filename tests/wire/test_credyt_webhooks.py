"""Webhooks of the wallet dialect: made by Credyt's own SDK, delivered over HTTP, signed as Credyt documents it."""

import hashlib
import hmac
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from corehttp.credentials import ServiceKeyCredential
from corehttp.exceptions import HttpResponseError, ResourceNotFoundError
from credytapi import CredytApiClient
from credytapi import models as m

from tests.wire import working
from tests.wire.conftest import SECRET
from tests.wire.delivering import delivering
from tests.wire.receiver import Received, receiving

PLAN = {
    "name": "Plan",
    "code": "plan",
    "publish": True,
    "prices": [
        {
            "name": "Monthly",
            "type": "fixed",
            "billing_model": {"type": "recurring", "recurring": {"interval": "month", "interval_count": 1}},
            "pricing": [{"asset": "USD", "values": [{"unit_price": 20, "quantity": 1}]}],
        }
    ],
    "entitlements": [
        {
            "name": "Credits",
            "asset": "PLANC",
            "amount": 100,
            "purpose": "bundled",
            "lifecycle": {"duration": "month", "duration_count": 1, "refresh": {"strategy": "expire_and_replace"}},
            "priority": 1,
        }
    ],
}


@pytest.fixture(scope="module")
def credyt(base_url: str) -> Iterator[CredytApiClient]:
    with CredytApiClient(ServiceKeyCredential(SECRET), endpoint=base_url, retry_total=0) as opened:
        yield opened


def destination(credyt: CredytApiClient, url: str, *topics: str) -> m.CreateWebhookDestinationResponse:
    asked = m.CreateWebhookDestinationRequest(url=url, topics=list(topics) or None)
    return credyt.webhooks.webhooks.create_webhook_destination(asked)


def assert_signed(received: Received, *secrets: str) -> None:
    """By the rule as it is documented: HMAC-SHA256 of the time, a dot and the body as it arrived."""
    told = received.headers["credyt-signature"].split(",")
    at = told[0].removeprefix("t=")
    assert abs(int(at) - time.time()) < 300
    proofs = [
        hmac.new(each.encode(), f"{at}.".encode() + received.body, hashlib.sha256).hexdigest() for each in secrets
    ]
    assert told[1:] == [f"v0={proof}" for proof in proofs]
    assert "stripe-signature" not in received.headers


def types(received: list[Received]) -> list[object]:
    return [each.event["type"] for each in received]


def test_a_destination_is_told_what_it_asked_for_in_an_envelope_that_is_signed(
    credyt: CredytApiClient, dsn: str
) -> None:
    with receiving() as receiver, delivering(dsn):
        made = destination(credyt, receiver.url, "customer.created", "transaction.completed")
        jane = credyt.customers.create(m.CreateCustomerRequest(name="Jane", email="jane@example.com")).id
        credyt.customers.update(jane, m.UpdateCustomerRequest(name="Janet"))
        gift = m.CreateAdjustmentRequest(transaction_id="hook", asset="USD", amount=5, reason="gift")  # type: ignore[call-overload]
        credyt.wallets.customer_wallet_ops.create_adjustment(jane, gift)
        arrived = receiver.wait_for_count(2)
    credyt.webhooks.webhooks.delete_webhook_destination(made.id)
    first, second = (each.event for each in arrived)
    assert first["type"] == "customer.created" and first["live_mode"] is False
    assert set(first) == {"id", "type", "created", "live_mode", "data"}
    assert first["data"]["id"] == jane and first["data"]["name"] == "Jane"  # type: ignore[index]
    told: Any = second["data"]
    assert (second["type"], told["id"], told["amount"], told["available"]) == ("transaction.completed", "hook", 5, 5)
    for each in arrived:
        assert_signed(each, made.secret)


def test_a_destination_is_changed_listed_and_forgotten_and_its_secret_shown_once(
    credyt: CredytApiClient, raw: httpx.Client
) -> None:
    hooks = credyt.webhooks.webhooks
    made = destination(credyt, "http://127.0.0.1:9/hook")
    assert hooks.get_webhook_destination(made.id).topics == ["*"]
    assert "secret" not in raw.get(f"/webhooks/{made.id}").json()
    changed = hooks.update_webhook_destination(
        made.id, m.UpdateWebhookDestinationRequest(topics=["wallet.low"], enabled=False)
    )
    assert (changed.topics, changed.enabled) == (["wallet.low"], False)
    assert made.id in [each.id for each in hooks.list_webhook_destinations(enabled=False).items_property]
    assert made.id not in [each.id for each in hooks.list_webhook_destinations(enabled=True).items_property]
    assert raw.get(f"/v1/webhook_endpoints/{made.id}").status_code == 404
    assert raw.get(f"/v2/core/event_destinations/{made.id}").status_code == 404
    for wrong in ({"url": "nowhere"}, {"url": "http://a.example", "topics": ["never.told"]}):
        assert raw.post("/webhooks", json=wrong).status_code == 422
    with pytest.raises(HttpResponseError):
        hooks.create_webhook_destination(m.CreateWebhookDestinationRequest(url="http://a.example", connect=True))
    hooks.delete_webhook_destination(made.id)
    with pytest.raises(ResourceNotFoundError):
        hooks.get_webhook_destination(made.id)


def test_a_rotated_secret_signs_beside_the_old_one_for_a_while(
    credyt: CredytApiClient, raw: httpx.Client, dsn: str
) -> None:
    with receiving() as receiver, delivering(dsn):
        made = destination(credyt, receiver.url, "wallet.low")
        rotated = raw.post(f"/webhooks/{made.id}/rotate-secret", json={"overlap_s": 600}).json()
        assert rotated["secret"] != made.secret
        told = credyt.webhooks.webhooks.test_webhook_destination(made.id, "subscription.activated", {"a": 1})
        [arrived] = receiver.wait_for_count(1)
        assert_signed(arrived, rotated["secret"], made.secret)
        assert (arrived.event["id"], arrived.event["type"]) == (told.id, "subscription.activated")
        assert arrived.event["data"] == {"a": 1}
    credyt.webhooks.webhooks.delete_webhook_destination(made.id)


def test_a_test_of_a_topic_reaches_those_who_want_it(credyt: CredytApiClient, raw: httpx.Client, dsn: str) -> None:
    with receiving() as wants, receiving() as other, delivering(dsn):
        made = [destination(credyt, wants.url, "wallet.low"), destination(credyt, other.url, "wallet.depleted")]
        credyt.webhooks.webhooks.test_webhook_destinations("wallet.low", {})
        credyt.webhooks.webhooks.test_webhook_destinations("wallet.depleted", {})
        assert types(wants.wait_for_count(1)) == ["wallet.low"]
        assert types(other.wait_for_count(1)) == ["wallet.depleted"]
    assert raw.post("/webhooks/test/never.told", json={}).status_code == 404
    assert raw.post("/webhooks/test/wallet.low/acc_other", json={}).status_code == 404
    for each in made:
        credyt.webhooks.webhooks.delete_webhook_destination(each.id)


def test_the_log_says_what_was_delivered_and_what_was_not(credyt: CredytApiClient, raw: httpx.Client, dsn: str) -> None:
    hooks = credyt.webhooks.webhooks
    with receiving() as receiver, receiving(lambda _: 500) as broken, delivering(dsn):
        made, bad = (destination(credyt, each.url, "customer.created") for each in (receiver, broken))
        customers = [credyt.customers.create(m.CreateCustomerRequest(name=f"J{n}")).id for n in range(3)]
        receiver.wait_for_count(3)
        broken.wait_for_count(3)
        deadline = time.monotonic() + 30
        while len(hooks.list_events(destination_id=bad.id, status="Failed").models) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    page = hooks.list_events(destination_id=made.id, status="Success", limit=2)
    assert [each.topic for each in page.models] == ["customer.created"] * 2
    rest = hooks.list_events(destination_id=made.id, limit=2, next=page.pagination.next)
    assert rest.pagination.next is None
    logged = [each.data["id"] for each in (*page.models, *rest.models)]
    assert logged == customers[::-1]
    back = hooks.list_events(destination_id=made.id, limit=2, prev=rest.pagination.prev)
    assert [each.id for each in back.models] == [each.id for each in page.models]
    failed = hooks.list_events(destination_id=bad.id).models
    assert all(each.failed_at is not None and each.successful_at is None for each in failed)
    assert failed[0].metadata is not None and failed[0].metadata["response_status"] == 500
    later = datetime.now(UTC) + timedelta(hours=1)
    assert hooks.list_events(destination_id=made.id, time_gte=later).models == []
    assert raw.get("/webhooks/events", params={"next": "nowhere"}).status_code == 422
    for each in (made, bad):
        hooks.delete_webhook_destination(each.id)


def test_a_subscription_that_waits_for_its_fee_is_activated_when_it_is_paid(
    credyt: CredytApiClient, raw: httpx.Client, dsn: str
) -> None:
    assert raw.post("/assets", json={"code": "PLANC", "name": "Plan credits"}).status_code == 201
    assert raw.post("/products", json=PLAN).status_code == 201
    with receiving() as receiver, working.running(dsn), delivering(dsn):
        destination(credyt, receiver.url, "subscription.activated", "subscription.action_required")
        made = credyt.customers.create(
            m.CreateCustomerRequest(
                name="Paying",
                subscriptions=[
                    m.CreateCustomerSubscription(
                        products=[m.CustomerSubscriptionProduct(code="plan")],
                        return_url="https://app.example.com/done",
                        failure_url="https://app.example.com/failed",
                    )
                ],
            )
        )
        [subscription] = made.subscriptions
        assert subscription.status == "action_required"
        [action] = subscription.required_actions or []
        assert action.type == "payment"
        paid = httpx.post(action.redirect_url, data={"card": "pm_card_visa"}, follow_redirects=False, timeout=60)
        assert paid.status_code < 400, paid.text
        arrived = receiver.wait_for_count(2)
    assert types(arrived) == ["subscription.action_required", "subscription.activated"]
    [active] = credyt.customers.get(made.id).subscriptions or []
    assert (active.status, active.required_actions) == ("active", [])
    assert active.renews_at is not None and active.started_at is not None
    assert 27 < (active.renews_at - active.started_at).days < 32
    wallet = {
        each.asset: each.available for each in credyt.wallets.customer_wallet_ops.get_customer_wallet(made.id).accounts
    }
    assert wallet == {"USD": 0, "PLANC": 100}
