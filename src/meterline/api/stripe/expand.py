"""`expand[]`: ids replaced by the objects they name, four levels deep, one query per field and list.

Renderers put an id where Stripe puts one, and hide what is only sent when asked for (`tiers`) with
`includable`. Resource modules register which fields are expandable and how a kind of object is fetched.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from copy import deepcopy
from typing import Any, TypeAlias

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.api.stripe.auth import authorize
from meterline.api.stripe.error import StripeError
from meterline.api.stripe.json import Json
from meterline.store.api_key import ApiKey

Fetch: TypeAlias = Callable[[AsyncConnection, str, Sequence[str]], Awaitable[dict[str, Json]]]
"""`(tx, environment, ids) → {id: rendered object}`."""

Named: TypeAlias = tuple[str, Json]
"""What a node is called (`customer`, `customer.invoice_settings`), and the node."""

_HIDDEN = "\0includable"
_MAX_DEPTH = 4

_fetchers: dict[str, Fetch] = {}
_resources: dict[str, str] = {}
_expandable: dict[tuple[str, str], str] = {}
_embedded: set[tuple[str, str]] = set()


def fetcher(kind: str, *, resource: str | None = None) -> Callable[[Fetch], Fetch]:
    """Register how objects of a kind are fetched and rendered by id.

    `resource` is what a restricted key must be allowed to read; by default the kind in the plural.
    """

    def register(fetch: Fetch) -> Fetch:
        _fetchers[kind] = fetch
        _resources[kind] = resource or kind.replace(".", "_") + "s"
        return fetch

    return register


def expandable(object: str, field: str, *, kind: str) -> None:
    """Declare that `field` of `object` holds the id of a `kind`.

    A hash inside an object that is no object itself goes by its path: `customer.invoice_settings`. A field that
    is `includable` with an id as its value is fetched by it when expanded, and otherwise not sent.
    """
    _expandable[object, field] = kind


def embedded(object: str, field: str, *, kind: str) -> None:
    """Declare that `field` of `object`, rendered as the id (or ids) of a `kind`, is always sent whole."""
    expandable(object, field, kind=kind)
    _embedded.add((object, field))


def _always_whole(object: object, field: str) -> bool:
    return isinstance(object, str) and (object, field) in _embedded


def unfetched() -> set[str]:
    """The kinds that are expandable and that nobody fetches: none, in a complete server."""
    return set(_expandable.values()) - _fetchers.keys()


def includable(rendered: Json, **members: Any) -> Json:
    """`rendered` with members that appear only when expanded."""
    rendered[_HIDDEN] = members
    return rendered


async def expand(tx: AsyncConnection, key: ApiKey, body: Json, paths: Sequence[str]) -> None:
    """Expand `paths` in a rendered response, in place, and drop what nobody asked for.

    Refuses paths that lead nowhere or too deep, and kinds that the key may not read.
    """
    for path in paths:
        segments = path.split(".")
        if len(segments) > _MAX_DEPTH + (segments[0] == "data"):
            raise StripeError.invalid(
                f"You cannot expand more than {_MAX_DEPTH} levels of a property. Property: {path}"
            )
        await _expand_path(tx, key, [(str(body.get("object")), body)], segments, path)
    await embed(tx, key.environment, body)
    conceal(body)


async def embed(tx: AsyncConnection, environment: str, body: Json) -> None:
    """Put in place, in a rendered response, what is always sent whole, one query per kind."""
    places = list(_places(body))
    wanted: dict[str, set[str]] = {}
    for node, field, kind in places:
        wanted.setdefault(kind, set()).update(_ids(node[field]))
    found = {kind: await _fetchers[kind](tx, environment, sorted(ids)) for kind, ids in wanted.items() if ids}
    for node, field, kind in places:
        _replace(node, field, found.get(kind, {}))


def _places(node: Any) -> Iterator[tuple[Json, str, str]]:
    """Where something is embedded: the object, the field, and the kind of what goes there."""
    if isinstance(node, dict):
        for name, member in node.items():
            if name != _HIDDEN:
                yield from _places(member)
            if _always_whole(node.get("object"), name):
                yield node, name, _expandable[str(node["object"]), name]
    elif isinstance(node, list):
        for member in node:
            yield from _places(member)


def conceal(node: Any) -> None:
    """Drop includable members that were not expanded."""
    if isinstance(node, dict):
        node.pop(_HIDDEN, None)
        for member in node.values():
            conceal(member)
    elif isinstance(node, list):
        for member in node:
            conceal(member)


async def _expand_path(tx: AsyncConnection, key: ApiKey, nodes: list[Named], segments: list[str], path: str) -> None:
    for segment in segments:
        await _inflate(tx, key, nodes, segment, path)
        nodes = [child for name, node in nodes for child in _children(name, node, segment)]


def _children(name: str, node: Json, segment: str) -> list[Named]:
    member = node.get(segment)
    found = member if isinstance(member, list) else [member]
    return [(str(each.get("object", f"{name}.{segment}")), each) for each in found if isinstance(each, dict)]


async def _inflate(tx: AsyncConnection, key: ApiKey, nodes: list[Named], segment: str, path: str) -> None:
    """Make sure `segment` of every node is an object (or null), fetching by id where it is one."""
    wanted: dict[str, set[str]] = {}
    for name, node in nodes:
        kind = _expandable.get((name, segment))
        if segment in node.get(_HIDDEN, {}):
            node[segment] = node[_HIDDEN].pop(segment)
        elif segment not in node and kind is None:
            raise StripeError.invalid(f"This property cannot be expanded because it doesn't exist: {path}.")
        elif kind is None and isinstance(node[segment], str | int | bool):
            raise StripeError.invalid(f"This property cannot be expanded ({path}).")
        if kind is not None:
            wanted.setdefault(kind, set()).update(_ids(node.get(segment)))
    for kind, ids in wanted.items():
        if ids:
            authorize(key, _resources[kind], "GET")
            found = await _fetchers[kind](tx, key.environment, sorted(ids))
            for name, node in nodes:
                if _expandable.get((name, segment)) == kind:
                    _replace(node, segment, found)


def _ids(value: Any) -> list[str]:
    found = value if isinstance(value, list) else [value]
    return [each for each in found if isinstance(each, str)]


def _replace(node: Json, segment: str, found: dict[str, Json]) -> None:
    value = node.get(segment)
    if isinstance(value, str):
        node[segment] = deepcopy(found.get(value, value))
    elif isinstance(value, list):
        node[segment] = [deepcopy(found.get(each, each)) if isinstance(each, str) else each for each in value]
