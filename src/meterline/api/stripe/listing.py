"""The list envelope: exactly `object`, `data`, `has_more`, `url`."""

from collections.abc import Sequence

from meterline.api.stripe.json import Json


def list_of(data: Sequence[Json], *, url: str, has_more: bool) -> Json:
    """A page of a list; `url` is the path that pages on."""
    return {"object": "list", "data": list(data), "has_more": has_more, "url": url}


def nested_list(data: Sequence[Json], *, url: str, has_more: bool = False, total_count: int | None = None) -> Json:
    """A list inside an object, which also says how many there are."""
    count = len(data) if total_count is None else total_count
    return {"object": "list", "data": list(data), "has_more": has_more, "total_count": count, "url": url}
