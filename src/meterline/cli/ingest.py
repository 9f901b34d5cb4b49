"""`meterline ingest`: send a file of usage to a running server, resumable, with the rejects in a file of their own."""

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
import zstandard
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from meterline.cli.table import SUFFIXES, Format, Mapping, UnreadableFile, digest, rows, text_rows

_TRIES = 8
_PATIENCE_S = 120.0


@dataclass(slots=True)
class Totals:
    """What became of the rows sent so far."""

    rows: int = 0
    fates: dict[str, int] = field(default_factory=lambda: {"accepted": 0, "duplicate": 0, "parked": 0, "rejected": 0})


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
        totals = _send_file(out, file, chosen, mapping, url, api_key, refused, batch)
    except UnreadableFile as error:
        out.print(f"[red]✗[/] {file}: {error}")
        sys.exit(1)
    except httpx.HTTPError as error:
        out.print(f"[red]✗[/] {url}: {error}. What was answered is counted; run the same command to go on.")
        sys.exit(1)
    told = ", ".join(f"{count:,} {fate}" for fate, count in totals.fates.items() if count)
    out.print(f"{totals.rows:,} rows: {told or 'nothing to do'}.")
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
    done = _resumed(state, source)
    totals = Totals(rows=done)
    numbered = islice(enumerate(found), done, None)
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
        task = progress.add_task(file.name, total=None, completed=done)
        while events := [mapping.event(row, source=source, number=n) for n, row in islice(numbered, batch)]:
            verdicts = _send(client, events)
            for n, (event, verdict) in enumerate(zip(events, verdicts, strict=True)):
                totals.fates[verdict["fate"]] += 1
                if verdict["fate"] in ("rejected", "parked"):
                    rejected.write(_line({"row": totals.rows + n, **verdict, "event": event}))
            totals.rows += len(events)
            rejected.flush()
            if state is not None:
                state.write_text(json.dumps({"source": source, "rows": totals.rows}), encoding="utf-8")
            progress.update(task, completed=totals.rows)
    if refused.stat().st_size == 0:
        refused.unlink()
    if state is not None:
        state.unlink(missing_ok=True)
    return totals


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


def _resumed(state: Path | None, source: str) -> int:
    """How many rows of this very file were answered before."""
    if state is None or not state.exists():
        return 0
    found = json.loads(state.read_text(encoding="utf-8"))
    return int(found["rows"]) if found["source"] == source else 0


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
