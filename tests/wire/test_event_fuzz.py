"""Nothing that is sent to the event routes makes them answer 500 or lose an event: one verdict each, in order.

Bodies are events that are right, events that are nearly right and what is no event at all, in every form the routes
read. Afterwards every event that was right is found stored, and counted once.
"""

import gzip
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from typing import Any

import httpx
import msgspec
import pytest
import stripe
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meterline.api.asgi import MAX_UNPACKED
from tests.wire import fuzz

FUZZ = settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
LONG = settings(FUZZ, max_examples=1_500, derandomize=False)
JSON = {"content-type": "application/json"}
FORMS = ("application/x-ndjson", "application/json", "application/cloudevents-batch+json")
SOURCE = "tests"
"""What CloudEvents say of where they come from; it is part of an event's identity."""
FATES = {"accepted", "duplicate", "rejected", "parked"}
ODD = st.sampled_from([*fuzz.HOSTILE, *fuzz.ALSO_IN_JSON])
GARBAGE = st.one_of(
    st.binary(min_size=1, max_size=40),
    st.sampled_from(
        [b"{", b"}", b"null", b"[]", b"1e999999", b'"\\ud800"', b"\xff\xfe", b"[" * 5_000, b'{"event_name":', b"\x00"]
    ),
    st.sampled_from(
        [
            b'{"event_name":"fuzzed","payload":{"stripe_customer_id":"%s","value":1e400}}',
            b'{"event_name":"fuzzed","payload":{"stripe_customer_id":"%s","value":1e200000}}',
            b'{"event_name":"fuzzed","payload":{"stripe_customer_id":"%s","value":' + b"9" * 5_000 + b"}}",
            b'{"event_name":"fuzzed","payload":{"stripe_customer_id":"%s","value":"1"},"timestamp":99999999999999999999}',
            b'{"event_name":"fuzzed","payload":{"deep":' + b"[" * 200 + b"]" * 200 + b"}}",
            b'{"event_name":"fuzzed","payload":{"a":"\\u0000","stripe_customer_id":"%s","value":"1"}}',
        ]
    ),
)
_numbers = count()


@dataclass
class Ground:
    """A meter and a customer, and what the answers said was counted so far."""

    raw: httpx.Client
    customer: str
    meter: str
    sent: list[dict[str, Any]] = field(default_factory=list)

    def new(self, value: str) -> dict[str, Any]:
        """An event that is right, and has not been sent."""
        payload = {"stripe_customer_id": self.customer, "value": value}
        return {"event_name": "fuzzed", "identifier": f"fuzz-{next(_numbers)}", "payload": payload}

    def counted(self) -> Decimal:
        minute = int(time.time()) // 60 * 60
        bounds: dict[str, str | int] = {"start_time": minute - 40 * 86_400, "end_time": minute + 7_200}
        bounds["customer"] = self.customer
        answer = self.raw.get(f"/v1/billing/meters/{self.meter}/event_summaries", params=bounds)
        return Decimal(str(json.loads(answer.content, parse_float=Decimal)["data"][0]["aggregated_value"]))


@pytest.fixture(scope="module")
def ground(client: stripe.StripeClient, raw: httpx.Client) -> Ground:
    made = client.v1.billing.meters.create(
        {"display_name": "Fuzzed", "event_name": "fuzzed", "default_aggregation": {"formula": "sum"}}
    )
    return Ground(raw, client.v1.customers.create({"name": "Ada"}).id, made.id)


# ── bulk ────────────────────────────────────────────────────────────────────────────────────────────────


@st.composite
def members(draw: st.DrawFn, ground: Ground) -> tuple[bytes, dict[str, Any] | None]:
    """One member of a body, and the event it is if it is right and new."""
    kind = draw(st.sampled_from(["right", "right", "again", "bent", "bent", "garbage"]))
    if kind == "garbage":
        return draw(GARBAGE).replace(b"%s", ground.customer.encode()), None
    if kind == "again":
        back = draw(st.integers(1, 20))
        return msgspec.json.encode(ground.sent[-back:][0] if ground.sent else ground.new("1")), None
    event = ground.new(draw(st.sampled_from(["1", "2.5", "0", "-1", "0.000000000001"])))
    if kind == "bent":
        where = draw(
            st.sampled_from(["event_name", "identifier", "payload", "timestamp", "customer", "source", "x", "value"])
        )
        target = event["payload"] if where == "value" else event
        target[where] = draw(ODD)
        return msgspec.json.encode(event), None
    return msgspec.json.encode(event), event


