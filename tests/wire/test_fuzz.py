"""No request, however wrong, makes the server answer 500; and every refusal is in Stripe's envelope."""

from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meterline.api.stripe.route import Route
from meterline.app import RESOURCES
from tests.wire import fuzz

ROUTES = sorted((route for routes in RESOURCES for route in routes.all), key=fuzz.destructive)
TYPES = {"api_error", "card_error", "idempotency_error", "invalid_request_error"}


def send(raw: httpx.Client, route: Route, path: str, params: dict[str, Any]) -> httpx.Response:
    if route.method != "POST":
        return raw.request(route.method, path, params=dict(fuzz._pairs(params, "")))
    if route.path.startswith("/v2"):
        return raw.post(path, content=fuzz.json(params), headers={"content-type": "application/json"})
    headers = {"content-type": "application/x-www-form-urlencoded"}
    return raw.post(path, content=fuzz.form(params), headers=headers)


def assert_answered(answer: httpx.Response) -> None:
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        assert answer.json()["error"]["message"]


def attack(raw: httpx.Client, ids: list[str], route: Route, data: st.DataObject) -> None:
    world = fuzz.world(route, ids)
    path = data.draw(fuzz.paths(route, world), label="path")
    params = data.draw(fuzz.parameters(route, world), label="parameters")
    assert_answered(send(raw, route, path, params))


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
@settings(
    max_examples=12,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_no_route_falls_over(raw: httpx.Client, ids: list[str], route: Route, data: st.DataObject) -> None:
    attack(raw, ids, route, data)


@pytest.mark.slow
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
@settings(
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_no_route_falls_over_in_the_long_run(
    raw: httpx.Client, ids: list[str], route: Route, data: st.DataObject
) -> None:
    attack(raw, ids, route, data)
