"""A running server per test module, and Stripe's own SDK to talk to it.

`client` is the official `stripe.StripeClient` with a secret key of the test environment; `raw` is plain HTTP
with the same key, for what the SDK would never send. `add_key` makes further keys.
"""

import asyncio
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

import httpx
import pytest
import stripe

from meterline.gateway.stripe_processor import StripeProcessor
from meterline.store import api_key
from meterline.store.database import Database
from meterline.usecase.ask_processor import PROCESSORS
from tests.wire import live as live_mode
from tests.wire import server

SECRET = "sk_test_meterlineWireTests0000000000"

# On a machine without Node.js the npm SDK cannot be run; continuous integration has to have it.
collect_ignore = [] if os.environ.get("CI") or shutil.which("node") else ["test_node.py"]


@pytest.fixture(scope="module")
def base_url(dsn: str, add_key: Callable[..., str]) -> Iterator[str]:
    """Where a server on the module's database listens."""
    add_key(SECRET)
    with server.running(dsn) as url:
        yield url


@pytest.fixture(scope="module")
def client(base_url: str) -> stripe.StripeClient:
    """The official SDK; it does not retry, so that a test sees every answer."""
    return stripe_client(base_url, SECRET)


@pytest.fixture(scope="module")
def raw(base_url: str) -> Iterator[httpx.Client]:
    """Plain HTTP with the same key."""
    with httpx.Client(base_url=base_url, headers={"authorization": f"Bearer {SECRET}"}, timeout=60) as opened:
        yield opened


@pytest.fixture(scope="module")
def add_key(dsn: str) -> Callable[..., str]:
    """Makes a key: `add_key("rk_test_…", kind="restricted", permissions={"prices": "read"})`."""

    def add(
        secret: str,
        *,
        environment: str = "test",
        kind: str = "secret",
        permissions: Mapping[str, str] | None = None,
    ) -> str:
        asyncio.run(_add_key(dsn, secret, environment, kind, dict(permissions or {})))
        return secret

    return add


@pytest.fixture(scope="module")
def processor(client: stripe.StripeClient) -> Iterator[StripeProcessor]:
    """Live mode's processor: Stripe's, whose upstream is the test environment."""
    connected = StripeProcessor(client, webhook_secret=live_mode.WEBHOOK_SECRET)
    PROCESSORS["stripe"] = connected
    yield connected
    del PROCESSORS["stripe"]


@pytest.fixture(scope="module")
def live(processor: StripeProcessor, base_url: str, add_key: Callable[..., str]) -> stripe.StripeClient:
    """The official SDK with a secret key of live mode, which has a processor."""
    return stripe_client(base_url, add_key(live_mode.SECRET, environment="live"))


@pytest.fixture(scope="module")
def ids(client: stripe.StripeClient, raw: httpx.Client) -> list[str]:
    """Ids of one object of every kind, in a world where something goes on."""
    clock = client.v1.test_helpers.test_clocks.create({"frozen_time": 1_700_000_000})
    meter = client.v1.billing.meters.create(
        {"display_name": "Tokens", "event_name": "tokens", "default_aggregation": {"formula": "sum"}}
    )
    product = client.v1.products.create({"name": "Tokens"})
    flat = client.v1.prices.create(
        {"currency": "usd", "unit_amount": 500, "product": product.id, "recurring": {"interval": "month"}}
    )
    metered = client.v1.prices.create(
        {
            "currency": "usd",
            "unit_amount": 4,
            "product": product.id,
            "recurring": {"interval": "month", "usage_type": "metered", "meter": meter.id},
        }
    )
    once = client.v1.prices.create({"currency": "usd", "unit_amount": 100, "product": product.id})
    customers = [
        client.v1.customers.create(
            {
                "email": "fuzz@example.com",
                "payment_method": "pm_card_visa",
                "invoice_settings": {"default_payment_method": "pm_card_visa"},
                **({"test_clock": clock.id} if on_clock else {}),
            }
        )
        for on_clock in (True, False)
    ]
    found = [clock.id, meter.id, product.id, flat.id, metered.id, once.id, *usage_ids(client, raw)]
    owed = client.v1.invoices.create({"customer": customers[1].id})
    client.v1.invoice_items.create({"customer": customers[1].id, "invoice": owed.id, "currency": "usd", "amount": 9000})
    client.v1.invoices.finalize_invoice(owed.id)
    found += [str(owed.id), client.v1.credit_notes.create({"invoice": str(owed.id), "amount": 500}).id]
    for customer in customers:
        subscription = client.v1.subscriptions.create(
            {"customer": customer.id, "items": [{"price": flat.id}, {"price": metered.id}]}
        )
        item = client.v1.invoice_items.create({"customer": customer.id, "currency": "usd", "amount": 700})
        draft = client.v1.invoices.create({"customer": customer.id})
        settings_of = customer.invoice_settings
        assert settings_of is not None
        found += [
            customer.id,
            subscription.id,
            *(each.id for each in subscription["items"].data),
            str(subscription.latest_invoice),
            item.id,
            str(draft.id),
            str(settings_of.default_payment_method),
        ]
    return found


def usage_ids(client: stripe.StripeClient, raw: httpx.Client) -> list[str]:
    """The identifier of a usage event, and the ids of an open backfill and a correction."""
    customer = client.v1.customers.create({"email": "usage@example.com"}).id
    for identifier in ("usage_event_1", "usage_event_2"):
        payload = {"stripe_customer_id": customer, "value": "7"}
        client.v1.billing.meter_events.create({"event_name": "tokens", "identifier": identifier, "payload": payload})
    now = int(time.time())
    about = {"customer": customer, "event_name": "tokens", "reason": "outage"}
    opened = raw.post("/ingest/backfills", data={**about, "start": now - 3600, "end": now}).json()["id"]
    replaced = raw.post("/ingest/events/usage_event_2/replace", data={"value": "8", "reason": "x"}).json()["id"]
    return ["usage_event_1", opened, replaced]


def stripe_client(base_url: str, secret: str, *, version: str | None = None) -> stripe.StripeClient:
    """The official SDK on a server of ours, speaking `version` or its own."""
    return stripe.StripeClient(
        secret,
        base_addresses={"api": base_url, "meter_events": base_url},
        max_network_retries=0,
        stripe_version=version,
    )


async def _add_key(dsn: str, secret: str, environment: str, kind: str, permissions: dict[str, str]) -> None:
    database = Database(dsn)
    async with database.begin() as tx:
        await api_key.add(
            tx, environment=environment, secret=secret, kind=kind, permissions=permissions, now=datetime.now(UTC)
        )
    await database.close()
