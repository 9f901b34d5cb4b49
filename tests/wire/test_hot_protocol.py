"""Hot routes over bare sockets: whatever way a request takes through the server, it is answered, once and in order."""

import json
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import stripe

from meterline.api.asgi import Answer, Asked, Reply
from meterline.app import create_app
from tests.wire import server
from tests.wire.conftest import SECRET

PATH = "/v1/billing/meter_events"


@pytest.fixture(scope="module")
def customer(client: stripe.StripeClient) -> str:
    client.v1.billing.meters.create(
        {"display_name": "Calls", "event_name": "calls", "default_aggregation": {"formula": "sum"}}
    )
    return client.v1.customers.create({"email": "sockets@example.com"}).id


def body_of(customer: str, identifier: str, *, padding: int = 0) -> bytes:
    form = f"event_name=calls&identifier={identifier}&payload[stripe_customer_id]={customer}&payload[value]=1"
    return (form + (f"&payload[padding]={'x' * padding}" if padding else "")).encode()


def post(body: bytes, *headers: str, version: str = "1.1", length: bool = True) -> bytes:
    lines = [f"POST {PATH} HTTP/{version}", "Host: here", f"Authorization: Bearer {SECRET}", *headers]
    lines.append("Content-Type: application/x-www-form-urlencoded")
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Line:
    """One connection, read answer by answer."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self._file = connected.makefile("rb")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def status(self) -> int:
        """The first line of the next answer."""
        return int(self._file.readline().split()[1])

    def answer(self) -> tuple[int, dict[str, str], Any]:
        """The next answer: status, headers in lower case, the body's JSON."""
        status = self.status()
        headers = {}
        while (line := self._file.readline().strip()) != b"":
            name, _, value = line.decode().partition(": ")
            headers[name.lower()] = value
        if status == 100:
            return status, headers, None
        return status, headers, json.loads(self._file.read(int(headers["content-length"])))

    def closed(self) -> bool:
        """Whether the server closed the connection."""
        return self._file.read(1) == b""


@pytest.fixture
def line(base_url: str) -> Iterator[Line]:
    with connected(base_url) as found:
        yield found


