"""`meterline backup` and `meterline restore`: everything into one file, and back, with PostgreSQL's own tools."""

import asyncio
import os
import subprocess
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from sqlalchemy.engine import make_url

from meterline.cli.database import address
from meterline.cli.option import DataDir, settings_with
from meterline.config import Settings
from meterline.store.condition import examine
from meterline.store.embedded import EmbeddedFailure, binaries


def backup(
    file: Annotated[Path, typer.Argument(help="The file to write; it must not exist.")],
    data_dir: DataDir = None,
) -> None:
    """Write everything into one file, as it stands at this instant; serving goes on meanwhile."""
    settings = settings_with(data_dir=data_dir)
    if file.exists():
        raise typer.BadParameter(f"{file} exists already", param_hint="FILE")
    unfinished = file.with_name(f"{file.name}.unfinished")
    with address(settings) as dsn:
        _run(settings, "pg_dump", dsn, ["--format=custom", f"--file={unfinished}"])
    unfinished.rename(file)
    Console(highlight=False).print(f"{file}: {file.stat().st_size / (1 << 20):.1f} MB")


def restore(
    file: Annotated[Path, typer.Argument(help="A file that `meterline backup` wrote.", exists=True, dir_okay=False)],
    data_dir: DataDir = None,
) -> None:
    """Fill an empty database from a backup, all of it or nothing."""
    settings = settings_with(data_dir=data_dir)
    with address(settings) as dsn:
        if asyncio.run(examine(dsn)).revision is not None:
            raise EmbeddedFailure(
                "The database is not empty, and nothing is overwritten. Restore into a new --data-dir (or, with "
                "DATABASE_URL, into a new database)."
            )
        _run(settings, "pg_restore", dsn, ["--no-owner", "--single-transaction", "--exit-on-error", str(file)])
        revision = asyncio.run(examine(dsn)).revision
    Console(highlight=False).print(f"{file} is restored; the schema is at revision {revision}.")


def _run(settings: Settings, tool: str, dsn: str, arguments: list[str]) -> None:
    """Run one of PostgreSQL's tools on the database. The password goes by the environment, which others cannot read."""
    url = make_url(dsn)
    environment = dict(os.environ)
    if url.password is not None:
        environment["PGPASSWORD"] = str(url.password)
    named = url.set(password=None).render_as_string()
    program = binaries.find(settings.postgres_bin).directory / tool
    done = subprocess.run(
        [program, f"--dbname={named}", *arguments], check=False, capture_output=True, text=True, env=environment
    )
    if done.returncode != 0:
        raise EmbeddedFailure(f"{tool} did not succeed: {done.stderr.strip()}")
