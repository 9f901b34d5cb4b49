"""Requests nobody would write: for every route, parameters of the right names with values of every kind.

Half of the values are what the parameter's type asks for, so that requests get past validation and into the
handlers; the rest is what servers fall over.
"""

import re
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from urllib.parse import quote_plus

import msgspec
from hypothesis import strategies as st
from pydantic import BaseModel

from meterline.api.stripe.route import Route

HOSTILE = [
    "", " ", "0", "1", "2", "-1", "00", "+1", "1.5", "-0.5", "1e400", "NaN", "Infinity", "-Infinity", "null", "true",
    "false", "inf", "now", "none", "usd", "JPY", "xxx", "[]", "{}", "'; drop table price; --", "%00", "%", "\x01", "\n",
    "é漢😀", "\u202e", "a" * 300, "a" * 6000, "9" * 30, "9" * 5000, "2147483648", "999999999999",
    "9223372036854775807", "-9223372036854775808", "9223372036854775808", "0.000000000001", "0.0000000000001",
    "99999999999999999999.999999999999", "1700000000", "4102444800", "253402300799", "253402300800", "2023-11-01",
    "2023-11-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "2023-02-30T00:00:00Z",
]  # fmt: skip

ALSO_IN_JSON: list[Any] = [None, True, 0, -1, 10**30, 1.5, [], {}, [None], {"a": {"b": []}}, [[[]]], "\ud7ff", "a\0b"]


@dataclass(frozen=True)
class World:
    """Ids of objects that exist, and what else values are drawn from."""

    ids: Sequence[str]
    hostile: st.SearchStrategy[Any]

    def named(self, name: str) -> Sequence[str]:
        """Values that a parameter, or a part of a path, of that name may well have."""
        prefix = PREFIXES.get(name)
        found = [] if prefix is None else [id for id in self.ids if id.startswith(prefix)]
        return found or PLAUSIBLE.get(name) or ["tokens"]


def destructive(route: Route) -> bool:
    """Whether a route ends the life of what it is about; such routes are attacked last."""
    last = route.path.rsplit("/", 1)[-1]
    ending = {"archive", "close", "deactivate", "detach", "disable", "mark_uncollectible", "void", "advance"}
    return route.method == "DELETE" or last in ending


def world(route: Route, ids: Sequence[str]) -> World:
    """What requests to a route are made of."""
    more = ALSO_IN_JSON if route.path.startswith("/v2") else []
    return World(ids=ids, hostile=st.sampled_from([*HOSTILE, *ids, *more]))


def paths(route: Route, world: World) -> st.SearchStrategy[str]:
    """The URL of a route about something that exists, mostly; and mostly of the right kind."""
    noun = next((part for part in reversed(route.path.split("/")) if part in PREFIXES), "")
    names = re.findall(r"{(\w+)}", route.path)
    right = [st.sampled_from(world.named(noun if name in ("id", "item") else name)) for name in names]
    chosen = [st.one_of(each, each, each, st.sampled_from(world.ids)) for each in right]
    return st.tuples(*chosen).map(lambda drawn: _filled(route.path, drawn))


def _filled(path: str, ids: Sequence[str]) -> str:
    for id in ids:
        path = re.sub(r"{\w+}", id, path, count=1)
    return path


def parameters(route: Route, world: World) -> st.SearchStrategy[Any]:
    """Nested parameters for a route."""
    return _hash(route.params, world, usual=USUAL.get(route.path, ()))


@st.composite
def _hash(draw: st.DrawFn, model: type[BaseModel], world: World, usual: Sequence[str] = ()) -> dict[str, Any]:
    fields = {field.alias or name: field for name, field in model.model_fields.items() if name != "expand"}
    required = [name for name, field in fields.items() if field.is_required() or name in usual]
    optional = [name for name in fields if name not in required]
    some = draw(st.lists(st.sampled_from(optional), max_size=4, unique=True)) if optional else []
    chosen = [*required, *some]
    if chosen and _rarely(draw):
        chosen.remove(draw(st.sampled_from(chosen)))
    return {name: draw(_value(fields[name].annotation, world, name)) for name in chosen}


@st.composite
def _value(draw: st.DrawFn, hint: Any, world: World, name: str) -> Any:
    return draw(world.hostile if _rarely(draw) else _fitting(hint, world, name))


