"""`meterline due`: the work that could not be done, and letting it be tried again."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.cli.database import address
from meterline.cli.option import DataDir, settings_with
from meterline.config import Settings
from meterline.store import due as store
from meterline.store.database import Database
from meterline.store.due import Due

due = typer.Typer(help="Look at the work that was given up, and let it be tried again.", no_args_is_help=True)

_WIDE = 140
_Answer = TypeVar("_Answer")


@due.command("list")
def list_due(
    env: Annotated[str | None, typer.Option(help="Only this environment's.", show_default=False)] = None,
    data_dir: DataDir = None,
) -> None:
    """List the work that was given up, oldest first; exit code 1 when there is some."""
    found = _with_database(settings_with(data_dir=data_dir), lambda tx: store.failed(tx, environment=env))
    if not found:
        Console().print("No work was given up.")
        return
    table = Table("environment", "kind", "subject", "due", "given up", "attempts", "why", box=None)
    for row in found:
        table.add_row(
            row.environment,
            row.kind,
            row.subject,
            f"{row.due_at:%Y-%m-%d %H:%M}",
            f"{row.failed_at:%Y-%m-%d %H:%M}",
            str(row.attempts),
            row.last_error or "",
        )
    # Subjects are for copying: a narrow terminal wraps the lines, it does not shorten them.
    Console(width=max(Console().width, _WIDE)).print(table, soft_wrap=True)
    raise typer.Exit(1)


@due.command()
def retry(
    subject: Annotated[str, typer.Argument(help="What the work is about, as `due list` shows it.")],
    data_dir: DataDir = None,
) -> None:
    """Let given-up work be tried again: now, and as often as before."""

    async def revive(tx: AsyncConnection) -> list[Due]:
        rows = [row for row in await store.failed(tx) if row.subject == subject]
        for row in rows:
            await store.revive(tx, row)
        return rows

    revived = _with_database(settings_with(data_dir=data_dir), revive)
    if not revived:
        Console(stderr=True).print(f"No work about {subject} was given up.")
        raise typer.Exit(1)
    kinds = ", ".join(sorted({row.kind for row in revived}))
    Console().print(f"{kinds} of {subject} will be tried again.")


def _with_database(settings: Settings, work: Callable[[AsyncConnection], Awaitable[_Answer]]) -> _Answer:
    """What `work` answers, in one transaction on the configured database."""

    async def run(dsn: str) -> _Answer:
        database = Database(dsn, control_connections=1, hot_connections=1)
        try:
            async with database.begin() as tx:
                return await work(tx)
        finally:
            await database.close()

    with address(settings) as dsn:
        return asyncio.run(run(dsn))
