"""Many rows by their keys, in one statement whose text does not depend on how many they are."""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    ARRAY,
    Column,
    ColumnClause,
    ColumnElement,
    Integer,
    Table,
    TableValuedAlias,
    cast,
    column,
    func,
    select,
    tuple_,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeEngine

from meterline.store.database import driver, dump

_KEY = ("customer_id", "id")


def among(columns: Sequence[Column[Any]], keys: Iterable[tuple[Any, ...]]) -> ColumnElement[bool]:
    """The condition that these columns together are one of the keys, of which there is at least one."""
    return tuple_(*columns).in_(select(*_asked(columns, keys).c))


def numbered(columns: Sequence[ColumnClause[Any]], questions: Sequence[tuple[Any, ...]]) -> TableValuedAlias:
    """A table of questions that say more than a key: of these columns, and `n`, the place of the question."""
    places = column("n", Integer)
    return _asked((places, *columns), [(n, *question) for n, question in enumerate(questions)])


def _asked(columns: Sequence[ColumnClause[Any]], rows: Iterable[tuple[Any, ...]]) -> TableValuedAlias:
    values = zip(*rows, strict=True)
    arrays = [cast(list(found), ARRAY(each.type)) for each, found in zip(columns, values, strict=True)]
    asked = func.unnest(*arrays).table_valued(*(column(each.name, each.type) for each in columns))
    return asked.render_derived("asked")


async def insert_all(tx: AsyncConnection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Store new rows, which have the same columns, none of them an array."""
    if rows:
        names = tuple(rows[0])
        await (await driver(tx)).execute(_insert(table, names), *_arrays(table, names, rows))


async def update_all(tx: AsyncConnection, table: Table, rows: Iterable[dict[str, Any]]) -> None:
    """Store changed rows, each under its customer and id, in the order of these."""
    changed = sorted(rows, key=lambda row: (row["customer_id"], row["id"]))
    if changed:
        names = tuple(changed[0])
        await (await driver(tx)).execute(_update(table, names), *_arrays(table, names, changed))


@cache
def _insert(table: Table, names: tuple[str, ...]) -> str:
    listed = ", ".join(f'"{name}"' for name in names)
    return f'INSERT INTO "{table.name}" ({listed}) SELECT * FROM {_unnested(table, names)}'


@cache
def _update(table: Table, names: tuple[str, ...]) -> str:
    changes = ", ".join(f'"{name}" = changed."{name}"' for name in names if name not in _KEY)
    mine = "its.customer_id = changed.customer_id AND its.id = changed.id"
    return f'UPDATE "{table.name}" AS its SET {changes} FROM {_unnested(table, names)} WHERE {mine}'


def _unnested(table: Table, names: tuple[str, ...]) -> str:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    types = [table.c[name].type.compile(dialect) for name in names]
    arrays = ", ".join(f"${place}::{type}[]" for place, type in enumerate(types, 1))
    listed = ", ".join(f'"{name}"' for name in names)
    return f"unnest({arrays}) AS changed ({listed})"


def _arrays(table: Table, names: tuple[str, ...], rows: Sequence[dict[str, Any]]) -> list[list[Any]]:
    return [_written(table.c[name].type, [row[name] for row in rows]) for name in names]


def _written(type: TypeEngine[Any], values: list[Any]) -> list[Any]:
    if not isinstance(type, JSONB):
        return values
    return [None if value is None and type.none_as_null else dump(value) for value in values]
