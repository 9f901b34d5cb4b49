"""Many rows by their keys, in one statement whose text does not depend on how many they are."""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    ARRAY,
    Column,
    ColumnElement,
    Table,
    Update,
    bindparam,
    cast,
    column,
    func,
    select,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection


def among(columns: Sequence[Column[Any]], keys: Iterable[tuple[Any, ...]]) -> ColumnElement[bool]:
    """The condition that these columns together are one of the keys, of which there is at least one."""
    values = zip(*keys, strict=True)
    arrays = [cast(list(found), ARRAY(each.type)) for each, found in zip(columns, values, strict=True)]
    asked = func.unnest(*arrays).table_valued(*(column(each.name, each.type) for each in columns))
    asked = asked.render_derived("asked")
    return tuple_(*columns).in_(select(*asked.c))


async def update_all(tx: AsyncConnection, table: Table, rows: Iterable[dict[str, Any]]) -> None:
    """Store changed rows, each under its customer and id, in the order of these."""
    changed = sorted(rows, key=lambda row: (row["customer_id"], row["id"]))
    if not changed:
        return
    values = [{f"its_{name}" if name in ("customer_id", "id") else name: row[name] for name in row} for row in changed]
    names = tuple(name for name in changed[0] if name not in ("customer_id", "id"))
    await tx.execute(_update(table, names), values)


@cache
def _update(table: Table, names: tuple[str, ...]) -> Update:
    key = (table.c.customer_id == bindparam("its_customer_id"), table.c.id == bindparam("its_id"))
    return update(table).where(*key).values({name: bindparam(name) for name in names})
