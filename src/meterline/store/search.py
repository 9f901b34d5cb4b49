"""Searches: conditions over the fields of one table, newest first, paged by what was created when.

A noun says which fields can be searched and what kind of value each holds (`Searchable`); the doors say which
conditions were asked for (`Query`). How a query is spelled is theirs to know.
"""

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, Table, and_, func, literal, not_, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.refusal import Refusal
from meterline.store.page import Page

Comparison = Literal[":", "~", ">", "<", ">=", "<="]
Kind = Literal["text", "token", "number", "instant", "flag"]
"""`text` can be searched for parts, a `token` only whole; both ignore case."""

_ORDER = {">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le}
_SHORTEST_PART = 3
_LAST_INSTANT = 253_402_300_799


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """One condition. `key` names the metadata key where `field` is `metadata`; a value of None asks for null."""

    field: str
    key: str | None = None
    comparison: Comparison
    value: str | None
    negated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Conditions that must all hold, or of which one must."""

    clauses: tuple[Clause, ...]
    joined_by: Literal["AND", "OR"] = "AND"


@dataclass(frozen=True, slots=True, kw_only=True)
class Searchable:
    """What can be searched of a noun. `hidden` is the condition for rows that no search shows."""

    resource: str
    table: Table
    fields: Mapping[str, tuple[ColumnElement[Any], Kind]]
    hidden: ColumnElement[bool] | None = None


async def search(
    tx: AsyncConnection, what: Searchable, environment: str, query: Query, *, limit: int, after: UUID | None
) -> Page:
    """A page of the rows that satisfy the query, newest first; `after` is the `sequence` of the last one seen.

    Refuses unknown fields, and comparisons and values that a field does not have.
    """
    table = what.table
    statement = select(table).where(_matching(what, environment, query))
    if after is not None:
        statement = statement.where(table.c.sequence < after)
    rows = (await tx.execute(statement.order_by(table.c.sequence.desc()).limit(limit + 1))).all()
    return Page(rows=rows[:limit], has_more=len(rows) > limit)


async def count(tx: AsyncConnection, what: Searchable, environment: str, query: Query, *, most: int) -> int:
    """How many rows satisfy the query; counting stops at `most`."""
    matching = select(literal(1)).select_from(what.table).where(_matching(what, environment, query)).limit(most)
    return int(await tx.scalar(select(func.count()).select_from(matching.subquery())) or 0)


def _matching(what: Searchable, environment: str, query: Query) -> ColumnElement[bool]:
    conditions = [_condition(what, clause) for clause in query.clauses]
    asked = and_(*conditions) if query.joined_by == "AND" else or_(*conditions)
    shown = [] if what.hidden is None else [not_(what.hidden)]
    return and_(what.table.c.environment == environment, asked, *shown)


def _condition(what: Searchable, clause: Clause) -> ColumnElement[bool]:
    column, kind = _field(what, clause)
    if clause.value is None:
        if clause.comparison != ":":
            raise _unfit(clause)
        holds: ColumnElement[bool] = column.is_(None)
    else:
        holds = _compared(column, kind, clause, clause.value)
    return not_(func.coalesce(holds, literal(False))) if clause.negated else holds


def _field(what: Searchable, clause: Clause) -> tuple[ColumnElement[Any], Kind]:
    if clause.key is not None:
        return what.table.c.metadata[clause.key].astext, "text"
    if clause.field not in what.fields:
        raise Refusal(
            f"Field `{clause.field}` is an unsupported search field for resource `{what.resource}`. See"
            f" http://stripe.com/docs/search#query-fields-for-{what.resource.replace('_', '-')} for a list of"
            " supported fields.",
            param="query",
        )
    return what.fields[clause.field]


def _compared(column: ColumnElement[Any], kind: Kind, clause: Clause, value: str) -> ColumnElement[bool]:
    match kind, clause.comparison:
        case (("text" | "token"), ":"):
            # Both sides are folded by the database: another notion of small letters would find no "Ł" at all.
            return func.lower(column) == func.lower(value)
        case "text", "~":
            if len(value) < _SHORTEST_PART:
                raise Refusal(
                    f"The value of a substring search must be at least {_SHORTEST_PART} characters long:"
                    f" `{clause.field}~`.",
                    param="query",
                )
            return column.icontains(value, autoescape=True)
        case "flag", ":" if value in ("true", "false"):
            return column.is_(value == "true")
        case (("number" | "instant"), ":"):
            return column == _number(kind, clause, value)
        case (("number" | "instant"), (">" | "<" | ">=" | "<=" as order)):
            compared: ColumnElement[bool] = _ORDER[order](column, _number(kind, clause, value))
            return compared
    raise _unfit(clause)


def _number(kind: Kind, clause: Clause, value: str) -> int | datetime:
    digits = value.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
        raise _unfit(clause)
    number = int(value)
    if kind == "number":
        return number
    return datetime.fromtimestamp(min(max(number, 0), _LAST_INSTANT), UTC)


def _unfit(clause: Clause) -> Refusal:
    return Refusal(
        f"Field `{clause.field}` does not support the search `{clause.comparison}{clause.value or 'null'}`.",
        param="query",
    )
