"""Meters, meter events and summaries through the official SDK."""

import gzip
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import stripe
import zstandard

NOW = int(time.time())
HOUR = NOW - NOW % 3600


@pytest.fixture(scope="module")
def meter(client: stripe.StripeClient) -> stripe.billing.Meter:
    return client.v1.billing.meters.create(
        {"display_name": "Tokens", "event_name": "tokens", "default_aggregation": {"formula": "sum"}}
    )


@pytest.fixture(scope="module")
def customer(client: stripe.StripeClient) -> stripe.Customer:
    return client.v1.customers.create({"name": "Ada"})


def used(client: stripe.StripeClient, meter: stripe.billing.Meter, customer: stripe.Customer) -> Any:
    found = client.v1.billing.meters.event_summaries.list(
        meter.id, {"customer": customer.id, "start_time": HOUR - 86_400 * 30, "end_time": HOUR + 7200}
    )
    (summary,) = found.data
    assert "customer" not in summary
    return summary.aggregated_value


def test_a_meter_carries_every_field(meter: stripe.billing.Meter) -> None:
    assert meter.id.startswith("mtr_test_")
    assert meter.customer_mapping.event_payload_key == "stripe_customer_id"
    assert meter.value_settings.event_payload_key == "value"
    assert meter.status == "active" and meter.status_transitions.deactivated_at is None
    assert meter.event_time_window is None and meter.livemode is False


def test_an_event_is_in_the_summary_as_soon_as_it_is_answered(
    client: stripe.StripeClient, meter: stripe.billing.Meter, customer: stripe.Customer
) -> None:
    before = used(client, meter, customer)
    sent = client.v1.billing.meter_events.create(
        {"event_name": "tokens", "payload": {"stripe_customer_id": customer.id, "value": "12.5"}, "timestamp": NOW - 60}
    )
    assert [sent.object, sent.timestamp] == ["billing.meter_event", NOW - 60]
    assert sent.payload["value"] == "12.5" and sent.identifier and "id" not in sent
    assert used(client, meter, customer) == before + 12.5


def test_a_second_use_of_an_identifier_is_refused_but_the_same_key_replays(
    client: stripe.StripeClient, meter: stripe.billing.Meter, customer: stripe.Customer
) -> None:
    before = used(client, meter, customer)
    payload = {"stripe_customer_id": customer.id, "value": "3"}
    params: Any = {"event_name": "tokens", "payload": payload, "identifier": "dup"}
    first = client.v1.billing.meter_events.create(params, {"idempotency_key": "key-1"})
    again = client.v1.billing.meter_events.create(params, {"idempotency_key": "key-1"})
    assert again == first and again.last_response is not None
    assert again.last_response.headers["idempotent-replayed"] == "true"
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.billing.meter_events.create(params, {"idempotency_key": "key-2"})
    assert refused.value.user_message == "An event already exists with identifier dup."
    assert refused.value.code is None and refused.value.headers is not None
    assert refused.value.headers["stripe-should-retry"] == "false"
    with pytest.raises(stripe.IdempotencyError):
        client.v1.billing.meter_events.create(params | {"identifier": "other"}, {"idempotency_key": "key-1"})
    assert used(client, meter, customer) == before + 3


def test_v1_refuses_at_once_only_what_stripe_does(
    client: stripe.StripeClient, meter: stripe.billing.Meter, customer: stripe.Customer, raw: httpx.Client
) -> None:
    def refused(**params: object) -> stripe.InvalidRequestError:
        payload = {"stripe_customer_id": customer.id, "value": "1"}
        body: Any = {"event_name": "tokens", "payload": payload} | params
        with pytest.raises(stripe.InvalidRequestError) as error:
            client.v1.billing.meter_events.create(body)
        return error.value

    assert refused(event_name="nope").user_message == 'No active meter found for event name "nope"'
    assert "cannot be more than 35 days in past" in refused(timestamp=NOW - 36 * 86_400).user_message
    assert refused(timestamp=NOW + 86_400).param == "timestamp"
    assert refused(wat="1").code == "parameter_unknown"
    many = {"stripe_customer_id": customer.id, "value": "1234567890.123456"}
    assert refused(payload=many).code == "meter_event_value_too_many_digits"
    body = raw.post("/v1/billing/meter_events", data={"payload[value]": "1"}).json()
    assert body["error"]["message"] == "Missing required param: event_name."
    for payload in (
        {"value": "1"},
        {"stripe_customer_id": "cus_nobody", "value": "1"},
        {"stripe_customer_id": customer.id},
    ):
        sent = client.v1.billing.meter_events.create({"event_name": "tokens", "payload": payload})
        assert sent.payload.to_dict() == payload


