"""Webhooks as the official SDK sees them: made through the API, delivered over HTTP, verified with its own code."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
import stripe

from tests.wire.conftest import stripe_client
from tests.wire.delivering import Ahead, delivering, publish_all
from tests.wire.receiver import Received, receiving


def _endpoint(client: stripe.StripeClient, url: str, *events: str, **more: str) -> stripe.WebhookEndpoint:
    return client.v1.webhook_endpoints.create(
        {"url": url, "enabled_events": list(events) or ["*"], **more}  # type: ignore[typeddict-item]
    )


def _log(raw: httpx.Client, endpoint: stripe.WebhookEndpoint) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = raw.get(f"/ops/webhook_endpoints/{endpoint.id}/attempts").json()["data"]
    return entries


def _await_log(raw: httpx.Client, endpoint: stripe.WebhookEndpoint, *, attempts: int) -> None:
    """Until that many attempts are on record: an attempt is recorded after its answer."""
    deadline = time.monotonic() + 30
    while len(_log(raw, endpoint)) < attempts:
        assert time.monotonic() < deadline, f"{attempts} attempts were not recorded"
        time.sleep(0.01)


@pytest.fixture
def clean(client: stripe.StripeClient, dsn: str) -> None:
    """No endpoints, and nothing told before the test is on its way to one that the test makes."""

    for endpoint in client.v1.webhook_endpoints.list({"limit": 100}).data:
        client.v1.webhook_endpoints.delete(endpoint.id)
    for destination in client.v2.core.event_destinations.list().data:
        client.v2.core.event_destinations.delete(destination.id)
    publish_all(dsn)


@pytest.mark.usefixtures("clean")
def test_a_change_arrives_signed_with_the_object_and_what_changed(client: stripe.StripeClient, dsn: str) -> None:
    with receiving() as receiver, delivering(dsn):
        endpoint = _endpoint(client, receiver.url, "product.updated")
        assert endpoint.secret is not None
        product = client.v1.products.create({"name": "Tokens", "metadata": {"a": "1", "b": "2"}})
        client.v1.products.update(product.id, {"name": "Tokens, many", "metadata": {"b": "3"}})
        [arrived] = receiver.wait_for_count(1)

    event = client.construct_event(arrived.body, arrived.signature, endpoint.secret)
    assert event.type == "product.updated"
    assert event.data.object["name"] == "Tokens, many"
    before = event.data.previous_attributes
    assert before is not None
    assert before["name"] == "Tokens"
    assert before["metadata"].to_dict() == {"b": "2"}
    assert event.request is not None and event.request.id is not None
    assert client.v1.events.retrieve(event.id).data.object == event.data.object


@pytest.mark.usefixtures("clean")
def test_a_wrong_secret_is_noticed(client: stripe.StripeClient, dsn: str) -> None:
    with receiving() as receiver, delivering(dsn):
        _endpoint(client, receiver.url)
        client.v1.products.create({"name": "Tokens"})
        [arrived] = receiver.wait_for_count(1)

    with pytest.raises(stripe.SignatureVerificationError):
        client.construct_event(arrived.body, arrived.signature, "whsec_other")


@pytest.mark.usefixtures("clean")
def test_the_secret_is_shown_once_and_an_unchanged_object_tells_nothing(client: stripe.StripeClient) -> None:
    endpoint = _endpoint(client, "http://127.0.0.1:9/")
    assert "secret" not in client.v1.webhook_endpoints.retrieve(endpoint.id).to_dict()
    product = client.v1.products.create({"name": "Tokens"})
    client.v1.products.update(product.id, {"name": "Tokens"})

    types = [event.type for event in client.v1.events.list().data if event.data.object["id"] == product.id]
    assert types == ["product.created"]


@pytest.mark.usefixtures("clean")
def test_a_rolled_secret_signs_beside_the_new_one_only_while_asked_to(
    client: stripe.StripeClient, raw: httpx.Client, dsn: str
) -> None:
    with receiving() as receiver, delivering(dsn):
        endpoint = _endpoint(client, receiver.url)
        assert endpoint.secret is not None
        rolled = raw.post(f"/ops/webhook_endpoints/{endpoint.id}/roll_secret", data={"expires_in": "3600"}).json()
        client.v1.products.create({"name": "Tokens"})
        [arrived] = receiver.wait_for_count(1)
        at_once = raw.post(f"/ops/webhook_endpoints/{endpoint.id}/roll_secret").json()
        client.v1.products.create({"name": "More tokens"})
        last = receiver.wait_for_count(2)[-1]

    assert client.construct_event(arrived.body, arrived.signature, endpoint.secret).type == "product.created"
    assert client.construct_event(arrived.body, arrived.signature, rolled["secret"]).type == "product.created"
    assert client.construct_event(last.body, last.signature, at_once["secret"]).type == "product.created"
    assert last.signature.count("v1=") == 1


@pytest.mark.usefixtures("clean")
def test_a_failed_delivery_is_tried_again_with_the_same_id_and_in_order(
    client: stripe.StripeClient, raw: httpx.Client, dsn: str
) -> None:
    clock = Ahead()
    refusals = iter([500, 301])

    def stubborn(request: Received) -> int:
        return next(refusals, 200)

    with receiving(stubborn) as receiver, delivering(dsn, clock):
        endpoint = _endpoint(client, receiver.url)
        product = client.v1.products.create({"name": "one"})
        _await_log(raw, endpoint, attempts=1)
        client.v1.products.update(product.id, {"name": "two"})
        clock.by = timedelta(minutes=1)
        _await_log(raw, endpoint, attempts=2)
        clock.by = timedelta(minutes=10)
        arrived = receiver.wait_for_count(4)

    ids = [request.event["id"] for request in arrived]
    assert ids[0] == ids[1] == ids[2] != ids[3]
    assert [request.event["type"] for request in arrived] == ["product.created"] * 3 + ["product.updated"]
    log = _log(raw, endpoint)
    assert [entry["response"]["status"] for entry in log] == [200, 200, 301, 500]
    assert log[0]["response"]["body"] == "thanks"
    assert '"product.updated"' in log[0]["request"]["body"]
    assert client.v1.webhook_endpoints.retrieve(endpoint.id).status == "enabled"


@pytest.mark.usefixtures("clean")
def test_events_tell_whether_every_endpoint_has_them(client: stripe.StripeClient, dsn: str) -> None:
    answers = {"status": 500}
    with receiving(lambda _: answers["status"]) as receiver, delivering(dsn):
        endpoint = _endpoint(client, receiver.url)
        product = client.v1.products.create({"name": "one"})
        [arrived] = receiver.wait_for_count(1)
        undelivered = client.v1.events.list({"delivery_success": False}).data
        assert [event.id for event in undelivered] == [arrived.event["id"]]
        assert undelivered[0].pending_webhooks == 1
        answers["status"] = 202
        client.raw_request("post", f"/ops/events/{undelivered[0].id}/resend", webhook_endpoint=endpoint.id)
        receiver.wait_for_count(2)

    assert client.v1.events.list({"delivery_success": False}).data == []
    told = client.v1.events.list({"type": "product.*", "delivery_success": True}).data[0]
    assert told.data.object["id"] == product.id
    assert told.pending_webhooks == 0


@pytest.mark.usefixtures("clean")
def test_a_range_of_time_is_replayed_in_order(client: stripe.StripeClient, raw: httpx.Client, dsn: str) -> None:
    with receiving() as receiver, delivering(dsn):
        product = client.v1.products.create({"name": "one"})
        client.v1.products.update(product.id, {"name": "two"})
        first = _endpoint(client, receiver.url, "customer.created")
        with receiving() as watching:
            _endpoint(client, watching.url)
            client.v1.products.update(product.id, {"name": "three"})
            watching.wait_for_count(1)
        count = raw.post(
            f"/ops/webhook_endpoints/{first.id}/replay",
            data={"since": "0", "until": "9999999999", "types[]": "product.updated"},
        ).json()["count"]
        arrived = receiver.wait_for_count(count)

    of_product = [request.event for request in arrived if request.event["data"]["object"]["id"] == product.id]  # type: ignore[index]
    assert [event["data"]["object"]["name"] for event in of_product] == ["two", "three"]  # type: ignore[index]


@pytest.mark.usefixtures("clean")
def test_a_thin_destination_gets_notifications_that_lead_back_to_the_object(
    client: stripe.StripeClient, dsn: str
) -> None:
    with receiving() as receiver, delivering(dsn):
        destination = client.v2.core.event_destinations.create(
            {
                "name": "mine",
                "type": "webhook_endpoint",
                "event_payload": "thin",
                "enabled_events": ["v1.product.created"],
                "webhook_endpoint": {"url": receiver.url},
                "include": ["webhook_endpoint.signing_secret", "webhook_endpoint.url"],
            }
        )
        assert destination.webhook_endpoint is not None
        secret = destination.webhook_endpoint.signing_secret
        product = client.v1.products.create({"name": "Tokens"})
        [arrived] = receiver.wait_for_count(1)
        ping = client.v2.core.event_destinations.ping(destination.id)
        pinged = receiver.wait_for_count(2)[1]

        notification = client.parse_event_notification(arrived.body, arrived.signature, secret)
        assert notification.type == "v1.product.created"
        assert notification.fetch_related_object() == client.v1.products.retrieve(product.id)
        fetched = notification.fetch_event()
        assert (fetched.id, fetched.type) == (notification.id, "v1.product.created")
        told = client.parse_event_notification(pinged.body, pinged.signature, secret)
        assert (told.id, told.type) == (ping.id, "v2.core.event_destination.ping")


def test_a_list_of_events_by_no_types_is_the_whole_list(client: stripe.StripeClient, raw: httpx.Client) -> None:
    client.v1.products.create({"name": "Told"})
    whole = raw.get("/v1/events", params={"limit": 3}).json()
    assert whole["data"] and raw.get("/v1/events", params={"limit": 3, "types": ""}).json() == whole


@pytest.mark.usefixtures("clean")
def test_v2_lists_page_through_everything(client: stripe.StripeClient) -> None:
    made = [client.v1.products.create({"name": f"product {number}"}).id for number in range(5)]

    listing = client.v2.core.events.list({"limit": 2, "types": ["v1.product.created"]})
    seen = [event.related_object.id for event in listing.auto_paging_iter()]  # type: ignore[attr-defined]
    assert seen[:5] == made[::-1]


@pytest.mark.usefixtures("clean")
def test_a_disabled_destination_gets_nothing_and_says_why(client: stripe.StripeClient, dsn: str) -> None:
    with receiving() as silent, receiving() as receiver, delivering(dsn):
        destination = client.v2.core.event_destinations.create(
            {
                "name": "quiet",
                "type": "webhook_endpoint",
                "event_payload": "snapshot",
                "enabled_events": ["*"],
                "webhook_endpoint": {"url": silent.url},
            }
        )
        disabled = client.v2.core.event_destinations.disable(destination.id)
        _endpoint(client, receiver.url)
        client.v1.products.create({"name": "Tokens"})
        receiver.wait_for_count(1)

    assert disabled.status_details is not None and disabled.status_details.disabled is not None
    assert disabled.status_details.disabled.reason == "user"
    assert silent.received == []


@pytest.mark.usefixtures("clean")
def test_sixteen_endpoints_and_no_more(client: stripe.StripeClient) -> None:
    for number in range(16):
        _endpoint(client, f"http://127.0.0.1:9/{number}")
    with pytest.raises(stripe.InvalidRequestError, match="maximum of 16"):
        _endpoint(client, "http://127.0.0.1:9/17")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://example.com/", "explicit scheme"),
        ("http://user:pass@example.com/", "credentials"),
        ("https:///nowhere", "explicit scheme"),
    ],
)
@pytest.mark.usefixtures("clean")
def test_addresses_that_cannot_be_a_webhook(client: stripe.StripeClient, url: str, message: str) -> None:
    with pytest.raises(stripe.InvalidRequestError, match=message) as refused:
        _endpoint(client, url)
    assert refused.value.code == "url_invalid"


def test_live_endpoints_are_https_and_never_loopback(base_url: str, add_key: Callable[..., str], dsn: str) -> None:
    secret = "sk_live_meterlineWireTests0000000000"
    add_key(secret, environment="live")
    live = stripe_client(base_url, secret)
    with pytest.raises(stripe.InvalidRequestError, match="HTTPS"):
        _endpoint(live, "http://example.com/")
    endpoint = _endpoint(live, "https://127.0.0.1:9/", "product.created")
    with delivering(dsn), httpx.Client(base_url=base_url, auth=(secret, "")) as ours:
        live.v1.products.create({"name": "Tokens"})
        _await_log(ours, endpoint, attempts=1)
        [entry] = _log(ours, endpoint)
    assert entry["response"] is None
    assert entry["error"] == "webhooks may not be sent to 127.0.0.1"


@pytest.mark.usefixtures("clean")
def test_an_endpoint_gets_events_in_its_own_api_version(client: stripe.StripeClient, dsn: str) -> None:
    with receiving() as receiver, delivering(dsn):
        _endpoint(client, receiver.url, "product.created", api_version="2025-03-31.basil")
        client.v1.products.create({"name": "Tokens"})
        [arrived] = receiver.wait_for_count(1)
    assert arrived.event["api_version"] == "2025-03-31.basil"
