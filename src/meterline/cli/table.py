"""Reading a file of usage, row by row: CSV, NDJSON or Parquet, and how its columns become events."""

import csv
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, TextIO

Format = Literal["csv", "ndjson", "parquet"]
SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".parquet": "parquet",
}


class UnreadableFile(Exception):
    """The file cannot be read as what it is said to be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """Which column says what. `payload` maps members of the event's payload to columns."""

    event_name: str | None
    event_name_column: str | None
    timestamp: str | None
    identifier: str | None
    payload: dict[str, str]

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


def rows(path: Path, form: Format) -> Iterator[dict[str, Any]]:
    """The rows of a file, streamed."""
    if form == "parquet":
        yield from _parquet(path)
        return
    with path.open(encoding="utf-8", newline="") as opened:
        yield from text_rows(opened, form)


def text_rows(opened: TextIO, form: Format) -> Iterator[dict[str, Any]]:
    """The rows of an open text."""
    if form == "csv":
        yield from csv.DictReader(opened)
        return
    for number, line in enumerate(opened, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line, parse_float=Decimal)
        except ValueError as error:
            raise UnreadableFile(f"line {number} is not JSON: {error}") from None
        if not isinstance(row, dict):
            raise UnreadableFile(f"line {number} is not a JSON object")
        yield row


def _parquet(path: Path) -> Iterator[dict[str, Any]]:
    try:
        parquet = import_module("pyarrow.parquet")
    except ImportError:
        raise UnreadableFile("Parquet needs pyarrow: install meterline[parquet].") from None
    for batch in parquet.ParquetFile(path).iter_batches(batch_size=5_000):
        yield from batch.to_pylist()


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