@contextmanager
def connected(base_url: str) -> Iterator[Line]:
    address = urlsplit(base_url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as opened:
        yield Line(opened)


def total(client: stripe.StripeClient, customer: str) -> float:
    (meter,) = client.v1.billing.meters.list({"status": "active"}).data
    now = client.v1.billing.meter_events.create(
        {"event_name": "calls", "payload": {"stripe_customer_id": customer, "value": "0"}}
    ).timestamp
    start = now - now % 60 - 3600
    (summary,) = client.v1.billing.meters.event_summaries.list(
        meter.id, {"customer": customer, "start_time": start, "end_time": start + 7200}
    ).data
    return summary.aggregated_value


def test_a_connection_is_used_again(line: Line, customer: str) -> None:
    for _ in range(3):
        identifier = secrets.token_hex(8)
        line.send(post(body_of(customer, identifier)))
        status, headers, event = line.answer()
        assert (status, event["identifier"]) == (200, identifier)
        assert headers["request-id"].startswith("req_") and headers["content-type"] == "application/json"


def test_requests_sent_at_once_are_answered_in_order(line: Line, customer: str) -> None:
    identifiers = [secrets.token_hex(8) for _ in range(5)]
    line.send(b"".join(post(body_of(customer, each)) for each in identifiers))
    assert [line.answer()[2]["identifier"] for _ in identifiers] == identifiers


def test_a_hot_request_and_another_share_a_connection(line: Line, customer: str) -> None:
    read = f"GET /v1/customers/{customer} HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {SECRET}\r\n\r\n".encode()
    line.send(post(body_of(customer, secrets.token_hex(8))) + read + post(body_of(customer, secrets.token_hex(8))))
    assert [line.answer()[2]["object"] for _ in range(3)] == ["billing.meter_event", "customer", "billing.meter_event"]


def test_a_request_may_come_in_pieces(line: Line, customer: str) -> None:
    whole = post(body_of(customer, "in-pieces"))
    for at in range(0, len(whole), 7):
        line.send(whole[at : at + 7])
    assert line.answer()[2]["identifier"] == "in-pieces"


def test_a_chunked_body(line: Line, customer: str) -> None:
    body = body_of(customer, "chunked")
    head = post(b"", "Transfer-Encoding: chunked", length=False)
    line.send(head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
    assert line.answer()[2]["identifier"] == "chunked"


def test_a_long_body_is_read_and_refused_as_a_short_one_is(line: Line, customer: str) -> None:
    line.send(post(body_of(customer, "long", padding=70_000)))
    status, _, event = line.answer()
    assert status == 200 and len(event["payload"]["padding"]) == 70_000
    line.send(post(body_of(customer, "long", padding=70_000)))
    status, _, refused = line.answer()
    assert status == 400 and refused["error"]["message"] == "An event already exists with identifier long."


@pytest.mark.parametrize("zero", [b"%00", b"\0"])
@pytest.mark.parametrize("member", [b"calls", b"cus_", b"=zero", b"value]="])
def test_the_character_zero_is_refused_wherever_it_is(line: Line, customer: str, member: bytes, zero: bytes) -> None:
    line.send(post(body_of(customer, "zero").replace(member, member + zero, 1)))
    status, _, refused = line.answer()
    assert status == 400 and refused["error"]["message"] == "Invalid request: parameters must not contain null bytes."


def test_a_caller_that_asks_first(line: Line, customer: str) -> None:
    body = body_of(customer, "asked-first")
    line.send(post(body, "Expect: 100-continue")[: -len(body)])
    assert line.answer()[0] == 100
    line.send(body)
    assert line.answer()[2]["identifier"] == "asked-first"


@pytest.mark.parametrize(("version", "headers"), [("1.0", []), ("1.1", ["Connection: close"])])
def test_a_connection_ends_when_it_was_meant_to(line: Line, customer: str, version: str, headers: list[str]) -> None:
    line.send(post(body_of(customer, secrets.token_hex(8)), *headers, version=version))
    status, answered, _ = line.answer()
    assert (status, answered["connection"]) == (200, "close")
    assert line.closed()


def test_a_connection_is_kept_as_long_as_it_is_used_and_closed_when_it_was_quiet(dsn: str, customer: str) -> None:
    with server.serving(create_app(dsn), timeout_keep_alive=1) as url, connected(url) as line:
        for n in range(4):
            time.sleep(0.4)
            line.send(post(body_of(customer, f"kept-{n}")))
            assert line.answer()[0] == 200
        slow = post(body_of(customer, "slowly"))
        line.send(slow[:40])
        time.sleep(1.5)
        line.send(slow[40:])
        assert line.answer()[2]["identifier"] == "slowly"
        began = time.monotonic()
        assert line.closed() and time.monotonic() - began > 0.8


def test_a_connection_that_the_application_used_last_is_closed_when_it_was_quiet(dsn: str, customer: str) -> None:
    read = f"GET /v1/customers/{customer} HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {SECRET}\r\n\r\n".encode()
    with server.serving(create_app(dsn), timeout_keep_alive=1) as url, connected(url) as line:
        line.send(post(body_of(customer, secrets.token_hex(8))))
        assert line.answer()[0] == 200
        time.sleep(0.6)
        line.send(read)
        assert line.answer()[0] == 200
        began = time.monotonic()
        assert line.closed() and time.monotonic() - began > 0.8


def test_what_is_not_http_is_refused(line: Line) -> None:
    line.send(b"POST /v1/billing/meter_events NONSENSE\r\n\r\n")
    assert line.status() == 400


def test_callers_that_hang_up_count_what_they_sent_whole(
    client: stripe.StripeClient, base_url: str, customer: str
) -> None:
    before = total(client, customer)
    for n in range(10):
        with connected(base_url) as hasty:
            whole = post(body_of(customer, f"hasty-{n}"))
            hasty.send(whole if n % 2 else whole[:-5])
            if n % 2:
                hasty.answer()
    assert total(client, customer) == before + 5


def test_every_answer_is_measured(raw: httpx.Client, line: Line, customer: str) -> None:
    def count() -> float:
        name = f'meterline_http_request_seconds_count{{method="POST",route="{PATH}",status="401"}}'
        found = [text for text in raw.get("/metrics").text.splitlines() if text.startswith(name)]
        return float(found[0].split()[-1]) if found else 0.0

    before = count()
    line.send(post(body_of(customer, "x")).replace(SECRET.encode(), b"sk_test_nobody"))
    assert line.answer()[0] == 401
    assert count() == before + 1


@pytest.mark.parametrize(("padding", "way"), [(0, "at once"), (5_000, "counted")])
def test_a_long_body_is_counted_while_it_waits(dsn: str, customer: str, padding: int, way: str) -> None:
    seen = []

    async def handler(asked: Asked) -> Answer:
        seen.append("counted" if app.doorway._held else "lost")
        return Answer(200, b"{}")

    def at_once(_headers: object, _body: bytes, reply: Reply) -> bool:
        seen.append("at once")
        reply(Answer(200, b"{}"))
        return True

    app = create_app(dsn)
    hot, method, path = app.doorway.by_bytes[b"POST", PATH.encode()]
    app.doorway.by_bytes[b"POST", PATH.encode()] = (replace(hot, handler=handler, at_once=at_once), method, path)
    with server.serving(app) as url, connected(url) as line:
        line.send(post(body_of(customer, "counted", padding=padding)))
        assert line.answer()[0] == 200
    assert seen == [way]


def test_a_handler_that_breaks_is_a_500_and_the_end_of_the_connection(dsn: str) -> None:
    """Handlers answer for their own errors; should one not, its caller is told all the same."""

    async def broken(asked: Asked) -> Answer:
        raise RuntimeError("broken")

    app = create_app(dsn)
    hot, method, path = app.doorway.by_bytes[b"POST", PATH.encode()]
    app.doorway.by_bytes[b"POST", PATH.encode()] = (replace(hot, handler=broken), method, path)
    with server.serving(app) as url, connected(url) as line:
        line.send(post(b"x=1"))
        assert line.status() == 500
