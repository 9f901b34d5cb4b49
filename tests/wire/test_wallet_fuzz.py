"""No request to the wallet dialect, however wrong, is answered 500; every refusal is a problem that says why."""

import re
import types
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from urllib.parse import quote
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from meterline.api.wallet.resources import RESOURCES
from meterline.api.wallet.route import Route
from tests.wire.conftest import SECRET

ROUTES = sorted((route for routes in RESOURCES for route in routes.all), key=lambda route: route.method == "DELETE")

HOSTILE: list[Any] = [
    None, True, False, 0, -1, 1, 10**30, -(10**30), 2**31, 2**63, 1.5, -0.5, 1e-13, 1e300, [], {}, [None], [[[]]],
    {"a": {"b": [{}]}}, "", " ", "0", "-1", "1e400", "NaN", "Infinity", "null", "true", "USD", "usd", "default",
    "default:USD", "USD:default", "*", "'; drop table wallet; --", "\x00", "a\x00b", "\n", "é漢😀", "\u202e", "a" * 300,
    "a" * 6000, "9" * 60, "0.0000000000001", "99999999999999999999.999999999999", "2026-02-30", "2026-01-01",
    "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "9999-12-31", "2026-01-01T00:00:00", "P3M", "%00", "../..",
]  # fmt: skip

PLAUSIBLE: dict[str, list[Any]] = {
    "asset": ["USD", "FUZZ", "JPY"],
    "source": ["USD", "JPY"],
    "currency": ["USD", "usd", "JPY"],
    "code": ["fuzz", "FUZZ"],
    "key": ["fuzz"],
    "version": ["1", "2", "default"],
    "account": ["default:USD", "default:FUZZ"],
    "topic": ["wallet.low", "subscription.activated"],
    "topics": ["*", "wallet.low"],
    "url": ["http://127.0.0.1:9/hook"],
    "event_type": ["fuzz_unit", "fuzz_volume"],
    "customer_external_id": ["fuzz_customer"],
    "external_id": ["fuzz_customer", "fuzz_other"],
    "volume_field": ["tokens"],
    "model": ["gpt-x"],
    "budget": ["fuzz_budget"],
    "spender": ["fuzz_spender"],
    "subject": ["fuzz_subject"],
}

PRODUCT = {
    "name": "Fuzz",
    "code": "fuzz",
    "publish": True,
    "prices": [
        {
            "name": "Units",
            "usage_calculation": {"event_type": "fuzz_unit"},
            "pricing": [
                {"asset": "FUZZ", "values": [{"unit_price": 1}]},
                {"asset": "USD", "values": [{"unit_price": 2}]},
            ],
        },
        {
            "name": "Tokens",
            "usage_calculation": {
                "event_type": "fuzz_volume",
                "usage_type": "volume",
                "volume_field": "tokens",
                "billable_dimensions": ["model"],
            },
            "pricing": [{"asset": "USD", "values": [{"dimensions": {"model": "*"}, "volume_rate": "0.01"}]}],
        },
    ],
}


@pytest.fixture(scope="module")
def credyt(base_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=base_url, headers={"X-CREDYT-API-KEY": SECRET}, timeout=60) as opened:
        yield opened


@pytest.fixture(scope="module")
def named(credyt: httpx.Client) -> dict[str, list[str]]:
    """Ids of one object of every kind, by the names that paths and parameters give them."""
    assert credyt.post("/assets", json={"code": "FUZZ", "name": "Fuzz", "rates": [{"rate": "0.5"}]}).status_code == 201
    product = credyt.post("/products", json=PRODUCT).json()
    asked = {"name": "Fuzz", "external_id": "fuzz_customer", "subscriptions": [{"products": [{"code": "fuzz"}]}]}
    customer = credyt.post("/customers", json=asked).json()
    gift = {"transaction_id": "fuzz_gift", "asset": "USD", "amount": 1000}
    credyt.post(f"/customers/{customer['id']}/wallet/adjustments", json=gift)
    event = {"id": "fuzz_event", "event_type": "fuzz_unit", "subject": "fuzz_subject"}
    credyt.post("/events", json={"customer_id": customer["id"], "events": [event]})
    hold = {"customer_id": customer["id"], "id": "fuzz_hold", "asset": "USD", "amount": 5}
    credyt.post("/gate/authorize", json=hold)
    top_up = credyt.post("/top-ups", json={"customer_id": customer["id"], "amount": 5}).json()
    vendor = credyt.post("/vendors", json={"name": "Fuzz", "external_id": "fuzz_vendor"}).json()
    webhook = credyt.post("/webhooks", json={"url": "http://127.0.0.1:9/hook"}).json()
    made = {
        "customer": customer["id"],
        "customer_id": customer["id"],
        "product": product["id"],
        "subscription": customer["subscriptions"][0]["id"],
        "transaction": "fuzz_gift",
        "event": "fuzz_event",
        "event_id": "fuzz_event",
        "hold": "fuzz_hold",
        "top_up": top_up["id"],
        "vendor": vendor["id"],
        "vendor_id": vendor["id"],
        "webhook": webhook["id"],
        "destination_id": webhook["id"],
        "task": f"{customer['id']}:fuzz_subject",
        "price": product["prices"][0]["id"],
    }
    return {name: [id] for name, id in made.items()}


