"""Between frozen dataclasses and rows: columns are named like fields, nested values are JSON documents."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from sqlalchemy import Row, Table
from sqlalchemy.dialects.postgresql import JSONB

T = TypeVar("T")

_loaders: dict[type, Callable[[Mapping[str, Any]], Any]] = {}

_PLAIN = (str, int, bool, Decimal, datetime, UUID, bytes, type(None))


def values(thing: object, table: Table, **more: object) -> dict[str, Any]:
    """The row for a dataclass: every field that has a column, plus `more`."""
    assert dataclasses.is_dataclass(thing) and not isinstance(thing, type)
    row: dict[str, Any] = {}
    for field in dataclasses.fields(thing):
        column = table.columns.get(field.name)
        if column is not None:
            value = getattr(thing, field.name)
            row[field.name] = document(value) if isinstance(column.type, JSONB) else value
    return row | more


def load(cls: type[T], row: Row[Any] | Mapping[str, Any], **more: object) -> T:
    """The dataclass for a row, or for the plain data of a notice; names without a field are left out."""
    kept = members(row)
    if cls in _loaders:
        found: T = _loaders[cls](kept | more)
        return found
    names = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    return msgspec.convert({name: kept[name] for name in names if name in kept} | more, cls, strict=False)


def loads(cls: type[T]) -> Callable[[Callable[[Mapping[str, Any]], T]], Callable[[Mapping[str, Any]], T]]:
    """Register how a dataclass is loaded whose fields alone do not say it (a union of dataclasses)."""

    def register(loader: Callable[[Mapping[str, Any]], T]) -> Callable[[Mapping[str, Any]], T]:
        _loaders[cls] = loader
        return loader

    return register


def members(row: Row[Any] | Mapping[str, Any]) -> dict[str, Any]:
    """What a row, or the plain data kept of an object, holds by name."""
    return row._asdict() if isinstance(row, Row) else dict(row)


def document(value: object) -> Any:
    """JSON-ready data: decimals and instants as text, dataclasses as objects, None kept."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, _PLAIN):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: document(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): document(member) for key, member in value.items()}
    if isinstance(value, Iterable):
        return [document(member) for member in value]
    raise TypeError(f"no JSON form for {type(value).__name__}")
