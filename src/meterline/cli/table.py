"""Reading a file of usage, row by row: CSV, NDJSON or Parquet, and how its columns become events."""

import csv
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, TextIO, TypeAlias

Format = Literal["csv", "ndjson", "parquet"]
SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".parquet": "parquet",
}


_SURPLUS = "\0surplus"


class UnreadableFile(Exception):
    """The file cannot be read as what it is said to be."""


@dataclass(frozen=True, slots=True)
class UnreadableRow:
    """A row that cannot be an event; the others go on without it."""

    line: str
    why: str


Row: TypeAlias = "dict[str, Any] | UnreadableRow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """Which column says what. `payload` maps members of the event's payload to columns."""

    event_name: str | None
    event_name_column: str | None
    timestamp: str | None
    identifier: str | None
    payload: dict[str, str]

    def check(self, row: dict[str, Any], form: Format) -> None:
        """Refuse a file that has not got what is asked for, before all of its rows are. Raises UnreadableFile."""
        if not self.payload and "event_name" in row:
            return
        if self.event_name is None and self.event_name_column is None:
            raise UnreadableFile("say which events these are, with --event-name or --event-name-column.")
        named = {self.event_name_column, self.timestamp, self.identifier, *self.payload.values()} - {None}
        missing = sorted(str(name) for name in named - row.keys())
        if missing and form != "ndjson":
            raise UnreadableFile(f"there is no column {', '.join(missing)}; there are {', '.join(row)}.")

    def event(self, row: dict[str, Any], *, source: str, number: int) -> dict[str, Any]:
        """The event of a row. One without an identifier gets the file's digest and its row number."""
        if not self.payload and "event_name" in row:
            event = dict(row)
        else:
            members = self.payload or {name: name for name in row}
            event = {
                "event_name": row.get(self.event_name_column) if self.event_name_column else self.event_name,
                "payload": {member: _plain(row.get(column)) for member, column in members.items()},
            }
            if self.timestamp is not None:
                event["timestamp"] = _instant(row.get(self.timestamp))
            if self.identifier is not None:
                event["identifier"] = str(row.get(self.identifier))
        event.setdefault("identifier", f"{source}-{number}")
        return event


def rows(path: Path, form: Format) -> Iterator[Row]:
    """The rows of a file, streamed. Raises UnreadableFile."""
    if form == "parquet":
        yield from _parquet(path)
        return
    with path.open(encoding="utf-8-sig", newline="") as opened:
        yield from text_rows(opened, form)


def text_rows(opened: TextIO, form: Format) -> Iterator[Row]:
    """The rows of an open text. Raises UnreadableFile."""
    try:
        yield from _csv(opened) if form == "csv" else _ndjson(opened)
    except (UnicodeDecodeError, csv.Error) as error:
        raise UnreadableFile(f"it is not {form} in UTF-8: {error}") from None


def _csv(opened: TextIO) -> Iterator[Row]:
    for row in csv.DictReader(opened, restkey=_SURPLUS):
        surplus = row.pop(_SURPLUS, None)
        if surplus is None:
            yield row
        else:
            yield UnreadableRow(",".join([*row.values(), *surplus]), "It has more cells than the first line.")


def _ndjson(opened: TextIO) -> Iterator[Row]:
    for line in opened:
        if not line.strip():
            continue
        try:
            row = json.loads(line, parse_float=Decimal)
        except ValueError as error:
            yield UnreadableRow(line.rstrip("\n"), f"It is not JSON: {error}.")
        else:
            yield row if isinstance(row, dict) else UnreadableRow(line.rstrip("\n"), "It is not a JSON object.")


def _parquet(path: Path) -> Iterator[Row]:
    try:
        parquet = import_module("pyarrow.parquet")
    except ImportError:
        raise UnreadableFile("Parquet needs pyarrow: install meterline[parquet].") from None
    try:
        for batch in parquet.ParquetFile(path).iter_batches(batch_size=5_000):
            yield from batch.to_pylist()
    except ValueError as error:
        raise UnreadableFile(f"it is not Parquet: {error}") from None


def digest(path: Path) -> str:
    """What a file's rows are known by: its contents, not its name, so that a copy counts once."""
    summed = hashlib.blake2b(digest_size=12)
    with path.open("rb") as opened:
        while chunk := opened.read(1 << 20):
            summed.update(chunk)
    return summed.hexdigest()


def _plain(value: Any) -> Any:
    """A cell as JSON says it: texts and whole numbers as they are, other numbers as decimal text."""
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Decimal):
        return format(value, "f")
    return repr(value) if isinstance(value, complex) else str(value)


def _instant(value: Any) -> Any:
    if hasattr(value, "isoformat"):
        text = value.isoformat()
        return text if value.tzinfo is not None else f"{text}Z"
    if isinstance(value, str) and value.isdigit():
        return int(value)
    if isinstance(value, str) and value[-1:] != "Z" and "+" not in value[10:] and "-" not in value[10:]:
        return f"{value}Z"
    return value
