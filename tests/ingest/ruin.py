"""A PostgreSQL server and web processes that tests kill with -9 and start again."""

import asyncio
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import httpx

from meterline.store import migration
from meterline.store.embedded import binaries

_PATIENCE_S = 60
T = TypeVar("T")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


class Postgres:
    """A server that waits for the disk, so that what it confirmed must be there after any kill."""

    def __init__(self, directory: Path) -> None:
        self._programs = binaries.find()
        self._directory = directory
        self._port = free_port()
        self.dsn = f"postgresql://postgres@127.0.0.1:{self._port}/postgres"
        user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        if user is not None:
            os.chown(directory, user.pw_uid, user.pw_gid)
        self._as: dict[str, Any] = (
            {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        )
        subprocess.run(
            [self._programs.initdb, "-D", directory / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8"],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=directory,
            **self._as,
        )
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self._directory / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [
                    self._programs.postgres,
                    *("-D", self._directory / "data", "-p", str(self._port), "-k", "", "-h", "127.0.0.1"),
                ],
                stdout=log,
                stderr=log,
                cwd=self._directory,
                **self._as,
            )
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            try:
                self.ask(lambda connection: connection.fetchval("select 1"))
            except (OSError, asyncpg.PostgresError):
                if self._server.poll() is not None:
                    self.start()
                    return
                time.sleep(0.05)
            else:
                return
        raise RuntimeError((self._directory / "log").read_text())

    def ask(self, question: "Callable[[asyncpg.Connection[asyncpg.Record]], Awaitable[T]]") -> T:
        async def connected() -> T:
            connection = await asyncpg.connect(self.dsn, timeout=5)
            try:
                return await question(connection)
            finally:
                await connection.close()

        return asyncio.run(connected())

    def kill_backend(self) -> None:
        """-9 to one process that writes events; the postmaster then restarts all of them."""
        pid = self.ask(
            lambda connection: connection.fetchval(
                "select pid from pg_stat_activity where application_name = 'meterline ingest' limit 1"
            )
        )
        if pid is not None:
            os.kill(pid, signal.SIGKILL)

    def kill(self) -> None:
        """-9 to the postmaster; its children notice and leave."""
        assert self._server is not None
        self._server.kill()
        self._server.wait()

    def stop(self) -> None:
        assert self._server is not None
        self._server.send_signal(signal.SIGINT)
        self._server.wait(_PATIENCE_S)


class Web:
    """A web process on that server."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.ingest.web", self._dsn, str(self._port)], stderr=subprocess.DEVNULL
        )

    def wait(self) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                httpx.get(f"{self.url}/healthz", timeout=5)
            except httpx.TransportError:
                assert time.monotonic() < deadline, "the web process does not answer"
                time.sleep(0.05)
            else:
                return

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()


@contextmanager
def ruins(*, webs: int) -> Iterator[tuple[Postgres, list[Web]]]:
    """A migrated server with web processes on it."""
    directory = Path(tempfile.mkdtemp(prefix="meterline-crash-"))
    postgres = Postgres(directory)
    postgres.start()
    asyncio.run(migration.upgrade(postgres.dsn))
    processes = [Web(postgres.dsn) for _ in range(webs)]
    try:
        for web in processes:
            web.start()
        for web in processes:
            web.wait()
        yield postgres, processes
    finally:
        for web in processes:
            web.kill()
        postgres.stop()
        shutil.rmtree(directory, ignore_errors=True)
