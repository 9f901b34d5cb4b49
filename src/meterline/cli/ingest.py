"""`meterline ingest`: send a file of usage to a running server, resumable, with the rejects in a file of their own."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
import zstandard
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from meterline.cli.table import SUFFIXES, Format, Mapping, Row, UnreadableFile, UnreadableRow, digest, rows, text_rows

_TRIES = 8
_PATIENCE_S = 120.0


@dataclass(slots=True)
class Totals:
    """What became of the rows sent so far."""

    rows: int = 0
    before: int = 0
    fates: dict[str, int] = field(default_factory=lambda: {"accepted": 0, "duplicate": 0, "parked": 0, "rejected": 0})


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """How far a file was sent: rows that were answered, and bytes of rejects kept of them."""

    source: str
    rows: int = 0
    rejected: int = 0


def ingest(
    file: Annotated[Path, typer.Argument(help="CSV, NDJSON or Parquet; - reads NDJSON or CSV from standard input.")],
    url: Annotated[str, typer.Option(envvar="METERLINE_URL", help="Where the server is.")] = "http://127.0.0.1:8420",
    api_key: Annotated[str | None, typer.Option(envvar="METERLINE_API_KEY", help="The key to send it with.")] = None,
    form: Annotated[str | None, typer.Option("--format", help="csv, ndjson or parquet; else by the suffix.")] = None,
    event_name: Annotated[str | None, typer.Option(help="The event name of every row.")] = None,
    event_name_column: Annotated[str | None, typer.Option(help="The column with the event name.")] = None,
    timestamp: Annotated[str | None, typer.Option(help="The column with the time, UTC without an offset.")] = None,
    identifier: Annotated[str | None, typer.Option(help="The column with the identifier; else file and row.")] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(help="MEMBER=COLUMN: a member of the payload, several times; else every column."),
    ] = None,
    rejects: Annotated[Path | None, typer.Option(help="Where rows go that were not counted.")] = None,
    batch: Annotated[int, typer.Option(min=1, max=10_000, help="Rows per request.")] = 2_000,
) -> None:
    """Send a file of usage events. Stopped and started again, it goes on where it was; a repeat changes nothing."""
    out = Console(stderr=True, highlight=False)
    if api_key is None:
        out.print("[red]✗[/] Give a key with --api-key or METERLINE_API_KEY.")
        sys.exit(2)
    mapping = Mapping(
        event_name=event_name,
        event_name_column=event_name_column,
        timestamp=timestamp,
        identifier=identifier,
        payload=dict(_pair(each) for each in column or []),
    )
    chosen = _format(file, form)
    beside = Path("stdin") if str(file) == "-" else file
    refused = rejects or beside.with_name(beside.name + ".rejects.ndjson")
    try:
        with _unless_empty(refused):
            totals = _send_file(out, file, chosen, mapping, url, api_key, refused, batch)
    except (UnreadableFile, OSError) as error:
        out.print(f"[red]✗[/] {file}: {error.strerror if isinstance(error, OSError) else error}")
        sys.exit(1)
    except httpx.HTTPError as error:
        out.print(f"[red]✗[/] {url}: {error}. What was answered is counted; run the same command to go on.")
        sys.exit(1)
    told = ", ".join(f"{count:,} {fate}" for fate, count in totals.fates.items() if count)
    earlier = f" {totals.before:,} of them were sent before." if totals.before else ""
    out.print(f"{totals.rows:,} rows: {told or 'nothing to do'}.{earlier}")
    if totals.fates["rejected"] or totals.fates["parked"]:
        out.print(f"Rows that were not counted are in {refused}.")
        sys.exit(1)


def _send_file(
    out: Console,
    file: Path,
    form: Format,
    mapping: Mapping,
    url: str,
    api_key: str,
    refused: Path,
    batch: int,
) -> Totals:
    if str(file) == "-":
        source, state, found = f"stdin-{time.time_ns()}", None, text_rows(sys.stdin, form)
    else:
        source = digest(file)
        state, found = file.with_name(file.name + ".progress"), rows(file, form)
    before = _resumed(state, source)
    totals = Totals(rows=before.rows, before=before.rows)
    numbered = islice(enumerate(_checked(found, mapping, form)), before.rows, None)
    headers = {
        "authorization": f"Bearer {api_key}",
        "content-type": "application/x-ndjson",
        "content-encoding": "zstd",
    }
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with (
        httpx.Client(base_url=url, headers=headers, timeout=60) as client,
        refused.open("a", encoding="utf-8") as rejected,
        Progress(*columns, console=out, transient=True) as progress,
    ):
        rejected.truncate(min(before.rejected, rejected.tell()))
        task = progress.add_task(file.name, total=None, completed=totals.rows)
        while some := list(islice(numbered, batch)):
            for n, verdict in _judged(client, some, mapping, source):
                totals.fates[verdict["fate"]] += 1
                if verdict["fate"] in ("rejected", "parked"):
                    rejected.write(_line({"row": n, **verdict}))
            totals.rows += len(some)
            rejected.flush()
            if state is not None:
                _keep(state, Sent(source=source, rows=totals.rows, rejected=refused.stat().st_size))
            progress.update(task, completed=totals.rows)
    if state is not None:
        state.unlink(missing_ok=True)
    return totals


@contextmanager
def _unless_empty(refused: Path) -> Iterator[None]:
    """No file of rejects is left behind when there are none."""
    try:
        yield
    finally:
        if refused.exists() and refused.stat().st_size == 0:
            refused.unlink()


def _checked(found: Iterator[Row], mapping: Mapping, form: Format) -> Iterator[Row]:
    """The same rows; the first that can be read shows whether the mapping fits the file."""
    fits = False
    for row in found:
        if not fits and not isinstance(row, UnreadableRow):
            mapping.check(row, form)
            fits = True
        yield row


def _judged(
    client: httpx.Client, some: list[tuple[int, Row]], mapping: Mapping, source: str
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The verdict on each row, with what the row said."""
    events = {n: mapping.event(row, source=source, number=n) for n, row in some if not isinstance(row, UnreadableRow)}
    verdicts = iter(_send(client, list(events.values())) if events else [])
    for n, row in some:
        if isinstance(row, UnreadableRow):
            yield n, {"fate": "rejected", "code": "unreadable", "message": row.why, "line": row.line}
        else:
            yield n, {**next(verdicts), "event": events[n]}