@st.composite
def value(draw: st.DrawFn, hint: Any, name: str, named: Mapping[str, list[str]]) -> Any:
    """Mostly what the type asks for, so that requests get past validation; at times what servers fall over."""
    if draw(st.integers(0, 11)) == 7:
        return draw(st.sampled_from(HOSTILE))
    return draw(fitting(hint, name, named))


def fitting(hint: Any, name: str, named: Mapping[str, list[str]]) -> st.SearchStrategy[Any]:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return fitting(args[0], name, named)
    if origin in (Union, types.UnionType):
        return st.one_of([fitting(each, name, named) for each in args])
    if origin is Literal:
        return st.sampled_from(args)
    if origin is list:
        return st.lists(value(args[0], name, named), min_size=1, max_size=2)
    if origin is dict:
        keys = st.sampled_from(["model", "tokens", "fuzz", "é", "x" * 41])
        return st.dictionaries(keys, st.sampled_from([*HOSTILE, "gpt-x", 7, 2.5]), max_size=3)
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return parameters(hint, named)
    return st.sampled_from(_simple(hint, name, named))


def _simple(hint: Any, name: str, named: Mapping[str, list[str]]) -> list[Any]:
    if hint is bool:
        return [True, False]
    if hint is Decimal:
        return [0, 1, 0.04, "12.5", 999999999999, "0.000000000001"]
    if hint is datetime:
        return ["2026-01-01T00:00:00Z", "2026-11-28T09:00:00Z", "2031-01-01T00:00:00+02:00", "2026-11-01"]
    if hint is int:
        return [0, 1, 3, 100]
    if hint is UUID:
        return [str(uuid4())]
    if hint is type(None):
        return [None]
    return named.get(name) or PLAUSIBLE.get(name) or ["fuzz", str(uuid4())]


@st.composite
def parameters(draw: st.DrawFn, model: type[BaseModel], named: Mapping[str, list[str]]) -> dict[str, Any]:
    fields = model.model_fields
    required = [name for name, field in fields.items() if field.is_required()]
    optional = [name for name in fields if name not in required]
    some = draw(st.lists(st.sampled_from(optional), max_size=5, unique=True)) if optional else []
    chosen = [*required, *some]
    if chosen and draw(st.integers(0, 15)) == 7:
        chosen.remove(draw(st.sampled_from(chosen)))
    made = {name: draw(value(fields[name].annotation, name, named)) for name in chosen}
    return made | ({"surprise": 1} if draw(st.integers(0, 30)) == 7 else {})


@st.composite
def paths(draw: st.DrawFn, route: Route, named: Mapping[str, list[str]]) -> str:
    path = route.path
    for name in re.findall(r"{(\w+)}", path):
        wrong = draw(st.integers(0, 7)) == 5
        text = draw(st.sampled_from([each for each in HOSTILE if isinstance(each, str) and each]))
        right = draw(st.sampled_from(named.get(name) or PLAUSIBLE.get(name) or ["fuzz"]))
        path = path.replace(f"{{{name}}}", quote(text if wrong else right, safe=""), 1)
    return path


def send(credyt: httpx.Client, route: Route, path: str, params: Mapping[str, Any]) -> httpx.Response:
    if route.method in ("GET", "DELETE"):
        query = {name: str(each).lower() if isinstance(each, bool) else str(each) for name, each in params.items()}
        return credyt.request(route.method, path, params=query)
    body = msgspec.json.encode(dict(params))
    return credyt.request(route.method, path, content=body, headers={"content-type": "application/json"})


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
@settings(
    max_examples=10,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_no_route_falls_over(
    credyt: httpx.Client, named: dict[str, list[str]], route: Route, data: st.DataObject
) -> None:
    path = data.draw(paths(route, named), label="path")
    params = data.draw(parameters(route.params, named), label="parameters")
    answer = send(credyt, route, path, params)
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        problem = answer.json()
        told = problem.get("detail") or problem["error"]["message"]
        assert told
        assert answer.headers["content-type"].startswith("application/") and problem.get("status", answer.status_code)


BODIES = [b"", b"[]", b"1", b'"x"', b"null", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a": NaN}', b'{"events": 1e400}']


@pytest.mark.parametrize("body", BODIES, ids=lambda body: repr(body[:12]))
@pytest.mark.parametrize("path", ["/products", "/events", "/customers", "/gate/check", "/webhooks"])
def test_a_body_that_is_no_object_is_refused(credyt: httpx.Client, path: str, body: bytes) -> None:
    answer = credyt.post(path, content=body)
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == 400
