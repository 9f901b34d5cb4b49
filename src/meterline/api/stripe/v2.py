"""What is spelled differently under `/v2`: pages without cursors by id, and instants as RFC 3339 text."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from meterline.api.stripe.error import StripeError
from meterline.api.stripe.json import Json
from meterline.api.stripe.params import Int, Params, Text
from meterline.store.page import Cursor

_AFTER, _BEFORE = "a_", "b_"


def timestamp(instant: datetime) -> str:
    """RFC 3339 in UTC with milliseconds, as v2 objects carry it."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _parsed(value: Any) -> Any:
    if isinstance(value, datetime):
        return value
    try:
        instant = datetime.fromisoformat(str(value))
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise PydanticCustomError(
            "timestamp", "Invalid timestamp: {value}; RFC 3339 is expected", {"value": str(value)[:60]}
        )
    return instant.astimezone(UTC)


Timestamp = Annotated[datetime, BeforeValidator(_parsed)]
"""RFC 3339 text, read as an aware UTC datetime."""


class PageParams(Params):
    """What every v2 list accepts: a page size, and the token in the URLs that page on."""

    limit: Annotated[Int, Field(ge=1, le=100)] = 20
    page: Text | None = None


def cursor(params: PageParams) -> Cursor:
    """Where the page asked for begins. Refuses a token that was not made by `page_of`."""
    token = params.page
    if token is None:
        return Cursor(limit=params.limit)
    if token.startswith(_AFTER):
        return Cursor(limit=params.limit, starting_after=token.removeprefix(_AFTER))
    if token.startswith(_BEFORE):
        return Cursor(limit=params.limit, ending_before=token.removeprefix(_BEFORE))
    raise StripeError.invalid(f"Invalid page token: {token[:60]}", param="page")


def page_of(
    data: Sequence[Json], *, url: str, params: PageParams, has_more: bool, filters: Sequence[tuple[str, str]] = ()
) -> Json:
    """A page of a v2 list: exactly `data`, `next_page_url`, `previous_page_url`.

    `filters` are repeated in the URLs, so that following one keeps them.
    """

    def at(token: str) -> str:
        return f"{url}?{urlencode([('limit', str(params.limit)), *filters, ('page', token)])}"

    backwards = params.page is not None and params.page.startswith(_BEFORE)
    later = bool(data) and (backwards or has_more)
    earlier = bool(data) and (has_more if backwards else params.page is not None)
    return {
        "data": list(data),
        "next_page_url": at(_AFTER + data[-1]["id"]) if later else None,
        "previous_page_url": at(_BEFORE + data[0]["id"]) if earlier else None,
    }
