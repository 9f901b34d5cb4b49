"""How lists are shown: a page by offset."""

from collections.abc import Sequence

from meterline.api.wallet.params import ListQuery
from meterline.api.wallet.route import Json


def paged(asked: ListQuery, items: list[Json], count: int) -> Json:
    """The page that was asked for, of `count` in all."""
    return {"offset": asked.offset, "limit": asked.limit, "total_count": count, "items": items}


def page_of(asked: ListQuery, everything: Sequence[Json]) -> Json:
    """The page that was asked for, of a list that is at hand."""
    items = list(everything[asked.offset : asked.offset + asked.limit])
    return paged(asked, items, len(everything))
