"""Every object that can be read is what the typed SDK declares, wherever it is read."""

import re

import httpx
import pytest

from meterline.api.stripe.route import Route
from meterline.app import RESOURCES
from tests.wire import fuzz
from tests.wire.typed import assert_typed

READS = [
    route for routes in RESOURCES for route in routes.all if route.method == "GET" and route.path.startswith("/v1/")
]
LISTS = [route for route in READS if "{" not in route.path and "search" not in route.path]
ONES = [route for route in READS if route.path.endswith("}")]

NEEDED = {
    "/v1/subscription_items": ("subscription", "sub_"),
    "/v1/billing/credit_balance_summary": ("customer", "cus_"),
    "/v1/billing/credit_balance_transactions": ("customer", "cus_"),
    "/v1/credit_notes/preview": ("invoice", "in_"),
    "/v1/credit_notes/preview/lines": ("invoice", "in_"),
}
"""What a list cannot be asked without."""


def path_of(route: Route) -> str:
    return route.path


@pytest.mark.parametrize("route", LISTS, ids=path_of)
def test_lists(raw: httpx.Client, ids: list[str], route: Route) -> None:
    params = {"limit": "100"} if "limit" in route.params.model_fields else {}
    if route.path in NEEDED:
        name, prefix = NEEDED[route.path]
        params[name] = next(id for id in ids if id.startswith(prefix))
    if route.path == "/v1/billing/credit_balance_summary":
        params |= {"filter[type]": "applicability_scope", "filter[applicability_scope][price_type]": "metered"}
    if route.path.startswith("/v1/credit_notes/preview"):
        params["amount"] = "1"
    answer = raw.get(route.path, params=params)

    assert answer.status_code == 200, answer.text
    assert_typed(answer.json())


@pytest.mark.parametrize("route", ONES, ids=path_of)
def test_one_by_one(raw: httpx.Client, ids: list[str], route: Route) -> None:
    """Only what the world has: a route whose kind it has nothing of is not walked here."""
    noun = route.path.split("/{")[0].rsplit("/", 1)[-1]
    known = [id for id in ids if noun in fuzz.PREFIXES and id.startswith(fuzz.PREFIXES[noun])]
    if route.path.count("{") == 1:
        for id in known:
            answer = raw.get(re.sub(r"{\w+}", id, route.path))
            assert answer.status_code == 200, answer.text
            assert_typed(answer.json())


def test_the_world_holds_the_main_kinds(ids: list[str]) -> None:
    kinds = {id.partition("_")[0] for id in ids}
    assert {"cus", "prod", "price", "sub", "si", "in", "ii", "pm", "clock", "mtr"} <= kinds
