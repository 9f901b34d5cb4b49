"""Templates, and what every page is sent with."""

from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qsl

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from meterline.money import display
from meterline.portal.shown import at_time, number, on_day, value

_STATIC = Path(__file__).parent / "static"

STYLE = _STATIC / "hosted.css"

ASSETS = {
    "portal.css": (_STATIC / "portal.css", "text/css"),
    "refresh.js": (_STATIC / "refresh.js", "text/javascript"),
}
"""What pages of the portal load beside the common style."""

_LONGEST_FORM = 16 * 1024

HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none';"
    " frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}

_REFRESHING = {
    **HEADERS,
    "content-security-policy": "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self';"
    " connect-src 'self'; base-uri 'none'; frame-ancestors 'none'",
}
"""The same, with our one script, which fetches the page anew; it works without it as well."""

_templates = Environment(
    loader=PackageLoader("meterline.portal"),
    autoescape=select_autoescape(default=True, default_for_string=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters["money"] = display
_templates.filters["value"] = value
_templates.filters["number"] = number
_templates.filters["on_day"] = on_day
_templates.filters["at_time"] = at_time


def page(template: str, *, status: int = HTTPStatus.OK, refreshes: bool = False, **shown: object) -> HTMLResponse:
    """A page made of a template. `problem` is shown where it is given; one that `refreshes` does so by a script."""
    body = _templates.get_template(template).render({"problem": None} | shown)
    return HTMLResponse(body, status, _REFRESHING if refreshes else HEADERS)


def not_found() -> HTMLResponse:
    """The answer to an address that opens nothing."""
    return page("gone.html", status=HTTPStatus.NOT_FOUND)


def away() -> HTMLResponse:
    """The answer while the database is away."""
    answer = page("away.html", status=HTTPStatus.SERVICE_UNAVAILABLE)
    answer.headers["retry-after"] = "1"
    return answer


async def form(request: Request) -> Mapping[str, str]:
    """The text fields of a submitted form, stripped; empty ones are left out, and what is too long to be one."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LONGEST_FORM:
            return {}
    fields = parse_qsl(body.decode("utf-8", "replace"), max_num_fields=30)
    return {name: value.strip() for name, value in fields if value.strip() and "\0" not in value}
