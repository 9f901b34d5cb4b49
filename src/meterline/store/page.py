"""Cursor pages over any table that has `id` and `sequence`: newest first, in the order of creation."""

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

from sqlalchemy import ColumnElement, Row, Select, Table, and_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.refusal import Missing, Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """Where a page begins: after or before (newest first) the object with that id, neither for the start."""

    limit: int
    starting_after: str | None = None
    ending_before: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Rows newest first, and whether more lie beyond the last one in the direction of travel."""

    rows: Sequence[Row[Any]]
    has_more: bool


class Span(Protocol):
    """Bounds of an instant: after, from, before, until; None is no bound."""

    @property
    def gt(self) -> datetime | None: ...
    @property
    def gte(self) -> datetime | None: ...
    @property
    def lt(self) -> datetime | None: ...
    @property
    def lte(self) -> datetime | None: ...


def during(column: ColumnElement[Any], span: Span | None) -> list[ColumnElement[bool]]:
    """What keeps a column within a span (`created[gte]=…`)."""
    if span is None:
        return []
    bounds = ((operator.gt, span.gt), (operator.ge, span.gte), (operator.lt, span.lt), (operator.le, span.lte))
    return [compare(column, bound) for compare, bound in bounds if bound is not None]


async def page(
    tx: AsyncConnection,
    query: Select[Any],
    table: Table,
    *,
    kind: str,
    scope: ColumnElement[bool],
    cursor: Cursor,
) -> Page:
    """One page of `query`, which selects from `table`.

    `scope` is what a cursor must satisfy to be known (the environment, a parent). Deleted objects keep their
    row and so stay valid cursors. Raises Missing for an unknown cursor, Refusal when both are given.
    """
    _require_one(cursor)
    position = table.c.sequence
    if cursor.ending_before is not None:
        mark = await _mark(tx, table, kind, scope, cursor.ending_before, "ending_before")
        found = (await tx.execute(query.where(position > mark).order_by(position).limit(cursor.limit + 1))).all()
        return Page(rows=found[: cursor.limit][::-1], has_more=len(found) > cursor.limit)
    if cursor.starting_after is not None:
        mark = await _mark(tx, table, kind, scope, cursor.starting_after, "starting_after")
        query = query.where(position < mark)
    found = (await tx.execute(query.order_by(position.desc()).limit(cursor.limit + 1))).all()
    return Page(rows=found[: cursor.limit], has_more=len(found) > cursor.limit)


class Named(Protocol):
    """Anything with an id."""

    @property
    def id(self) -> str: ...


Item = TypeVar("Item", bound=Named)


def stretch(items: Sequence[Item], *, kind: str, cursor: Cursor) -> tuple[Sequence[Item], bool]:
    """One page of what is at hand, in its order, and whether more lies beyond it in the direction of travel.

    Raises Missing for an unknown cursor, Refusal when both are given.
    """
    _require_one(cursor)
    places = {item.id: place for place, item in enumerate(items)}
    if cursor.ending_before is not None:
        end = _place(places, kind, cursor.ending_before, "ending_before")
        return items[max(0, end - cursor.limit) : end], end > cursor.limit
    start = 0
    if cursor.starting_after is not None:
        start = _place(places, kind, cursor.starting_after, "starting_after") + 1
    return items[start : start + cursor.limit], start + cursor.limit < len(items)


def _place(places: Mapping[str, int], kind: str, id: str, param: str) -> int:
    if id not in places:
        raise Missing(kind, id, param=param)
    return places[id]


def _require_one(cursor: Cursor) -> None:
    if cursor.starting_after is not None and cursor.ending_before is not None:
        raise Refusal("Received both starting_after and ending_before parameters. Please pass in only one.")


async def _mark(tx: AsyncConnection, table: Table, kind: str, scope: ColumnElement[bool], id: str, param: str) -> Any:
    found = await tx.scalar(select(table.c.sequence).where(and_(scope, table.c.id == id)))
    if found is None:
        raise Missing(kind, id, param=param)
    return found
