"""`expand[]`: ids replaced by the objects they name, four levels deep, one query per field and list.

Renderers put an id where Stripe puts one, and hide what is only sent when asked for (`tiers`) with
`includable`. Resource modules register which fields are expandable and how a kind of object is fetched.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.api.stripe.error import StripeError
from meterline.api.stripe.json import Json

Fetch: TypeAlias = Callable[[AsyncConnection, str, Sequence[str]], Awaitable[dict[str, Json]]]
"""`(tx, environment, ids) → {id: rendered object}`."""

_HIDDEN = "\0includable"
_MAX_DEPTH = 4

_fetchers: dict[str, Fetch] = {}
_expandable: dict[tuple[str, str], str] = {}


def fetcher(kind: str) -> Callable[[Fetch], Fetch]:
    """Register how objects of a kind are fetched and rendered by id."""

    def register(fetch: Fetch) -> Fetch:
        _fetchers[kind] = fetch
        return fetch

    return register


def expandable(object: str, field: str, *, kind: str) -> None:
    """Declare that `field` of `object` holds the id of a `kind`."""
    _expandable[object, field] = kind


def includable(rendered: Json, **members: Any) -> Json:
    """`rendered` with members that appear only when expanded."""
    rendered[_HIDDEN] = members
    return rendered


async def expand(tx: AsyncConnection, environment: str, body: Json, paths: Sequence[str]) -> None:
    """Expand `paths` in a rendered response, in place, and drop what nobody asked for."""
    for path in paths:
        segments = path.split(".")
        if len(segments) > _MAX_DEPTH + (segments[0] == "data"):
            raise StripeError.invalid(
                f"You cannot expand more than {_MAX_DEPTH} levels of a property. Property: {path}"
            )
        await _expand_path(tx, environment, [body], segments, path)
    conceal(body)


def conceal(node: Any) -> None:
    """Drop includable members that were not expanded."""
    if isinstance(node, dict):
        node.pop(_HIDDEN, None)
        for member in node.values():
            conceal(member)
    elif isinstance(node, list):
        for member in node:
            conceal(member)


async def _expand_path(
    tx: AsyncConnection, environment: str, nodes: list[Json], segments: list[str], path: str
) -> None:
    for segment in segments:
        if not nodes:
            return
        await _inflate(tx, environment, nodes, segment, path)
        following: list[Json] = []
        for node in nodes:
            member = node.get(segment)
            if isinstance(member, dict):
                following.append(member)
            elif isinstance(member, list):
                following.extend(element for element in member if isinstance(element, dict))
        nodes = following


async def _inflate(
    tx: AsyncConnection, environment: str, nodes: list[Json], segment: str, path: str
) -> None:
    """Make sure `segment` of every node is an object (or null), fetching by id where it is one."""
    wanted: dict[str, set[str]] = {}
    for node in nodes:
        if segment in node.get(_HIDDEN, {}):
            node[segment] = node[_HIDDEN].pop(segment)
            continue
        kind = _expandable.get((str(node.get("object")), segment))
        if segment not in node and kind is None:
            raise StripeError.invalid(f"This property cannot be expanded because it doesn't exist: {path}.")
        value = node.get(segment)
        if kind is None and not isinstance(value, dict | list):
            raise StripeError.invalid(f"This property cannot be expanded ({path}).")
        if kind is not None:
            ids = value if isinstance(value, list) else [value]
            wanted.setdefault(kind, set()).update(id for id in ids if isinstance(id, str))
    for kind, ids in wanted.items():
        if ids:
            found = await _fetchers[kind](tx, environment, sorted(ids))
            _replace(nodes, segment, kind, found)


def _replace(nodes: list[Json], segment: str, kind: str, found: dict[str, Json]) -> None:
    for node in nodes:
        if _expandable.get((str(node.get("object")), segment)) != kind:
            continue
        value = node.get(segment)
        if isinstance(value, str):
            node[segment] = found.get(value, value)
        elif isinstance(value, list):
            node[segment] = [found.get(e, e) if isinstance(e, str) else e for e in value]
