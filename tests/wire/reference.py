"""Writes docs/reference/routes.md from the application's own routes: `python -m tests.wire.reference`."""

from collections import defaultdict
from pathlib import Path
from typing import Any, Protocol, cast

from pydantic import BaseModel

from meterline.api.wallet.resources import RESOURCES as WALLET_RESOURCES
from meterline.app import RESOURCES, create_app

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "routes.md"

_HEAD = """# Routes

Generated from the application (`python -m tests.wire.reference`); a test fails when it is out of date. Each heading is
the name of the resource in the permissions of restricted keys. Required parameters are **bold**; every `/v1` call also
takes `expand[]`. What parameters mean is in Stripe's API reference; where this server differs is in
[Stripe compatibility](../stripe-compatibility.md).
"""

_HOT = {
    "/v1/billing/meter_events": "Report usage, one event.",
    "/v2/billing/meter_events": "Report usage, one event, validated before it is answered.",
    "/v2/billing/meter_event_stream": "Report usage, up to a hundred events, with a session's token.",
    "/ingest/events": "Report usage in bulk: NDJSON, a JSON array or CloudEvents, one verdict per event.",
    "/api/v1/events": "The same, where OpenMeter's clients look for it.",
}


class AnyRoute(Protocol):
    """An operation of either dialect."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def params(self) -> type[BaseModel]: ...
    @property
    def handler(self) -> Any: ...


def page() -> str:
    """The page as it should be."""
    sections: dict[str, list[str]] = defaultdict(list)
    for routes in RESOURCES:
        sections[routes.resource] += [_row(route) for route in routes.all]
    for others in WALLET_RESOURCES:
        sections[others.resource] += [_row(route) for route in others.all]
    for method, path in hot_paths():
        sections["meter_events"].append(f"| `{method} {path}` | {_HOT[path]} | |")
    body = [_HEAD]
    for resource in sorted(sections):
        body += [f"\n## {resource}\n", "| call | | parameters |", "|---|---|---|", *sorted(set(sections[resource]))]
    return "\n".join(body) + "\n"


def hot_paths() -> list[tuple[str, str]]:
    """The routes that are answered before the router is asked."""
    layers = create_app("postgresql://nobody@localhost/nothing").user_middleware
    tables = [cast("dict[tuple[str, str], object]", layer.kwargs.get("routes", {})) for layer in layers]
    return sorted(path for table in tables for path in table)


def _row(route: AnyRoute) -> str:
    summary = (route.handler.__doc__ or "").strip().split("\n")[0]
    return f"| `{route.method} {route.path}` | {summary} | {', '.join(_parameters(route.params))} |"


def _parameters(params: type[BaseModel]) -> list[str]:
    fields = {field.alias or name: field.is_required() for name, field in params.model_fields.items()}
    fields.pop("expand", None)
    ordered = sorted(fields, key=lambda name: (not fields[name], name))
    return [f"**`{name}`**" if fields[name] else f"`{name}`" for name in ordered]


if __name__ == "__main__":
    PAGE.write_text(page())
