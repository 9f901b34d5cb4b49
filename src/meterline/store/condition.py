"""The condition a database is in, as `/readyz` and `meterline doctor` ask for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import asyncpg

_DURABILITY = ("fsync", "synchronous_commit", "full_page_writes")
_PATIENCE_S = 10
_REVISIONS = Path(__file__).parent / "migrations" / "versions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What the server says of itself; `revision` is None when it has no tables of ours."""

    version: str
    version_number: int
    durability: Mapping[str, str]
    revision: str | None
    clock: datetime


async def examine(dsn: str) -> Condition:
    """Ask the database at `dsn`. Raises OSError or asyncpg's errors when it does not answer."""
    connection = await asyncpg.connect(dsn, timeout=_PATIENCE_S)
    try:
        names = ("server_version", "server_version_num", *_DURABILITY)
        told = {name: str(await connection.fetchval("select current_setting($1)", name)) for name in names}
        return Condition(
            version=told["server_version"],
            version_number=int(told["server_version_num"]),
            durability={name: told[name] for name in _DURABILITY},
            revision=await revision(connection),
            clock=await connection.fetchval("select clock_timestamp()"),
        )
    finally:
        await connection.close()


def needed_revision() -> str:
    """The revision that this version of the code needs: the newest file's, without loading the migration tool."""
    newest = max(path.name for path in _REVISIONS.glob("[0-9]*.py"))
    return newest.partition("_")[0]


async def revision(connection: "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy") -> str | None:
    """The revision of the schema; None when there is none."""
    if await connection.fetchval("select to_regclass('alembic_version')") is None:
        return None
    found: str | None = await connection.fetchval("select version_num from alembic_version")
    return found
