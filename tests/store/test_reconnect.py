"""After a restart of the server, the first use of every pooled connection succeeds."""

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from sqlalchemy import text

from meterline.store.database import Database
from meterline.store.embedded import Server
from tests.store.test_embedded import postmaster

CONNECTIONS = 4


@pytest.fixture
def server() -> Iterator[Server]:
    directory = Path(tempfile.mkdtemp(prefix="meterline-reconnect-"))
    made = Server(directory, extra={"fsync": "off"})
    made.start()
    try:
        yield made
    finally:
        made.stop()
        shutil.rmtree(directory)


async def use(database: Database) -> list[int]:
    """Ask on every connection of both pools at once, so that all of them are made and none is used twice."""
    async with AsyncExitStack() as open_now:
        answers = []
        for _ in range(CONNECTIONS):
            tx = await open_now.enter_async_context(database.begin())
            answers.append(int((await tx.execute(text("select 1"))).scalar_one()))
            hot = await open_now.enter_async_context(database.pool.acquire())
            answers.append(await hot.fetchval("select 1"))
    return answers


def stop_and_start(server: Server) -> None:
    server.stop()
    server.start()


def kill_and_start(server: Server) -> None:
    os.kill(postmaster(server), signal.SIGKILL)
    while server.alive():
        pass
    server.start_again()


@pytest.mark.parametrize("restart", [stop_and_start, kill_and_start])
async def test_the_first_use_after_a_restart_succeeds(server: Server, restart: Callable[[Server], None]) -> None:
    database = Database(server.dsn(), control_connections=CONNECTIONS, hot_connections=CONNECTIONS)
    await database.open()
    try:
        assert await use(database) == [1] * CONNECTIONS * 2
        await asyncio.to_thread(restart, server)
        assert await use(database) == [1] * CONNECTIONS * 2
    finally:
        await database.close()
