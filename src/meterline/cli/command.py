"""The commands put together; a failure that was foreseen is one sentence and exit code 1, never a traceback."""

import sys

import typer
from rich.console import Console

from meterline.cli.backup import backup, restore
from meterline.cli.books import export, verify
from meterline.cli.counters import counters
from meterline.cli.demo import demo
from meterline.cli.doctor import doctor
from meterline.cli.due import due
from meterline.cli.ingest import ingest
from meterline.cli.keys import keys
from meterline.cli.migrate import migrate
from meterline.cli.serve import serve
from meterline.store.embedded import EmbeddedFailure
from meterline.store.migration import Drafted

app = typer.Typer(
    help="Usage-based billing that you run yourself.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(serve)
app.command()(migrate)
app.add_typer(keys, name="keys")
app.command()(doctor)
app.add_typer(due, name="due")
app.command()(demo)
app.command()(ingest)
app.command()(backup)
app.command()(restore)
app.add_typer(verify, name="verify")
verify.command()(counters)
app.add_typer(export, name="export")


def main() -> None:
    """The entry point of `meterline`."""
    try:
        app()
    except (EmbeddedFailure, Drafted) as failure:
        Console(stderr=True).print(f"[red]✗[/] {failure}", highlight=False, soft_wrap=True)
        sys.exit(1)
