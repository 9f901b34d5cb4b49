"""The condition a database is in, as `/readyz` and `meterline doctor` ask for it."""

import hashlib
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
    """What the server says of itself; `revision` is None when it has no tables of ours.

    They are `drafted` when that revision read otherwise as they were made.
    """

    version: str
    version_number: int
    durability: Mapping[str, str]
    revision: str | None
    drafted: bool
    clock: datetime


async def examine(dsn: str) -> Condition:
    """Ask the database at `dsn`. Raises OSError or asyncpg's errors when it does not answer."""
    connection = await asyncpg.connect(dsn, timeout=_PATIENCE_S)
    try:
        names = ("server_version", "server_version_num", *_DURABILITY)
        told = {name: str(await connection.fetchval("select current_setting($1)", name)) for name in names}
        found = await revision(connection)
        return Condition(
            version=told["server_version"],
            version_number=int(told["server_version_num"]),
            durability={name: told[name] for name in _DURABILITY},
            revision=found,
            drafted=found is not None and await connection.fetchval(MADE_BY) != made_by(found),
            clock=await connection.fetchval("select clock_timestamp()"),
        )
    finally:
        await connection.close()


def needed_revision() -> str:
    """The revision that this version of the code needs: the newest file's, without loading the migration tool."""
    newest = max(path.name for path in _REVISIONS.glob("[0-9]*.py"))
    return newest.partition("_")[0]


MADE_BY = "select obj_description(to_regclass('alembic_version'), 'pg_class')"
"""Asks a database what its revisions read like when they were run (see `made_by`)."""


def made_by(revision: str) -> str:
    """What the revisions up to that one read like: a digest, which a database keeps as a comment.

    Until the first release revision 0001 is written anew, and databases that it made before are not what it makes now.
    """
    text = "".join(
        path.read_text() for path in sorted(_REVISIONS.glob("[0-9]*.py")) if path.name.partition("_")[0] <= revision
    )
    return f"revisions to {revision}: {hashlib.sha256(text.encode()).hexdigest()[:32]}"


async def revision(connection: "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy") -> str | None:
    """The revision of the schema; None when there is none."""
    if await connection.fetchval("select to_regclass('alembic_version')") is None:
        return None
    found: str | None = await connection.fetchval("select version_num from alembic_version")
    return found
