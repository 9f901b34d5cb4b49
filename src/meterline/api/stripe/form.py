"""Form bodies and query strings with brackets: `items[0][price]=x` → {"items": {"0": {"price": "x"}}}.

Whether `{"0": …}` is a list or a map is for the parameter's type to say (`metadata[0]` is a map), so
indexes stay text here; `a[]=x` appends and is a list already.
"""

from typing import TypeAlias
from urllib.parse import unquote_to_bytes

from meterline.api.stripe.error import StripeError

Node: TypeAlias = "str | list[Node] | dict[str, Node]"

MAX_DEPTH = 8
MAX_PAIRS = 5_000


def parse(raw: bytes) -> dict[str, Node]:
    """The nested parameters of a form body or query string.

    Refuses invalid UTF-8, null bytes, nesting past MAX_DEPTH, more than MAX_PAIRS pairs, and names that are
    both a value and a container.
    """
    root: dict[str, Node] = {}
    pairs = [pair for pair in raw.split(b"&") if pair]
    if len(pairs) > MAX_PAIRS:
        raise StripeError.invalid(f"Too many parameters: at most {MAX_PAIRS} are accepted in one request.")
    for pair in pairs:
        name, _, value = pair.partition(b"=")
        _insert(root, _keys(_text(name)), _text(value))
    return root


def _text(raw: bytes) -> str:
    try:
        text = unquote_to_bytes(raw.replace(b"+", b" ")).decode("utf-8")
    except UnicodeDecodeError:
        raise StripeError.invalid("Invalid request (check that your parameters are encoded as valid UTF-8).") from None
    if "\0" in text:
        raise StripeError.invalid("Invalid request: parameters must not contain null bytes.")
    return text


def _keys(name: str) -> list[str]:
    head, bracket, rest = name.partition("[")
    if not bracket:
        return [name]
    if not head or not rest.endswith("]"):
        raise StripeError.invalid(f"Invalid parameter name: {name[:100]}")
    keys = [head, *rest[:-1].split("][")]
    if len(keys) > MAX_DEPTH:
        raise StripeError.invalid(f"Parameters can be nested at most {MAX_DEPTH} levels deep.")
    if any("[" in key or "]" in key for key in keys[1:]):
        raise StripeError.invalid(f"Invalid parameter name: {name[:100]}")
    return keys


def _insert(node: dict[str, Node], keys: list[str], value: str) -> None:
    for position, key in enumerate(keys[:-1]):
        following = keys[position + 1]
        if following == "":
            _append(node, key, keys[position + 2 :], value)
            return
        child = node.setdefault(key, {})
        if not isinstance(child, dict):
            raise _clash(keys)
        node = child
    if keys[-1] in node and not isinstance(node[keys[-1]], str):
        raise _clash(keys)
    node[keys[-1]] = value


def _append(node: dict[str, Node], key: str, rest: list[str], value: str) -> None:
    """`a[]=x` appends a value; `a[][k]=x` fills the last element until `k` repeats, then starts the next."""
    values = node.setdefault(key, [])
    if not isinstance(values, list):
        raise _clash([key])
    if not rest:
        values.append(value)
        return
    last = values[-1] if values else None
    if not isinstance(last, dict) or (len(rest) == 1 and rest[0] in last):
        last = {}
        values.append(last)
    _insert(last, rest, value)


def _clash(keys: list[str]) -> StripeError:
    return StripeError.invalid(f"Parameter {keys[0]} is given both as a value and as a container.")
