"""API versions: which are spoken, and how today's shapes become an older version's.

Handlers and renderers know only the newest shapes. A response on its way to a client pinned to an older
version passes the transforms of every release after that version, newest first (`before`). Parameters of such a
client pass the other way, oldest release first, before they are validated (`accepted_before`):

    @before("2025-09-30", "customer")
    def without_business_name(customer: Json) -> None:
        customer.pop("business_name", None)

    @accepted_before("2026-09-30", SubscriptionUpdate)
    def anchor_as_word(raw: dict[str, Any]) -> None:
        if isinstance(raw.get("billing_cycle_anchor"), str):
            raw["billing_cycle_anchor"] = {"type": raw["billing_cycle_anchor"]}
"""

import re
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from meterline.api.stripe.error import StripeError
from meterline.api.stripe.expand import conceal
from meterline.api.stripe.json import Json
from meterline.api.stripe.params import Params

LATEST = "2026-10-28.endive"

_RELEASES = {
    "basil": ("2025-03-31", "2025-08-27"),
    "clover": ("2025-09-30", "2026-02-25"),
    "dahlia": ("2026-03-25", "2026-08-26"),
    "endive": ("2026-09-30", "2026-10-28"),
}
_OLDEST = "2025-03-31.basil"
_OLDER = re.compile(r"\d{4}-\d{2}-\d{2}(\.[a-z]+)?", re.ASCII)
_FORM = re.compile(r"(\d{4}-\d{2}-\d{2})\.([a-z]+)", re.ASCII)

_ASIDE = "\0aside"

_upgrades: list[tuple[str, type[Params], Callable[[dict[str, Any]], None]]] = []
_transforms: list[tuple[str, str, Callable[[Json], None]]] = []


def spoken(header: str | None) -> str:
    """The version to answer in; the newest when the caller names none. Refuses what was never released."""
    if header is None:
        return LATEST
    form = _FORM.fullmatch(header)
    if form is not None:
        first, last = _RELEASES.get(form[2], ("", ""))
        if first <= form[1] <= last:
            return header
    if _OLDER.fullmatch(header) and header[:10] < _OLDEST[:10]:
        raise StripeError.invalid(
            f"Invalid Stripe API version: {header}. The oldest version that this server speaks is {_OLDEST}; before"
            " it, usage was counted by usage records, which no longer exist."
        )
    raise StripeError.invalid(f"Invalid Stripe API version: {header[:60]}")


def before(date: str, object: str) -> Callable[[Callable[[Json], None]], Callable[[Json], None]]:
    """Register a transform that gives `object` the shape it had before the release of `date`."""

    def register(transform: Callable[[Json], None]) -> Callable[[Json], None]:
        _transforms.append((date, object, transform))
        _transforms.sort(key=lambda entry: entry[0], reverse=True)
        return transform

    return register


def accepted_before(
    date: str, params: type[Params]
) -> Callable[[Callable[[dict[str, Any]], None]], Callable[[dict[str, Any]], None]]:
    """Register how parameters as they were before the release of `date` become today's.

    The function changes the nested, still untyped parameters in place; it sees whatever a caller sent.
    """

    def register(upgrade: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
        _upgrades.append((date, params, upgrade))
        _upgrades.sort(key=lambda entry: entry[0])
        return upgrade

    return register


def upgraded(params: type[Params], raw: dict[str, Any], version: str) -> dict[str, Any]:
    """The parameters that a client of `version` sent, in today's form; `raw` itself is left as it came."""
    date = version[:10]
    due = [upgrade for since, known, upgrade in _upgrades if date < since and issubclass(params, known)]
    if not due:
        return raw
    today = deepcopy(raw)
    for upgrade in due:
        upgrade(today)
    return today


def aside(rendered: Json, **members: Json) -> Json:
    """`rendered` with what only transforms need: the whole of an object that older versions held."""
    rendered[_ASIDE] = members
    return rendered


def beside(rendered: Json, name: str) -> Json:
    """What a renderer laid `aside` for a transform, as it would be sent by itself."""
    found: Json = deepcopy(rendered[_ASIDE][name])
    conceal(found)
    return found


def shape(body: Any, version: str) -> None:
    """Reshape a response in place for a client of `version`."""
    date = version[:10]
    _walk(body, [(object, transform) for since, object, transform in _transforms if date < since])


def _walk(node: Any, due: list[tuple[str, Callable[[Json], None]]]) -> None:
    if isinstance(node, dict):
        for name, member in node.items():
            if name != _ASIDE:
                _walk(member, due)
        for object, transform in due:
            if node.get("object") == object:
                transform(node)
        node.pop(_ASIDE, None)
    elif isinstance(node, list):
        for member in node:
            _walk(member, due)