def _send(client: httpx.Client, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The verdicts, after as many tries as it takes while the server is away or full."""
    body = zstandard.compress("".join(_line(event) for event in events).encode())
    give_up = time.monotonic() + _PATIENCE_S
    for pause in _pauses():
        try:
            answer = client.post("/ingest/events", content=body)
        except httpx.TransportError:
            if time.monotonic() > give_up:
                raise
            time.sleep(pause)
            continue
        if answer.status_code in (429, 503) and time.monotonic() < give_up:
            time.sleep(pause)
            continue
        answer.raise_for_status()
        verdicts: list[dict[str, Any]] = answer.json()["verdicts"]
        return verdicts
    raise AssertionError("pauses never end")


def _pauses() -> Iterator[float]:
    for tries in range(_TRIES):
        yield 0.2 * 1.7**tries
    while True:
        yield 5.0


def _resumed(state: Path | None, source: str) -> Sent:
    """How much of this very file was answered before."""
    if state is not None and state.exists():
        found = Sent(**json.loads(state.read_text(encoding="utf-8")))
        if found.source == source:
            return found
    return Sent(source=source)


def _keep(state: Path, sent: Sent) -> None:
    """Whole or not at all: whoever is killed here goes on from the last batch or from the one before."""
    beside = state.with_name(state.name + ".new")
    beside.write_text(json.dumps(asdict(sent)), encoding="utf-8")
    beside.replace(state)


def _format(file: Path, form: str | None) -> Format:
    if form in ("csv", "ndjson", "parquet"):
        return form  # type: ignore[return-value]
    if form is not None:
        raise typer.BadParameter("csv, ndjson or parquet", param_hint="--format")
    return SUFFIXES.get(file.suffix.lower(), "ndjson")


def _pair(text: str) -> tuple[str, str]:
    member, equals, column = text.partition("=")
    if not (member and equals and column):
        raise typer.BadParameter("MEMBER=COLUMN", param_hint="--column")
    return member, column


def _line(document: dict[str, Any]) -> str:
    return json.dumps(document, default=str, ensure_ascii=False) + "\n"
