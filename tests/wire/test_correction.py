"""Corrections, strays and the life of an event, over HTTP."""

import json
import time
from typing import Any

import httpx
import pytest
import stripe

NOW = int(time.time())
DAY = 86_400


@pytest.fixture(scope="module")
def meter(client: stripe.StripeClient) -> stripe.billing.Meter:
    return client.v1.billing.meters.create(
        {"display_name": "Tokens", "event_name": "tokens", "default_aggregation": {"formula": "sum"}}
    )


@pytest.fixture(scope="module")
def customer(client: stripe.StripeClient, meter: stripe.billing.Meter) -> stripe.Customer:
    return client.v1.customers.create({"name": "Ada"})


def used(client: stripe.StripeClient, meter: stripe.billing.Meter, customer: stripe.Customer) -> Any:
    minute = NOW - NOW % 60
    bounds: Any = {"customer": customer.id, "start_time": minute - 40 * DAY, "end_time": minute + 7200}
    return client.v1.billing.meters.event_summaries.list(meter.id, bounds).data[0].aggregated_value


def send(raw: httpx.Client, *events: dict[str, Any]) -> list[str]:
    answer = raw.post("/ingest/events", content=json.dumps(events), headers={"content-type": "application/json"})
    return [verdict["fate"] for verdict in answer.json()["verdicts"]]


def event(customer: str, id: str, value: str, **more: Any) -> dict[str, Any]:
    payload = {"stripe_customer_id": customer, "value": value}
    return {"event_name": "tokens", "identifier": id, "payload": payload, **more}


def test_cancelling_takes_an_event_out_once(
    client: stripe.StripeClient, raw: httpx.Client, meter: stripe.billing.Meter, customer: stripe.Customer
) -> None:
    before = used(client, meter, customer)
    send(raw, event(customer.id, "c1", "5"), event(customer.id, "c2", "7"))
    cancel: Any = {"type": "cancel", "event_name": "tokens", "cancel": {"identifier": "c1"}}
    done = client.v1.billing.meter_event_adjustments.create(cancel)
    assert done.status == "complete" and done.cancel is not None and done.cancel.identifier == "c1"
    assert used(client, meter, customer) == before + 7
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.billing.meter_event_adjustments.create(cancel)
    with pytest.raises(stripe.InvalidRequestError) as unknown:
        client.v1.billing.meter_event_adjustments.create(cancel | {"cancel": {"identifier": "c9"}})
    assert unknown.value.param == "cancel[identifier]"
    second = client.v2.billing.meter_event_adjustments.create(cancel | {"cancel": {"identifier": "c2"}})
    assert second.object == "v2.billing.meter_event_adjustment"
    assert used(client, meter, customer) == before
    assert send(raw, event(customer.id, "c1", "5")) == ["duplicate"]


def test_a_replacement_counts_in_place_and_can_be_taken_back(
    client: stripe.StripeClient, raw: httpx.Client, meter: stripe.billing.Meter, customer: stripe.Customer
) -> None:
    before = used(client, meter, customer)
    send(raw, event(customer.id, "r1", "5", timestamp=NOW - 2 * DAY))
    body = {"customer": customer.id, "value": "8", "timestamp": NOW - DAY, "reason": "wrong unit", "actor": "ada"}
    done = raw.post("/ingest/events/r1/replace", data=body).json()
    assert done["quantity_before"] == "5" and done["quantity_after"] == "8"
    assert done["actor"].startswith("ada (key_") and done["reason"] == "wrong unit"
    assert used(client, meter, customer) == before + 8
    life = raw.get("/ingest/events/r1", params={"customer": customer.id}).json()
    assert life["fate"] == "voided" and life["voided_by"] == done["id"] and life["counted_in"] == []
    assert raw.post("/ingest/events/r1/void", data={"customer": customer.id, "reason": "x"}).status_code == 400
    assert raw.post(f"/ingest/corrections/{done['id']}/revert").json()["status"] == "reverted"
    assert used(client, meter, customer) == before + 5
    assert raw.post(f"/ingest/corrections/{done['id']}/revert").status_code == 400
    assert done["id"] in [each["id"] for each in raw.get("/ingest/corrections").json()["data"]]