def test_v2_events_are_validated_whole(
    client: stripe.StripeClient, meter: stripe.billing.Meter, customer: stripe.Customer
) -> None:
    before = used(client, meter, customer)
    sent = client.v2.billing.meter_events.create(
        {"event_name": "tokens", "payload": {"stripe_customer_id": customer.id, "value": "4"}, "identifier": "v2-a"}
    )
    assert str(sent.object) == "v2.billing.meter_event"
    assert sent.timestamp.endswith("Z")
    for payload in (
        {"value": "1"},
        {"stripe_customer_id": "cus_nobody", "value": "1"},
        {"stripe_customer_id": customer.id},
    ):
        with pytest.raises(stripe.InvalidRequestError):
            client.v2.billing.meter_events.create({"event_name": "tokens", "payload": payload})
    assert used(client, meter, customer) == before + 4


def test_a_stream_takes_a_hundred_under_a_session_token(
    client: stripe.StripeClient,
    meter: stripe.billing.Meter,
    customer: stripe.Customer,
    base_url: str,
) -> None:
    before = used(client, meter, customer)
    session = client.v2.billing.meter_event_session.create()
    streaming = stripe.StripeClient(
        session.authentication_token, base_addresses={"api": base_url, "meter_events": base_url}, max_network_retries=0
    )
    events: Any = [
        {"event_name": "tokens", "payload": {"stripe_customer_id": customer.id, "value": "1"}, "identifier": f"s{n}"}
        for n in range(100)
    ]
    streaming.v2.billing.meter_event_stream.create({"events": events})
    assert used(client, meter, customer) == before + 100
    with pytest.raises(stripe.InvalidRequestError):
        streaming.v2.billing.meter_event_stream.create({"events": [*events, events[0]]})
    unknown = stripe.StripeClient("token_wrong", base_addresses={"api": base_url, "meter_events": base_url})
    with pytest.raises(stripe.AuthenticationError):
        unknown.v2.billing.meter_event_stream.create({"events": events})


def test_summaries_need_aligned_bounds_and_page_by_window(
    client: stripe.StripeClient, meter: stripe.billing.Meter, customer: stripe.Customer
) -> None:
    def listed(**more: object) -> stripe.ListObject[stripe.billing.MeterEventSummary]:
        params: Any = {"customer": customer.id, "start_time": HOUR - 7200, "end_time": HOUR + 3600} | more
        return client.v1.billing.meters.event_summaries.list(meter.id, params)

    hourly = listed(value_grouping_window="hour", limit=2)
    assert [s.start_time for s in hourly.data] == [HOUR, HOUR - 3600] and hourly.has_more
    rest = listed(value_grouping_window="hour", starting_after=hourly.data[-1].id)
    assert [s.start_time for s in rest.data] == [HOUR - 7200] and not rest.has_more
    assert sum(s.aggregated_value for s in listed(value_grouping_window="hour")) == listed().data[0].aggregated_value
    for wrong in ({"start_time": HOUR + 1}, {"start_time": HOUR + 60, "value_grouping_window": "hour"}):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            listed(**wrong)
        assert refused.value.param == "start_time"


def test_an_inactive_meter_refuses_events_until_it_is_reactivated(
    client: stripe.StripeClient, customer: stripe.Customer
) -> None:
    made = client.v1.billing.meters.create(
        {"display_name": "Calls", "event_name": "calls", "default_aggregation": {"formula": "count"}}
    )
    event: Any = {"event_name": "calls", "payload": {"stripe_customer_id": customer.id}}
    client.v1.billing.meter_events.create(event)
    gone = client.v1.billing.meters.deactivate(made.id)
    assert gone.status == "inactive" and gone.status_transitions.deactivated_at
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.billing.meter_events.create(event)
    assert client.v1.billing.meters.reactivate(made.id).status == "active"
    client.v1.billing.meter_events.create(event)
    assert used(client, made, customer) == 2
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.billing.meters.create(
            {"display_name": "x", "event_name": "calls", "default_aggregation": {"formula": "sum"}}
        )
    assert client.v1.billing.meters.update(made.id, {"display_name": "API calls"}).display_name == "API calls"
    assert made.id in [m.id for m in client.v1.billing.meters.list({"status": "active"})]


