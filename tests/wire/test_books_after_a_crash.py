"""A web process killed in the middle of business leaves each piece of it whole or not there at all."""

import asyncio
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

import httpx
import stripe

from meterline.cli.books import audited
from meterline.store import invariant
from meterline.store.database import Database
from tests.wire.billing import customer_with, draft_of
from tests.wire.conftest import SECRET, stripe_client

KILLS = 3
CALLERS = 4
WHOLE = 6


def started(dsn: str, port: int) -> "subprocess.Popen[bytes]":
    """A web process that answers."""
    process = subprocess.Popen([sys.executable, "-m", "tests.ingest.web", dsn, str(port)])
    for _ in range(600):
        with suppress(httpx.TransportError):
            if httpx.get(f"http://127.0.0.1:{port}/healthz").status_code < 500:
                return process
        assert process.poll() is None, "the process did not start"
        time.sleep(0.05)
    raise AssertionError("the process does not answer")


def bill_and_pay(client: stripe.StripeClient, done: list[str]) -> None:
    """Make invoices and pay them, until nobody answers."""
    with suppress(stripe.StripeError):
        customer = customer_with(client)
        while True:
            done.append(client.v1.invoices.pay(draft_of(client, customer, 1234).id).id)


async def violated(dsn: str) -> dict[str, object]:
    database = Database(dsn)
    async with database.begin() as tx:
        found = [await invariant.check(tx, "test", each, now=datetime.now(UTC)) for each in invariant.INVARIANTS]
    await database.close()
    return {each.invariant.name: each.rows for each in found if each.violations}


def test_books_and_business_are_both_there_or_neither(dsn: str, add_key: Callable[..., str]) -> None:
    add_key(SECRET)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    done: list[str] = []
    for _ in range(KILLS):
        process = started(dsn, port)
        before = len(done)
        client = stripe_client(f"http://127.0.0.1:{port}", SECRET)
        callers = [threading.Thread(target=bill_and_pay, args=(client, done)) for _ in range(CALLERS)]
        for caller in callers:
            caller.start()
        while len(done) < before + WHOLE and any(caller.is_alive() for caller in callers):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        for caller in callers:
            caller.join()
        assert len(done) >= before + WHOLE
    assert asyncio.run(violated(dsn)) == {}
    assert asyncio.run(audited(dsn))[1] == []
