"""Between frozen dataclasses and rows: columns are named like fields, nested values are JSON documents."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

import msgspec
from sqlalchemy import Row, Table
from sqlalchemy.dialects.postgresql import JSONB

T = TypeVar("T")

_loaders: dict[type, Callable[[Mapping[str, Any]], Any]] = {}


def values(thing: object, table: Table, **more: object) -> dict[str, Any]:
    """The row for a dataclass: every field that has a column, plus `more`."""
    row: dict[str, Any] = {}
    for name, is_document in _columns(type(thing), table):
        value = getattr(thing, name)
        row[name] = document(value) if is_document else value
    return row | more


_columns_of: dict[tuple[type, Table], tuple[tuple[str, bool], ...]] = {}


def _columns(cls: type, table: Table) -> tuple[tuple[str, bool], ...]:
    """The fields of a dataclass that a table has a column for, and whether that holds a document."""
    found = _columns_of.get((cls, table))
    if found is None:
        names = [name for name in _names(cls) if name in table.columns]
        found = tuple((name, isinstance(table.columns[name].type, JSONB)) for name in names)
        _columns_of[cls, table] = found
    return found


_names_of: dict[type, tuple[str, ...]] = {}


def _names(cls: type) -> tuple[str, ...]:
    found = _names_of.get(cls)
    if found is None:
        assert dataclasses.is_dataclass(cls)
        found = _names_of[cls] = tuple(field.name for field in dataclasses.fields(cls))
    return found


def load(cls: type[T], row: Row[Any] | Mapping[str, Any], **more: object) -> T:
    """The dataclass for a row, or for the plain data of a notice; names without a field are left out."""
    kept = members(row)
    if cls in _loaders:
        found: T = _loaders[cls](kept | more)
        return found
    names = _names(cls)
    return msgspec.convert({name: kept[name] for name in names if name in kept} | more, cls, strict=False)


def loads(cls: type[T]) -> Callable[[Callable[[Mapping[str, Any]], T]], Callable[[Mapping[str, Any]], T]]:
    """Register how a dataclass is loaded whose fields alone do not say it (a union of dataclasses)."""

    def register(loader: Callable[[Mapping[str, Any]], T]) -> Callable[[Mapping[str, Any]], T]:
        _loaders[cls] = loader
        return loader

    return register


def members(row: Row[Any] | Mapping[str, Any]) -> dict[str, Any]:
    """What a row, or the plain data kept of an object, holds by name."""
    names = getattr(row, "_fields", None)  # cheaper than asking for the class, which is abstract
    return dict(row) if names is None else dict(zip(names, row, strict=True))


def document(value: object) -> Any:
    """JSON-ready data: decimals and instants as text, dataclasses as objects, None kept."""
    form = _forms.get(type(value))
    if form is None:
        form = _forms[type(value)] = _form_of(type(value))
    return form(value)


Form: TypeAlias = Callable[[Any], Any]

_AS_IT_IS: frozenset[type] = frozenset({str, int, bool, bytes, type(None)})

_forms: dict[type, Form] = {}


def _form_of(cls: type) -> Form:
    """How values of a class are told; worked out once."""
    if issubclass(cls, Decimal):
        return lambda value: format(value, "f")
    if issubclass(cls, datetime):
        return datetime.isoformat
    if issubclass(cls, UUID):
        return str
    if issubclass(cls, tuple(_AS_IT_IS)):
        return lambda value: value
    if dataclasses.is_dataclass(cls):
        return _object_form(tuple(field.name for field in dataclasses.fields(cls)))
    if issubclass(cls, Mapping):
        return lambda value: {str(key): document(member) for key, member in value.items()}
    if issubclass(cls, Iterable):
        return lambda value: [document(member) for member in value]
    raise TypeError(f"no JSON form for {cls.__name__}")


def _object_form(names: tuple[str, ...]) -> Form:
    def form(value: Any) -> dict[str, Any]:
        found = {}
        for name in names:
            member = getattr(value, name)
            found[name] = member if type(member) in _AS_IT_IS else document(member)
        return found

    return form