def test_a_backfill_replaces_a_stretch_when_it_is_closed(
    client: stripe.StripeClient, raw: httpx.Client, meter: stripe.billing.Meter, customer: stripe.Customer
) -> None:
    before = used(client, meter, customer)
    at = NOW - 10 * DAY
    send(raw, event(customer.id, "b1", "5", timestamp=at), event(customer.id, "b2", "6", timestamp=at + 4000))
    asked = {"customer": customer.id, "event_name": "tokens", "start": at - 60, "end": at + 3600, "reason": "outage"}
    opened = raw.post("/ingest/backfills", data=asked).json()
    payload = {"stripe_customer_id": customer.id, "value": "100"}
    events = [{"identifier": f"bf{n}", "timestamp": at + n, "payload": payload} for n in range(3)]
    for added in (3, 0):
        staged = raw.post(f"/ingest/backfills/{opened['id']}/events", json={"events": events}).json()
        assert staged["added"] == added
    outside = [{"identifier": "late", "timestamp": at + 7200, "payload": payload}]
    assert raw.post(f"/ingest/backfills/{opened['id']}/events", json={"events": outside}).status_code == 400
    assert used(client, meter, customer) == before + 11
    closed = raw.post(f"/ingest/backfills/{opened['id']}/close").json()
    assert (closed["quantity_before"], closed["quantity_after"]) == ("5", "300")
    assert used(client, meter, customer) == before + 306
    raw.post(f"/ingest/corrections/{opened['id']}/revert")
    assert used(client, meter, customer) == before + 11


def test_parked_events_are_listed_and_count_once_when_replayed(
    client: stripe.StripeClient, raw: httpx.Client, customer: stripe.Customer
) -> None:
    later = {"event_name": "later", "payload": {"stripe_customer_id": customer.id, "value": 3}}
    assert send(raw, later | {"identifier": "p1"}, later | {"identifier": "p2"}, later) == ["parked"] * 3
    assert send(raw, later | {"identifier": "p1"}) == ["parked"]
    listed = raw.get("/ingest/parked", params={"event_name": "later"}).json()
    assert len(listed["data"]) == 3
    (reason,) = [each for each in listed["summary"] if each["event_name"] == "later"]
    assert (reason["code"], reason["events"], reason["seen"]) == ("no_meter", 3, 4)
    assert raw.get("/ingest/events/p1").json()["fate"] == "parked"
    [told] = [
        event.data.object.to_dict()
        for event in client.v1.events.list({"type": "event.parked", "limit": 100}).data
        if event.data.object["event_name"] == "later"
    ]
    assert (told["object"], told["code"], told["customer"], told["count"]) == (
        "event.parked",
        "no_meter",
        customer.id,
        3,
    )
    assert set(told["sample"]) == {each["id"] for each in listed["data"]}
    made = client.v1.billing.meters.create(
        {"display_name": "Later", "event_name": "later", "default_aggregation": {"formula": "sum"}}
    )
    done = raw.post("/ingest/parked/replay", data={"event_name": "later"}).json()
    assert (done["accepted"], done["parked"]) == (3, 0)
    assert raw.post("/ingest/parked/replay", data={"event_name": "later"}).json()["accepted"] == 0
    assert used(client, made, customer) == 9
    assert send(raw, later | {"identifier": "p2"}) in (["duplicate"], ["rejected"])
    assert used(client, made, customer) == 9


def test_events_outside_the_window_are_counted_only_when_asked_to(
    client: stripe.StripeClient, raw: httpx.Client, meter: stripe.billing.Meter, customer: stripe.Customer
) -> None:
    before = used(client, meter, customer)
    assert send(raw, event(customer.id, "w1", "4", timestamp=NOW - 36 * DAY)) == ["parked"]
    assert raw.post("/ingest/parked/replay", data={"event_name": "tokens"}).json()["parked"] == 1
    asked = {"event_name": "tokens", "any_time": "true"}
    assert raw.post("/ingest/parked/replay", data=asked).json()["accepted"] == 1
    assert used(client, meter, customer) == before + 4


