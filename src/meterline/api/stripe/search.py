"""Stripe's search language, and the envelope of search results.

    active:'true' AND metadata['tier']:'gold'      -email~'example' OR created>1700000000      name:null

At most ten clauses, joined by AND (or nothing) or by OR, never both.
"""

import base64
import binascii
import re
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar, cast
from uuid import UUID

from pydantic import BeforeValidator

from meterline.api.stripe.call import Call
from meterline.api.stripe.error import StripeError
from meterline.api.stripe.expand import includable
from meterline.api.stripe.json import Json
from meterline.api.stripe.params import Params, Text, clamped_limit
from meterline.store import row, search
from meterline.store.search import Clause, Comparison, Query, Searchable

T = TypeVar("T")

_MOST_CLAUSES = 10
_MOST_COUNTED = 10_000

_CLAUSE = re.compile(
    r"""
    (?P<negated>-)?
    (?P<field>[a-z_][a-z_.]*)
    (?: \[ \s* (?P<key>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*') \s* \] )?
    \s* (?P<comparison>>=|<=|[:~><=]) \s*
    (?P<value>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|-?\d+|null|true|false)
    (?=\s|$)
    """,
    re.VERBOSE,
)
_JOIN = re.compile(r"\s+(?:(AND|OR)\s+)?", re.IGNORECASE)


class SearchParams(Params):
    query: Text
    limit: Annotated[int, BeforeValidator(clamped_limit)] = 10
    page: Text | None = None


def parse(text: str) -> Query:
    """The query that was meant. Refuses what cannot be read, too many clauses, and AND together with OR."""
    text = text.strip()
    clauses: list[Clause] = []
    joins: set[str] = set()
    position = 0
    while True:
        found = _CLAUSE.match(text, position)
        if found is None:
            raise _unreadable()
        clauses.append(_clause(found))
        position = found.end()
        if position == len(text):
            break
        join = _JOIN.match(text, position)
        if join is None:
            raise _unreadable()
        joins.add((join[1] or "AND").upper())
        position = join.end()
    if len(joins) > 1:
        raise StripeError.invalid("You may not combine AND and OR in the same search query.", param="query")
    if len(clauses) > _MOST_CLAUSES:
        raise StripeError.invalid(f"A search query can contain at most {_MOST_CLAUSES} clauses.", param="query")
    joined_by: Literal["AND", "OR"] = "OR" if joins == {"OR"} else "AND"
    return Query(clauses=tuple(clauses), joined_by=joined_by)


def _clause(found: re.Match[str]) -> Clause:
    field, key = found["field"], found["key"]
    if (field == "metadata") != (key is not None):
        raise _unreadable()
    comparison = ":" if found["comparison"] == "=" else found["comparison"]
    return Clause(
        field=field,
        key=None if key is None else _unquoted(key),
        comparison=cast("Comparison", comparison),
        value=None if found["value"] == "null" else _unquoted(found["value"]),
        negated=found["negated"] is not None,
    )


def _unquoted(text: str) -> str:
    if text[:1] not in {'"', "'"}:
        return text
    return re.sub(r"\\(.)", r"\1", text[1:-1])


def _unreadable() -> StripeError:
    return StripeError.invalid(
        'We were unable to parse your search query. Try using the format `metadata["key"]:"value"` to query for'
        ' metadata or key:"value" to query for other fields.',
        param="query",
    )


async def searchable(call: Call[SearchParams], what: Searchable, cls: type[T], render: Callable[[T], Json]) -> Json:
    """Answer a search over `what`, whose rows are of dataclass `cls`."""
    query = parse(call.params.query)
    after = None if call.params.page is None else _position(call.params.page)
    found = await search.search(call.tx, what, call.environment, query, limit=call.params.limit, after=after)
    result: dict[str, Any] = {
        "object": "search_result",
        "data": [render(row.load(cls, each)) for each in found.rows],
        "has_more": found.has_more,
        "next_page": _token(found.rows[-1].sequence) if found.has_more else None,
        "url": call.url,
    }
    if "total_count" not in call.params.expand:
        return result
    total = await search.count(call.tx, what, call.environment, query, most=_MOST_COUNTED)
    return includable(result, total_count=total)


def _token(sequence: UUID) -> str:
    return base64.urlsafe_b64encode(sequence.bytes).decode().rstrip("=")


def _position(token: str) -> UUID:
    try:
        return UUID(bytes=base64.b64decode(token + "==", altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        raise StripeError.invalid(f"Invalid page: {token[:100]}", param="page") from None
