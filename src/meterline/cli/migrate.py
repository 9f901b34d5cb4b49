"""`meterline migrate`: bring the database's schema to what this version needs."""

import asyncio

from rich.console import Console

from meterline.cli.database import address
from meterline.cli.option import DataDir, settings_with
from meterline.store import migration


def migrate(data_dir: DataDir = None) -> None:
    """Bring the database to the schema of this version; harmless when it is there already."""
    with address(settings_with(data_dir=data_dir)) as dsn:
        before, after = asyncio.run(migration.upgrade(dsn))
    out = Console(highlight=False)
    if before == after:
        out.print(f"The schema is at revision {after} already.")
    else:
        out.print(f"The schema went from {before or 'nothing'} to revision {after}.")