Send = Callable[[str, bytes, dict[str, str]], httpx.Response]


def lines(customer: str, start: int, count: int) -> bytes:
    rows = [
        {"event_name": "tokens", "identifier": f"l{n}", "payload": {"stripe_customer_id": customer, "value": 2}}
        for n in range(start, start + count)
    ]
    return "\n".join(json.dumps(row) for row in rows).encode()


@pytest.mark.parametrize("encoding", ["identity", "gzip", "zstd"])
def test_bulk_answers_one_verdict_per_line(
    raw: httpx.Client,
    client: stripe.StripeClient,
    meter: stripe.billing.Meter,
    customer: stripe.Customer,
    encoding: str,
) -> None:
    before = used(client, meter, customer)
    body = lines(customer.id, {"identity": 0, "gzip": 50, "zstd": 100}[encoding], 50)
    body += b'\nnot json\n{"event_name": "other", "payload": {}}\n{"event_name": "tokens", "payloat": {}}'
    packed = {"identity": lambda b: b, "gzip": gzip.compress, "zstd": zstandard.ZstdCompressor().compress}[encoding](
        body
    )
    headers = {"content-type": "application/x-ndjson", "content-encoding": encoding}
    answer = raw.post("/ingest/events", content=packed, headers=headers).json()
    assert [v["fate"] for v in answer["verdicts"]] == ["accepted"] * 50 + ["rejected", "parked", "rejected"]
    assert answer["accepted"] == 50
    assert used(client, meter, customer) == before + 100
    again = raw.post(
        "/ingest/events", content=lines(customer.id, 0, 3), headers={"content-type": "application/x-ndjson"}
    )
    assert again.json()["duplicate"] == 3


def test_cloudevents_name_the_customer_as_subject(
    raw: httpx.Client, client: stripe.StripeClient, customer: stripe.Customer
) -> None:
    made = client.v1.billing.meters.create(
        {
            "display_name": "LLM",
            "event_name": "litellm_tokens",
            "default_aggregation": {"formula": "sum"},
            "value_settings": {"event_payload_key": "total_tokens"},
        }
    )
    cloud = {
        "specversion": "1.0",
        "type": "litellm_tokens",
        "id": "call-1",
        "source": "litellm-proxy",
        "time": datetime.now(UTC).isoformat(),
        "subject": customer.id,
        "data": {"model": "m", "cost": 0.01, "prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
    }
    one = {"content-type": "application/cloudevents+json"}
    assert raw.post("/api/v1/events", content=json.dumps(cloud), headers=one).status_code == 204
    batch = [cloud, cloud | {"id": "call-2"}, cloud | {"source": "other"}]
    many = {"content-type": "application/cloudevents-batch+json"}
    answer = raw.post("/ingest/events", content=json.dumps(batch), headers=many).json()
    assert [v["fate"] for v in answer["verdicts"]] == ["duplicate", "accepted", "accepted"]
    plain = [
        cloud | {"id": "call-3"},
        {"event_name": "litellm_tokens", "payload": {"total_tokens": 7}, "customer": customer.id},
    ]
    answer = raw.post("/ingest/events", json=plain).json()
    assert [v["fate"] for v in answer["verdicts"]] == ["accepted", "accepted"]
    without_offset = cloud | {"id": "call-4", "time": datetime.now(UTC).replace(tzinfo=None).isoformat()}
    assert raw.post("/api/v1/events", content=json.dumps(without_offset), headers=one).status_code == 204
    assert used(client, made, customer) == 42


def test_a_body_that_cannot_be_taken_is_refused_whole(raw: httpx.Client) -> None:
    ndjson = {"content-type": "application/x-ndjson"}
    assert raw.post("/ingest/events", content=b"", headers=ndjson).status_code == 400
    assert raw.post("/ingest/events", content=b"{}\n" * 10_001, headers=ndjson).status_code == 400
    assert raw.post("/ingest/events", content=b"x", headers={"content-type": "text/plain"}).status_code == 400
    bomb = gzip.compress(b"\0" * (80 * 1024 * 1024))
    packed = ndjson | {"content-encoding": "gzip"}
    assert raw.post("/ingest/events", content=bomb, headers=packed).status_code == 413
    assert raw.post("/ingest/events", content=bomb[:100], headers=packed).status_code == 400
    assert raw.post("/ingest/events", content=b"{}", headers=ndjson | {"authorization": "Bearer no"}).status_code == 401
