"""`meterline doctor`: is everything that Meterline needs in order, and if not, what to do."""

import asyncio
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import typer
from rich.console import Console

from meterline.cli.database import address
from meterline.cli.option import DataDir, settings_with
from meterline.config import Settings
from meterline.store import migration
from meterline.store.condition import Condition, examine
from meterline.store.embedded import EmbeddedFailure

_OLDEST_SERVER = 150_000
_MOST_SKEW = timedelta(seconds=2)
_BUILT = datetime(2026, 1, 1, tzinfo=UTC)
_LEAST_FREE_BYTES = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing looked at: what was found, and what to do when it is not in order."""

    name: str
    found: str
    fix: str | None = None


def doctor(data_dir: DataDir = None) -> None:
    """Check the database, its schema, the clock and the disk; exit code 1 when something needs a fix."""
    settings = settings_with(data_dir=data_dir)
    checks = [disk(settings), *_database(settings)]
    out = Console(highlight=False)
    for check in checks:
        mark = "[green]✓[/]" if check.fix is None else "[red]✗[/]"
        out.print(f"{mark} [bold]{check.name}[/]: {check.found}", soft_wrap=True)
        if check.fix is not None:
            out.print(f"    fix: {check.fix}", soft_wrap=True)
    if any(check.fix is not None for check in checks):
        raise typer.Exit(1)


def disk(settings: Settings) -> Check:
    """Is there room where the data is?"""
    directory = settings.data_dir.expanduser().absolute()
    free = shutil.disk_usage(_nearest(directory)).free
    found = f"{free / (1 << 30):.1f} GB free for {directory}"
    if settings.database_url is None and free < _LEAST_FREE_BYTES:
        return Check(name="disk", found=found, fix="free at least 1 GB there, or move the data with --data-dir.")
    return Check(name="disk", found=found)


def _database(settings: Settings) -> list[Check]:
    try:
        with address(settings) as dsn:
            condition, now = asyncio.run(_examine(dsn))
    except EmbeddedFailure as failure:
        return [Check(name="database", found="the embedded PostgreSQL does not run", fix=str(failure))]
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        fix = "check that the server of DATABASE_URL runs, and the user, password and database in it."
        return [Check(name="database", found=f"no answer ({type(error).__name__}: {error})", fix=fix)]
    return [server(condition), durability(condition), schema(condition), clock(condition, now=now)]


async def _examine(dsn: str) -> tuple[Condition, datetime]:
    condition = await examine(dsn)
    return condition, datetime.now(UTC)


def server(condition: Condition) -> Check:
    """Is the server new enough?"""
    found = f"PostgreSQL {condition.version} answers"
    if condition.version_number < _OLDEST_SERVER:
        return Check(name="database", found=found, fix="use PostgreSQL 15 or newer.")
    return Check(name="database", found=found)


def durability(condition: Condition) -> Check:
    """Does a commit reach the disk before it is answered?"""
    off = [name for name, value in condition.durability.items() if value == "off"]
    if off:
        names = ", ".join(off)
        fix = f"set {names} to on in the server's configuration: what was answered could be lost in a power cut."
        return Check(name="durability", found=f"{names} off", fix=fix)
    return Check(name="durability", found="a commit is on disk before it is answered")


def schema(condition: Condition) -> Check:
    """Are the tables those that this version needs?"""
    needed = migration.head()
    if condition.revision is not None and condition.drafted:
        found = f"revision {condition.revision}, of another draft"
        return Check(name="migrations", found=found, fix=str(migration.Drafted(condition.revision)))
    if condition.revision == needed:
        return Check(name="migrations", found=f"revision {needed}, as this version needs")
    found = f"revision {condition.revision or 'none'}, and this version needs {needed}"
    return Check(name="migrations", found=found, fix="run `meterline migrate` (`meterline serve` does it as well).")


def clock(condition: Condition, *, now: datetime) -> Check:
    """Do this machine and the database agree on the time, and is it a possible one?"""
    skew = abs(now - condition.clock)
    fix = "set the clock of this machine (an NTP service such as chrony or systemd-timesyncd keeps it right)."
    if now < _BUILT:
        return Check(name="clock", found=f"this machine thinks it is {now:%Y-%m-%d}", fix=fix)
    if skew > _MOST_SKEW:
        return Check(name="clock", found=f"{skew.total_seconds():.1f} s away from the database's clock", fix=fix)
    return Check(name="clock", found=f"{now:%Y-%m-%d %H:%M:%S} UTC, as the database's")


def _nearest(directory: Path) -> Path:
    """The directory, or the first above it that exists."""
    return next(path for path in (directory, *directory.parents) if path.exists())