def _rarely(draw: st.DrawFn) -> bool:
    return draw(st.integers(0, 11)) == 7


def _fitting(hint: Any, world: World, name: str) -> st.SearchStrategy[Any]:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _fitting(args[0], world, name)
    if origin in (Union, types.UnionType):
        some = [each for each in args if each is not type(None)]
        return st.one_of([_fitting(each, world, name) for each in some]) if some else world.hostile
    if origin is Literal:
        return st.sampled_from(args)
    if origin is list:
        return st.lists(_value(args[0], world, name.removesuffix("s")), min_size=1, max_size=2)
    if origin is dict:
        keys = st.sampled_from(["usd", "eur", "value", "stripe_customer_id", "a b", "é", "x" * 41])
        return st.dictionaries(keys, _value(args[1], world, name), max_size=3)
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return _hash(hint, world, usual=("price",) if name == "item" else ())
    if hint is bool:
        return st.sampled_from(["true", "false"])
    if hint is Decimal:
        return st.sampled_from(["0", "1", "0.04", "12.5", "999999999999"])
    if hint is datetime:
        return st.sampled_from(["1700000000", "1700000060", "1702000000", "1800000000", "1900000000", "253402300799"])
    if hint in (int, float):
        return st.sampled_from(["0", "1", "3", "10", "100", "999999999999"])
    if hint is type(None):
        return st.just("")
    return st.sampled_from(world.named(name))


PREFIXES = {
    "credit_note": "cn_", "credit_notes": "cn_",
    "alerts": "alrt_", "clock": "clock_", "customer": "cus_", "customers": "cus_", "invoice": "in_", "invoices": "in_",
    "invoiceitem": "ii_", "invoiceitems": "ii_", "invoice_item": "ii_", "meter": "mtr_", "meters": "mtr_",
    "payment_methods": "pm_", "price": "price_", "prices": "price_", "product": "prod_", "products": "prod_",
    "default_price": "price_", "subscription": "sub_", "subscriptions": "sub_", "subscription_items": "si_",
    "subscription_item": "si_", "test_clock": "clock_", "test_clocks": "clock_", "webhook_endpoints": "we_",
    "backfills": "ucor_", "corrections": "ucor_", "webhook_endpoint": "we_",
    "event_destinations": "ed_", "events": "evt_", "starting_after": "", "id": "si_",
}  # fmt: skip

USUAL = {
    "/v1/credit_notes": ("amount",),
    "/v1/credit_notes/preview": ("amount",),
    "/v1/invoiceitems": ("amount", "currency", "customer"),
    "/v1/invoices": ("customer",),
    "/v1/invoices/create_preview": ("subscription",),
    "/v1/prices": ("product", "unit_amount"),
    "/v1/subscription_items": ("price",),
    "/v1/subscriptions": ("customer", "items"),
}
"""What a call needs besides what is required of every call."""

PLAUSIBLE = {
    "currency": ["usd", "usd", "jpy", "kwd", "eur"],
    "currency_options": ["usd"],
    "enabled_event": ["*", "invoice.paid", "v1.billing.meter.error_report_triggered"],
    "email": ["a@example.com"],
    "event_name": ["tokens"],
    "payment_method": ["pm_card_visa", "pm_card_visa_chargeDeclined"],
    "default_payment_method": ["pm_card_visa"],
    "name": ["Name", "é漢😀"],
    "query": ["created>0", "metadata['a']:'b'", "status:'active'"],
    "url": ["http://127.0.0.1:9/hook", "https://example.com/hook"],
}


def form(nested: Mapping[str, Any]) -> bytes:
    """The bracketed form body of nested parameters."""
    return b"&".join(f"{quote_plus(name)}={quote_plus(value)}".encode() for name, value in _pairs(nested, ""))


def _pairs(node: Any, at: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, Mapping):
        for key, member in node.items():
            yield from _pairs(member, f"{at}[{key}]" if at else str(key))
    elif isinstance(node, list):
        for index, member in enumerate(node):
            yield from _pairs(member, f"{at}[{index}]")
    else:
        yield at, str(node)


def json(nested: Mapping[str, Any]) -> bytes:
    """The JSON body of nested parameters."""
    return msgspec.json.encode(nested)