def test_dimensions_group_and_filter_summaries(
    client: stripe.StripeClient, raw: httpx.Client, customer: stripe.Customer
) -> None:
    asked = {
        "display_name": "LLM",
        "event_name": "llm",
        "default_aggregation[formula]": "sum",
        "dimension_payload_keys[]": ["model", "kind"],
    }
    made = raw.post("/v1/billing/meters", data=asked).json()
    assert made["dimension_payload_keys"] == ["model", "kind"]
    rows = [("a", "in", 1), ("a", "out", 2), ("b", "in", 4), ("b", "in", 8)]
    events = [
        {"event_name": "llm", "payload": {"stripe_customer_id": customer.id, "value": v, "model": m, "kind": k}}
        for m, k, v in rows
    ]
    assert send(raw, *events) == ["accepted"] * 4
    assert send(raw, {"event_name": "llm", "payload": {"stripe_customer_id": customer.id, "value": 1}}) == ["rejected"]
    minute = NOW - NOW % 60
    bounds: dict[str, Any] = {"customer": customer.id, "start_time": minute - 3600, "end_time": minute + 3600}

    def summaries(**more: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = raw.get(
            f"/v1/billing/meters/{made['id']}/event_summaries", params=bounds | more
        ).json()["data"]
        return found

    assert summaries()[0]["aggregated_value"] == 15
    assert summaries(**{"dimension_filters[model]": "b"})[0]["aggregated_value"] == 12
    by_model = summaries(**{"dimension_group_by_keys[]": "model"})
    assert {each["dimensions"]["model"]: each["aggregated_value"] for each in by_model} == {"a": 3, "b": 12}
    for param in ("dimension_filters[color]", "dimension_group_by_keys[]"):
        refused = raw.get(f"/v1/billing/meters/{made['id']}/event_summaries", params=bounds | {param: "color"})
        assert refused.json()["error"]["param"] == param.removesuffix("[]")


def test_groups_are_paged_window_by_window(
    client: stripe.StripeClient, raw: httpx.Client, customer: stripe.Customer
) -> None:
    asked = {
        "display_name": "Paged",
        "event_name": "paged",
        "default_aggregation[formula]": "sum",
        "dimension_payload_keys[]": "model",
    }
    made = raw.post("/v1/billing/meters", data=asked).json()
    hour = NOW - NOW % 3600
    for back, model, value in ((2, "a", 1), (2, "b", 2), (5, "a", 4)):
        payload = {"stripe_customer_id": customer.id, "value": value, "model": model}
        sent = {"event_name": "paged", "payload": payload, "timestamp": hour - back * 3600}
        assert send(raw, sent) == ["accepted"]
    bounds: Any = {"customer": customer.id, "start_time": hour - 6 * 3600, "end_time": hour}
    bounds |= {"value_grouping_window": "hour", "dimension_group_by_keys[]": "model", "limit": 1}

    seen: list[tuple[int, str | None, int]] = []
    after: dict[str, str] = {}
    while True:
        page = raw.get(f"/v1/billing/meters/{made['id']}/event_summaries", params=bounds | after).json()
        seen += [
            (each["start_time"], each["dimensions"].get("model"), each["aggregated_value"]) for each in page["data"]
        ]
        if not page["has_more"]:
            break
        after = {"starting_after": page["data"][-1]["id"]}

    ago = {n: hour - n * 3600 for n in range(1, 7)}
    assert seen == [
        (ago[1], None, 0),
        (ago[2], "a", 1),
        (ago[2], "b", 2),
        (ago[3], None, 0),
        (ago[4], None, 0),
        (ago[5], "a", 4),
        (ago[6], None, 0),
    ]


def test_a_correction_stays_in_reach(raw: httpx.Client, meter: stripe.billing.Meter, customer: stripe.Customer) -> None:
    send(raw, event(customer.id, "reach", "5"))

    def refusal(path: str, **asked: Any) -> tuple[str, str]:
        answer = raw.post(path, data={"customer": customer.id, "reason": "x", **asked})
        assert answer.status_code == 400, answer.text
        return answer.json()["error"].get("code"), answer.json()["error"]["param"]

    past, future = ("timestamp_too_far_in_past", "timestamp"), ("timestamp_in_future", "timestamp")
    assert refusal("/ingest/events/reach/replace", timestamp=0) == past
    assert refusal("/ingest/events/reach/replace", timestamp=NOW + 3600) == future
    assert refusal("/ingest/events/reach/replace", timestamp=253402300799) == future
    opening = {"event_name": "tokens", "end": NOW}
    assert refusal("/ingest/backfills", **opening, start=0) == ("timestamp_too_far_in_past", "start")
    assert refusal("/ingest/backfills", **opening, start=NOW - 93 * DAY)[1] == "end"
    assert refusal("/ingest/backfills", **opening | {"end": NOW + 2 * DAY}, start=NOW)[1] == "end"
    asked = {"customer": customer.id, "reason": "x", "event_name": "tokens", "start": NOW - DAY, "end": NOW + DAY}
    opened = raw.post("/ingest/backfills", data=asked).json()["id"]
    payload = {"stripe_customer_id": customer.id, "value": "1"}
    coming = {"events": [{"identifier": "coming", "timestamp": NOW + 3600, "payload": payload}]}
    assert raw.post(f"/ingest/backfills/{opened}/events", json=coming).json()["error"]["code"] == "timestamp_in_future"


def test_days_past_their_retention_are_not_corrected(
    raw: httpx.Client, meter: stripe.billing.Meter, customer: stripe.Customer
) -> None:
    assert raw.post("/ingest/policy", data={"keep_events_days": 40}).status_code == 200
    asked = {"customer": customer.id, "reason": "x", "event_name": "tokens"}

    gone = raw.post("/ingest/backfills", data={**asked, "start": NOW - 50 * DAY, "end": NOW - 49 * DAY})
    kept = raw.post("/ingest/backfills", data={**asked, "start": NOW - 39 * DAY, "end": NOW})
    raw.post("/ingest/policy", data={"keep_events_days": ""})

    assert gone.json()["error"]["code"] == "events_not_kept"
    assert kept.status_code == 200
