"""Templates, and what every page is sent with."""

from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qsl

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from meterline.money import display

STYLE = Path(__file__).parent / "static" / "hosted.css"

_LONGEST_FORM = 16 * 1024

HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none';"
    " frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}

_templates = Environment(
    loader=PackageLoader("meterline.portal"),
    autoescape=select_autoescape(default=True, default_for_string=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters["money"] = display


def page(template: str, *, status: int = HTTPStatus.OK, **shown: object) -> HTMLResponse:
    """A page made of a template. `problem` is shown where it is given."""
    body = _templates.get_template(template).render({"problem": None} | shown)
    return HTMLResponse(body, status, HEADERS)


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
    fields = parse_qsl(body.decode("utf-8", "replace"), max_num_fields=20)
    return {name: value.strip() for name, value in fields if value.strip() and "\0" not in value}
