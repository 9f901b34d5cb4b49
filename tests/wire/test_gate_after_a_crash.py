"""A web process killed while calls are held and captured: every id has one effect, and nothing stays aside."""

import asyncio
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from decimal import Decimal
from itertools import count

import httpx
import pytest

from meterline.cli.books import audited
from tests.wire.conftest import SECRET
from tests.wire.test_books_after_a_crash import started, violated

KILLS = 3
CALLERS = 4
WHOLE = 8
"""Calls that are done, at least, between two kills."""


class Caller:
    """Runs one call after another: holds a dollar, captures sixty cents, sends again what was not answered."""

    def __init__(self, url: Callable[[], str], customer: str, name: str) -> None:
        self.url = url
        self.customer = customer
        self.name = name
        self.captured: list[str] = []
        self.going = threading.Event()
        self.going.set()

    def run(self) -> None:
        with httpx.Client(headers={"X-CREDYT-API-KEY": SECRET}, timeout=10) as client:
            for n in count():
                id = f"{self.name}_{n}"
                hold = {"customer_id": self.customer, "id": id, "asset": "USD", "amount": 1}
                taken = {"customer_id": self.customer, "id": id, "amount": "0.6"}
                if not (self._sent(client, "/gate/authorize", hold) and self._sent(client, "/gate/capture", taken)):
                    return
                self.captured.append(id)
                if not self.going.is_set():
                    return

    def _sent(self, client: httpx.Client, path: str, body: Mapping[str, object]) -> bool:
        """Send until it is answered."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with suppress(httpx.TransportError):
                answered = client.post(f"{self.url()}{path}", json=body)
                if answered.status_code < 500:
                    assert answered.is_success, answered.text
                    return True
            time.sleep(0.02)
        return False


@pytest.mark.slow
def test_holds_and_captures_have_one_effect_over_kills(dsn: str, add_key: Callable[..., str]) -> None:
    add_key(SECRET)
    with socket.create_server(("127.0.0.1", 0)) as free:
        free_port = free.getsockname()[1]
    url = f"http://127.0.0.1:{free_port}"
    process = started(dsn, free_port)
    with httpx.Client(base_url=url, headers={"X-CREDYT-API-KEY": SECRET}, timeout=60) as client:
        customer = client.post("/customers", json={"name": "Jane"}).json()["id"]
        top_up = {"asset": "USD", "amount": 10_000, "reason": "external_topup", "transaction_id": "money"}
        assert client.post(f"/customers/{customer}/wallet/adjustments", json=top_up).status_code == 201
    callers = [Caller(lambda: url, customer, f"caller_{n}") for n in range(CALLERS)]
    threads = [threading.Thread(target=each.run) for each in callers]
    for thread in threads:
        thread.start()
    try:
        for _ in range(KILLS):
            before = sum(len(each.captured) for each in callers)
            while sum(len(each.captured) for each in callers) < before + WHOLE and any(t.is_alive() for t in threads):
                time.sleep(0.005)
            process.send_signal(signal.SIGKILL)
            process.wait()
            process = started(dsn, free_port)
    finally:
        for each in callers:
            each.going.clear()
        for thread in threads:
            thread.join()
    with httpx.Client(base_url=url, headers={"X-CREDYT-API-KEY": SECRET}, timeout=60) as client:
        pocket = client.get(f"/customers/{customer}/wallet/default:USD").json()
        calls = sum(len(each.captured) for each in callers)
        assert calls >= KILLS * WHOLE
        assert Decimal(str(pocket["available"])) == 10_000 - calls * Decimal("0.6")
        assert (pocket["held"], pocket["debt"], pocket["lent"]) == (0, 0, 0)
        assert client.get(f"/customers/{customer}/holds").json()["items"] == []
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert asyncio.run(violated(dsn)) == {}
    assert asyncio.run(audited(dsn))[1] == []
