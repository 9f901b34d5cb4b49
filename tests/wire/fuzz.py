"""Requests nobody would write: for every route, parameters of the right names with values of every kind.

Half of the values are what the parameter's type asks for, so that requests get past validation and into the
handlers; the rest is what servers fall over.
"""

import types
from collections.abc import Iterator, Mapping, Sequence
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


def parameters(route: Route, ids: Sequence[str]) -> st.SearchStrategy[Any]:
    """Nested parameters for a route; `ids` are of objects that exist."""
    json = route.path.startswith("/v2")
    hostile = st.sampled_from([*HOSTILE, *ids, *(ALSO_IN_JSON if json else [])])
    return _hash(route.params, hostile, ids)


def _hash(model: type[BaseModel], hostile: st.SearchStrategy[Any], ids: Sequence[str]) -> st.SearchStrategy[Any]:
    members = {
        field.alias or name: _value(field.annotation, hostile, ids, name)
        for name, field in model.model_fields.items()
        if name != "expand"
    }
    required = {
        field.alias or name for name, field in model.model_fields.items() if field.is_required() and name != "expand"
    }
    whole = st.fixed_dictionaries(
        {name: members[name] for name in sorted(required)},
        optional={name: members[name] for name in sorted(members.keys() - required)},
    )
    return st.one_of(whole, whole, whole, st.dictionaries(st.sampled_from(sorted(members) or ["x"]), hostile))


def _value(hint: Any, hostile: st.SearchStrategy[Any], ids: Sequence[str], name: str) -> st.SearchStrategy[Any]:
    return st.one_of(_fitting(hint, hostile, ids, name), _fitting(hint, hostile, ids, name), hostile)


def _fitting(hint: Any, hostile: st.SearchStrategy[Any], ids: Sequence[str], name: str) -> st.SearchStrategy[Any]:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _fitting(args[0], hostile, ids, name)
    if origin in (Union, types.UnionType):
        some = [each for each in args if each is not type(None)]
        return st.one_of([_fitting(each, hostile, ids, name) for each in some]) if some else hostile
    if origin is Literal:
        return st.sampled_from(args)
    if origin is list:
        return st.lists(_value(args[0], hostile, ids, name), max_size=3)
    if origin is dict:
        keys = st.sampled_from(["usd", "eur", "k", "value", "stripe_customer_id", "a b", "é", "x" * 41])
        return st.dictionaries(keys, _value(args[1], hostile, ids, name), max_size=3)
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return _hash(hint, hostile, ids)
    if hint is bool:
        return st.sampled_from(["true", "false"])
    if hint in (int, float):
        return st.sampled_from(["0", "1", "3", "10", "100", "999999999999"])
    if getattr(hint, "__name__", "") == "Decimal":
        return st.sampled_from(["0", "1", "0.04", "12.5", "999999999999", "-3"])
    if getattr(hint, "__name__", "") == "datetime":
        return st.sampled_from(["1700000000", "1795000000", "1800000000", "1900000000", "0", "253402300799"])
    return st.sampled_from([*ids, *_PLAUSIBLE.get(name, ["tokens", "usd"])])


_PLAUSIBLE = {
    "currency": ["usd", "jpy", "kwd", "eur"],
    "email": ["a@example.com"],
    "event_name": ["tokens"],
    "payment_method": ["pm_card_visa", "pm_card_visa_chargeDeclined"],
    "default_payment_method": ["pm_card_visa"],
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
