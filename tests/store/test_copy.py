"""Rows added by COPY: a connection that is lost meanwhile is told of, whatever was waiting to be sent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from meterline.store import copy
from meterline.store.database import Database

ROWS = 40_000
LONG = "x" * 1_000


@asynccontextmanager
async def connected(database: Database) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(database.dsn)
    try:
        yield connection
    finally:
        connection.terminate()


async def test_a_connection_lost_while_the_server_is_behind_ends_the_copy(database: Database) -> None:
    async with connected(database) as first, connected(database) as second, database.pool.acquire() as third:
        await third.execute("CREATE TABLE told (id integer PRIMARY KEY, text text NOT NULL)")
        async with first.transaction():
            await first.execute("INSERT INTO told VALUES (0, 'first')")
            # The server stands still at the first row, for the other transaction; what is sent meanwhile piles up.
            rows = (f"{n}\t{LONG}" for n in range(ROWS))
            copying = asyncio.create_task(copy.lines(second, "told", ("id", "text"), rows))
            await asyncio.sleep(0.5)
            assert not copying.done()
            await third.execute("SELECT pg_terminate_backend($1)", second.get_server_pid())
            with pytest.raises(asyncpg.PostgresConnectionError):
                await asyncio.wait_for(copying, timeout=5)
