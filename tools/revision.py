"""Draft the next schema revision from the tables as they are declared: `make revision MESSAGE="Add x to y"`.

A throw-away server is brought to the newest revision and compared with the declared tables; the difference becomes
a new file in `src/meterline/store/migrations/versions`, to be read and corrected by a person. `--first` writes
revision 0001 anew instead, which is right only until the first release.
"""

import argparse
import asyncio
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from alembic import command
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from meterline.store import migration
from meterline.store.database import sqlalchemy_url
from meterline.store.embedded import Server

VERSIONS = Path(__file__).parents[1] / "src/meterline/store/migrations/versions"


def main() -> None:
    """Read the arguments, draft the file, lay it out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("message")
    parser.add_argument("--first", action="store_true", help="write revision 0001 anew")
    arguments = parser.parse_args()
    if arguments.first:
        for old in VERSIONS.glob("*.py"):
            old.unlink()
    number = f"{len(list(VERSIONS.glob('*.py'))) + 1:04}"
    directory = Path(tempfile.mkdtemp(prefix="meterline-revision-"))
    try:
        with Server(directory, extra={"fsync": "off"}) as server:
            asyncio.run(_draft(server.dsn(), number, arguments.message))
    finally:
        shutil.rmtree(directory)
    for path in VERSIONS.glob(f"{number}_*.py"):
        kept = [line for line in path.read_text().splitlines(keepends=True) if not line.startswith("    # ###")]
        path.write_text("".join(kept))
        for step in (["format"], ["check", "--fix"], ["format"]):
            subprocess.run([sys.executable, "-m", "ruff", *step, "--quiet", path], check=True)


async def _draft(dsn: str, number: str, message: str) -> None:
    if number != "0001":
        await migration.upgrade(dsn)
    engine = create_async_engine(sqlalchemy_url(dsn))

    def write(connection: Connection) -> None:
        command.revision(migration.config(connection), message=message, autogenerate=True, rev_id=number)

    async with engine.begin() as tx:
        await tx.run_sync(write)
    await engine.dispose()


if __name__ == "__main__":
    main()
