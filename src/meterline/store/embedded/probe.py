"""Is a server there? Asked by connecting, because a process id proves nothing."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from typing import TypeVar

import asyncpg

from meterline.store.embedded.failure import EmbeddedFailure

_PATIENCE_S = 30
_Answer = TypeVar("_Answer")


class Health(Enum):
    """What a connection attempt found."""

    ABSENT = "absent"
    BUSY = "busy"
    READY = "ready"


def health(dsn: str) -> Health:
    """READY when a query was answered, BUSY while the server starts, recovers or stops, ABSENT when none listens."""
    return _run(_ask(dsn))


def data_directory(dsn: str) -> str:
    """The data directory that the server at `dsn` says it serves."""
    return str(_run(_value(dsn, "show data_directory")))


def make_database(dsn: str, name: str) -> None:
    """Create the database on the server at `dsn` unless it is there."""
    _run(_make_database(dsn, name))


def _run(work: Coroutine[None, None, _Answer]) -> _Answer:
    # A thread of its own, so that a caller inside an event loop can ask as well.
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, work).result()


async def _ask(dsn: str) -> Health:
    try:
        connection = await asyncpg.connect(dsn, timeout=_PATIENCE_S)
    except asyncpg.TooManyConnectionsError:
        return Health.READY
    except (asyncpg.OperatorInterventionError, asyncpg.PostgresConnectionError, ConnectionResetError, TimeoutError):
        return Health.BUSY
    except OSError:
        return Health.ABSENT
    except asyncpg.InvalidAuthorizationSpecificationError as refused:
        raise EmbeddedFailure(
            f"The embedded PostgreSQL is up and refuses this user ({refused}). "
            "Run as the user that runs `meterline serve`."
        ) from refused
    try:
        await connection.fetchval("select 1")
    except (asyncpg.OperatorInterventionError, asyncpg.PostgresConnectionError):
        return Health.BUSY
    finally:
        await connection.close()
    return Health.READY


async def _value(dsn: str, query: str) -> object:
    connection = await asyncpg.connect(dsn, timeout=_PATIENCE_S)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def _make_database(dsn: str, name: str) -> None:
    connection = await asyncpg.connect(dsn, timeout=_PATIENCE_S)
    try:
        await connection.execute(f'create database "{name}"')
    except asyncpg.DuplicateDatabaseError:
        return
    finally:
        await connection.close()
