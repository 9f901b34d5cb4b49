"""A running server per test module, and Stripe's own SDK to talk to it.

`client` is the official `stripe.StripeClient` with a secret key of the test environment; `raw` is plain HTTP
with the same key, for what the SDK would never send. `add_key` makes further keys.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

import httpx
import pytest
import stripe

from meterline.store import api_key
from meterline.store.database import Database
from tests.wire import server

SECRET = "sk_test_meterlineWireTests0000000000"


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
