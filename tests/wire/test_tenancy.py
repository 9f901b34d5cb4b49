"""A key reaches nothing of another environment: whatever it asks of whichever route, nothing is read or touched."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import asyncpg
import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meterline.api.stripe.route import Route
from meterline.app import RESOURCES
from tests.wire import fuzz
from tests.wire.test_fuzz import send

STRANGER = "sk_test_meterlineOfAnotherEnvironment00"
ROUTES = sorted((route for routes in RESOURCES for route in routes.all), key=fuzz.destructive)
UNTENANTED = {"idempotency_key"}


@pytest.fixture(scope="module")
def stranger(base_url: str, add_key: Callable[..., str]) -> Iterator[httpx.Client]:
    """Plain HTTP with the key of another environment."""
    secret = add_key(STRANGER, environment="elsewhere")
    with httpx.Client(base_url=base_url, headers={"authorization": f"Bearer {secret}"}, timeout=60) as opened:
        yield opened


async def _rows(dsn: str) -> dict[str, str]:
    connection = await asyncpg.connect(dsn)
    try:
        tables = await connection.fetch(
            "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
            " WHERE a.attname = 'environment' AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
            " AND c.relnamespace = 'public'::regnamespace"
        )
        return {
            name: str(
                await connection.fetchval(
                    f"SELECT md5(string_agg(t::text, '' ORDER BY t::text)) FROM {name} t WHERE environment = 'test'"
                )
            )
            for (name,) in tables
            if name not in UNTENANTED
        }
    finally:
        await connection.close()


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
@settings(
    max_examples=3,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_no_route_crosses_environments(
    stranger: httpx.Client, ids: list[str], dsn: str, route: Route, data: st.DataObject
) -> None:
    before = asyncio.run(_rows(dsn))
    world = fuzz.world(route, ids)
    path = data.draw(fuzz.paths(route, world), label="path")
    params: dict[str, Any] = data.draw(fuzz.parameters(route, world), label="parameters")
    answer = send(stranger, route, path, params)
    assert answer.status_code < 500, answer.text
    named = [id for id in ids if id in path.split("/")]
    assert not named or answer.status_code >= 400, answer.text
    assert asyncio.run(_rows(dsn)) == before
