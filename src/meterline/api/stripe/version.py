"""API versions: which are spoken, and how today's shapes become an older version's.

Handlers and renderers know only the newest shapes. A response on its way to a client pinned to an older
version passes the transforms of every release after that version, newest first.
"""

import re
from collections.abc import Callable
from typing import Any

from meterline.api.stripe.error import StripeError
from meterline.api.stripe.json import Json

LATEST = "2026-10-28.endive"

_RELEASES = {
    "basil": ("2025-03-31", "2025-08-27"),
    "clover": ("2025-09-30", "2026-02-25"),
    "dahlia": ("2026-03-25", "2026-08-26"),
    "endive": ("2026-09-30", "2026-10-28"),
}
_FORM = re.compile(r"(\d{4}-\d{2}-\d{2})\.([a-z]+)")

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
    raise StripeError.invalid(f"Invalid Stripe API version: {header[:60]}")


def before(date: str, object: str) -> Callable[[Callable[[Json], None]], Callable[[Json], None]]:
    """Register a transform that gives `object` the shape it had before the release of `date`."""

    def register(transform: Callable[[Json], None]) -> Callable[[Json], None]:
        _transforms.append((date, object, transform))
        _transforms.sort(key=lambda entry: entry[0], reverse=True)
        return transform

    return register


def shape(body: Any, version: str) -> None:
    """Reshape a response in place for a client of `version`."""
    date = version[:10]
    due = [(object, transform) for since, object, transform in _transforms if date < since]
    if due:
        _walk(body, due)


def _walk(node: Any, due: list[tuple[str, Callable[[Json], None]]]) -> None:
    if isinstance(node, dict):
        for member in node.values():
            _walk(member, due)
        for object, transform in due:
            if node.get("object") == object:
                transform(node)
    elif isinstance(node, list):
        for member in node:
            _walk(member, due)
