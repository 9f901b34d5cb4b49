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
from urllib.parse import parse_qsl, urlsplit

import httpx
import stripe

from meterline.cli.books import audited
from meterline.store import invariant
from meterline.store.database import Database
from tests.wire.billing import customer_with, draft_of
from tests.wire.conftest import SECRET, stripe_client

KILLS = 3
CALLERS = 4
WHOLE = 4


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


def bill_and_pay(client: stripe.StripeClient, url: str, done: list[str]) -> None:
    """Make invoices and pay them, give parts back, take payments and top wallets up, until nobody answers."""
    wallet = httpx.Client(base_url=url, headers={"X-CREDYT-API-KEY": SECRET}, timeout=60)
    with suppress(stripe.StripeError, httpx.TransportError), wallet:
        customer = customer_with(client)
        owner = wallet.post("/customers", json={"name": "Jane"}).json()["id"]
        while True:
            done.append(client.v1.invoices.pay(draft_of(client, customer, 1234).id).id)
            taken = client.v1.payment_intents.create(
                {"amount": 900, "currency": "usd", "customer": customer.id, "payment_method": "pm_card_visa",
                 "confirm": True}
            )  # fmt: skip
            client.v1.refunds.create({"payment_intent": taken.id, "amount": 300})
            top_up = wallet.post("/top-ups", json={"customer_id": owner, "amount": 10}).json()
            wallet.post(urlsplit(top_up["redirect_url"]).path, params=query(top_up), data={"card": "pm_card_visa"})
            wallet.post(f"/customers/{owner}/wallet/refunds", json={"asset": "USD", "amount": 4})


def query(top_up: dict[str, str]) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(top_up["redirect_url"]).query))


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
        url = f"http://127.0.0.1:{port}"
        client = stripe_client(url, SECRET)
        callers = [threading.Thread(target=bill_and_pay, args=(client, url, done)) for _ in range(CALLERS)]
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