def as_cloud(event: bytes) -> bytes:
    """The same in CloudEvents' form, where it can be read at all."""
    try:
        native = json.loads(event)
        about = {"type": native["event_name"], "id": native["identifier"], "data": native["payload"]}
    except (ValueError, KeyError, TypeError, RecursionError):
        return event
    return msgspec.json.encode({"specversion": "1.0", "source": SOURCE, **about})


def is_json(member: bytes) -> bool:
    try:
        msgspec.json.decode(b"[" + member + b"]", type=list[msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


PACKING: dict[str, Callable[[bytes], bytes]] = {
    "identity": lambda body: body,
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


def packed(body: bytes, encoding: str, *, parts: int) -> bytes:
    """The body compressed, in several parts one after the other."""
    step = len(body) // parts + 1
    return b"".join(PACKING[encoding](body[start : start + step]) for start in range(0, len(body), step))


def send_bulk(ground: Ground, data: st.DataObject) -> None:
    form = data.draw(st.sampled_from(FORMS), label="form")
    drawn = data.draw(st.lists(members(ground), min_size=1, max_size=8), label="members")
    ndjson = form == FORMS[0]
    if ndjson:
        drawn = [(member.replace(b"\n", b" "), event) for member, event in drawn]
        drawn = [(member, event) for member, event in drawn if member.strip()]
    elif form == FORMS[2]:
        drawn = [(as_cloud(member), event and event | {"source": SOURCE}) for member, event in drawn]
    if not ndjson:
        drawn = [(member, event) for member, event in drawn if is_json(member)]
    body = b"\n".join(m for m, _ in drawn) if ndjson else b"[" + b",".join(m for m, _ in drawn) + b"]"
    encoding = data.draw(st.sampled_from(sorted(PACKING)), label="encoding")
    parts = data.draw(st.integers(1, 3), label="parts")
    path = data.draw(st.sampled_from(["/ingest/events", "/api/v1/events"]), label="path")
    headers = {"content-type": form, "content-encoding": encoding}
    answer = ground.raw.post(path, content=packed(body, encoding, parts=parts), headers=headers)
    judge(ground, answer, drawn)


def judge(ground: Ground, answer: httpx.Response, drawn: Sequence[tuple[bytes, dict[str, Any] | None]]) -> None:
    """Every member has its verdict at its place; what is right and new is accepted."""
    if not drawn:
        assert answer.status_code == 400, answer.text
        return
    if answer.status_code == 204:
        # OpenMeter's address says nothing where everything was taken care of: ask again for the verdicts.
        assert not answer.content
        lines = b"\n".join(msgspec.json.encode(event) for _, event in drawn if event is not None)
        if lines:
            told = ground.raw.post("/ingest/events", content=lines, headers={"content-type": FORMS[0]}).json()
            assert told["rejected"] == told["parked"] == 0, told
    else:
        assert answer.status_code in (200, 400), answer.text
        verdicts = answer.json()["verdicts"]
        assert len(verdicts) == len(drawn)
        for verdict, (member, event) in zip(verdicts, drawn, strict=True):
            assert verdict["fate"] in FATES
            assert event is None or (verdict["fate"], verdict["id"]) == ("accepted", event["identifier"]), member
    for _, event in drawn:
        if event is not None:
            ground.sent.append(event)


@FUZZ
@given(data=st.data())
def test_bulk_bodies_get_a_verdict_for_every_member(ground: Ground, data: st.DataObject) -> None:
    send_bulk(ground, data)


@pytest.mark.slow
@LONG
@given(data=st.data())
def test_bulk_bodies_get_a_verdict_for_every_member_in_the_long_run(ground: Ground, data: st.DataObject) -> None:
    send_bulk(ground, data)


@settings(FUZZ, max_examples=100)
@given(
    body=st.binary(max_size=200),
    encoding=st.sampled_from(["", "gzip", "zstd", "br", "gzip, zstd", "é".encode().decode("latin-1")]),
    form=st.sampled_from([*FORMS, "application/cloudevents+json", "", "text/plain", "application/json; charset=x"]),
    path=st.sampled_from(["/ingest/events", "/api/v1/events", "/v1/billing/meter_events", "/v2/billing/meter_events"]),
)
def test_bytes_that_mean_nothing_are_refused(
    raw: httpx.Client, body: bytes, encoding: str, form: str, path: str
) -> None:
    headers = {b"content-type": form.encode(), b"content-encoding": encoding.encode("latin-1")}
    answer = raw.post(path, content=body, headers=headers)

    assert answer.status_code < 500, answer.text
    if answer.status_code not in (200, 204) and "verdicts" not in answer.json():
        assert answer.json()["error"]["message"]


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_bombs_and_broken_parts_are_refused_and_whole_ones_are_read_to_the_end(ground: Ground, encoding: str) -> None:
    pack = PACKING[encoding]

    def post(body: bytes) -> httpx.Response:
        headers = {"content-type": FORMS[0], "content-encoding": encoding}
        return ground.raw.post("/ingest/events", content=body, headers=headers)

    first, second = (ground.new("1") for _ in range(2))
    lines = [msgspec.json.encode(event) + b"\n" for event in (first, second)]
    whole = pack(lines[0]) + pack(lines[1])
    ground.sent += [first, second]

    assert post(pack(bytes(MAX_UNPACKED + 1))).status_code == 413
    assert post(whole[:-3]).status_code == post(pack(lines[0]) + b"more").status_code == 400
    assert post(pack(b"x") * 3_000).status_code == 400
    assert post(whole).json()["accepted"] == 2


# ── one by one ──────────────────────────────────────────────────────────────────────────────────────────


def bent(draw: Callable[..., Any], ground: Ground) -> dict[str, Any]:
    """An event with one thing wrong with it, or with nothing."""
    event = ground.new("3")
    where = draw(st.sampled_from(["", "event_name", "identifier", "payload", "timestamp", "x", "value", "member"]))
    if where:
        target = event["payload"] if where in ("value", "member") else event
        target[where] = draw(ODD)
    return event


def send_single(ground: Ground, data: st.DataObject, token: str) -> None:
    route = data.draw(st.sampled_from(["v1", "v2", "stream", "adjustment"]), label="route")
    event = bent(data.draw, ground)
    chosen: dict[str, str] = data.draw(
        st.sampled_from([{}, {"idempotency-key": "k"}, {"idempotency-key": "k" * 300}]), label="key"
    )
    key, raw = JSON | chosen, ground.raw
    if route == "v1":
        form = {"content-type": "application/x-www-form-urlencoded"}
        answer = raw.post("/v1/billing/meter_events", content=fuzz.form(event), headers=key | form)
    elif route == "v2":
        answer = raw.post("/v2/billing/meter_events", content=msgspec.json.encode(event), headers=key)
    elif route == "stream":
        body = msgspec.json.encode({"events": [ground.new("3"), event]})
        answer = raw.post("/v2/billing/meter_event_stream", content=body, headers={"authorization": f"Bearer {token}"})
    else:
        asked = {"type": "cancel", "event_name": event.get("event_name"), "cancel": {"identifier": data.draw(ODD)}}
        answer = raw.post("/v2/billing/meter_event_adjustments", content=msgspec.json.encode(asked), headers=JSON)
    assert answer.status_code < 500, answer.text
    if answer.status_code != 200:
        assert answer.json()["error"]["message"]


@pytest.fixture(scope="module")
def token(raw: httpx.Client) -> str:
    token: str = raw.post("/v2/billing/meter_event_session", json={}).json()["authentication_token"]
    return token


@settings(FUZZ, max_examples=150)
@given(data=st.data())
def test_single_events_are_answered(ground: Ground, token: str, data: st.DataObject) -> None:
    send_single(ground, data, token)


@pytest.mark.slow
@LONG
@given(data=st.data())
def test_single_events_are_answered_in_the_long_run(ground: Ground, token: str, data: st.DataObject) -> None:
    send_single(ground, data, token)


# ── afterwards ──────────────────────────────────────────────────────────────────────────────────────────


def test_every_event_that_was_right_is_kept_and_counted_once(ground: Ground) -> None:
    """All of them again: duplicates, each, and the quantity stays what it was."""
    before = ground.counted()
    for start in range(0, len(ground.sent), 1_000):
        lines = b"\n".join(msgspec.json.encode(event) for event in ground.sent[start : start + 1_000])
        told = ground.raw.post("/ingest/events", content=lines, headers={"content-type": FORMS[0]}).json()
        assert told["duplicate"] == len(told["verdicts"]), [v for v in told["verdicts"] if v["fate"] != "duplicate"][:3]

    assert ground.sent
    assert ground.counted() == before
