"""A PostgreSQL server and web processes that tests kill with -9 and start again."""

import asyncio
import os
import pwd
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import httpx

from meterline.customer import Customer
from meterline.meter import Meter
from meterline.store import api_key, customer, meter, migration
from meterline.store.database import Database
from meterline.store.embedded import binaries
from meterline.store.identifier import public, uuid7

SECRET = "sk_test_meterlineCrashTests000000"
CUSTOMERS = [f"cus_{n}" for n in range(7)]
_PATIENCE_S = 60
_FULL = 2 * 1024 * 1024
_LEFT = 6 * 1024 * 1024
SMALL = 160 * 1024 * 1024
"""Bytes: of a table on a disk that counts as full, of what is left on a small disk, of a small disk."""
T = TypeVar("T")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


class SmallDisk:
    """A file system of its own with little room, which only processes that are `inside` see. `close` ends it.

    Where we are root it is mounted in a mount namespace, else in a user namespace too, where the system lets us.
    """

    def __init__(self, path: Path, *, size: int) -> None:
        self.path = path
        path.mkdir()
        root = os.geteuid() == 0
        user = pwd.getpwnam("nobody") if root else pwd.getpwuid(os.geteuid())
        new = ["unshare", "-m"] if root else ["unshare", "-U", "-m", "--map-current-user", "--keep-caps"]
        mount = f"mount -t tmpfs -o size={size},mode=0700,uid={user.pw_uid},gid={user.pw_gid} small {path}"
        self._holder = subprocess.Popen(
            [*new, "sh", "-c", f"{mount} && echo ready && exec sleep infinity"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != b"ready\n":
            self.close()
            raise PermissionError("no file system can be mounted here")
        enter = ["nsenter", "-t", str(self._holder.pid), "-m"]
        ids = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        self.inside: list[str] = [*enter, *ids] if root else [*enter, "-U", "--preserve-credentials"]

    def fill(self, *, leave: int) -> None:
        """Write until so many bytes are left."""
        told = subprocess.check_output([*self.inside, "stat", "-f", "-c", "%a %S", self.path])
        blocks, size = map(int, told.split())
        surplus = blocks * size - leave
        assert surplus > 0, "the disk is too small to begin with"
        subprocess.run([*self.inside, "fallocate", "-l", str(surplus), self.path / "ballast"], check=True)

    def free(self) -> None:
        """Take away what `fill` wrote."""
        subprocess.run([*self.inside, "rm", self.path / "ballast"], check=True)

    def close(self) -> None:
        self._holder.kill()
        self._holder.communicate()


class Postgres:
    """A server that waits for the disk, so that what it confirmed must be there after any kill."""

    def __init__(self, directory: Path, disk: SmallDisk | None = None) -> None:
        self._programs = binaries.find()
        self._directory = directory
        self._disk = disk
        self._port = free_port()
        self.dsn = f"postgresql://postgres@127.0.0.1:{self._port}/postgres"
        user = pwd.getpwnam("nobody") if os.geteuid() == 0 and disk is None else None
        if user is not None:
            os.chown(directory, user.pw_uid, user.pw_gid)
        self._as: dict[str, Any] = (
            {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        )
        self._prefix = [] if disk is None else disk.inside
        self._data = (directory if disk is None else disk.path) / "data"
        subprocess.run(
            [
                *self._prefix,
                self._programs.initdb,
                *("-D", self._data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--wal-segsize=1"),
            ],
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
                    *self._prefix,
                    self._programs.postgres,
                    *("-D", self._data, "-p", str(self._port), "-k", "", "-h", "127.0.0.1"),
                ],
                stdout=log,
                stderr=log,
                cwd=self._directory,
                **self._as,
            )
        self.wait()

    def wait(self) -> None:
        """Until it answers, which after a kill is when it has recovered."""
        assert self._server is not None
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
        raise RuntimeError(self.log)

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

    def cut(self) -> None:
        """End every connection but the one that asks."""
        self.ask(
            lambda connection: connection.fetchval(
                "select count(pg_terminate_backend(pid)) from pg_stat_activity"
                " where backend_type = 'client backend' and pid <> pg_backend_pid()"
            )
        )

    def fill(self) -> None:
        """Leave room for a few thousand events.

        Without a small disk: start again, as if the disk were full when a table has 2 MiB; the log, in files of one,
        goes on. PostgreSQL takes a limit on the size of files as it takes a full disk: a file cannot grow. No rights
        are needed to set one.
        """
        if self._disk is not None:
            self._disk.fill(leave=_LEFT)
            return
        self.stop()
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (_FULL, limits[1]))
        try:
            self.start()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    def free(self) -> None:
        """Start again with room."""
        if self._disk is not None:
            self._disk.free()
        self.stop()
        self.start()

    @property
    def log(self) -> str:
        return (self._directory / "log").read_text()

    def kill(self) -> None:
        """-9 to the postmaster; its children notice and leave."""
        assert self._server is not None
        self._server.kill()
        self._server.wait()

    def stop(self) -> None:
        """At once: nothing of it is needed any more, and a recovery under way need not be waited for."""
        assert self._server is not None
        self._server.send_signal(signal.SIGQUIT)
        self._server.wait(_PATIENCE_S)


class Web:
    """A web process on that server."""

    def __init__(self, dsn: str, patience_s: float) -> None:
        self._dsn = dsn
        self._patience_s = patience_s
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.ingest.web", self._dsn, str(self._port), str(self._patience_s)],
            stderr=subprocess.DEVNULL,
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
def small_disk() -> Iterator[SmallDisk | None]:
    """A disk that can really be full; None, and a warning, where we may not mount one."""
    directory = Path(tempfile.mkdtemp(prefix="meterline-disk-"))
    directory.chmod(0o755)
    try:
        disk = SmallDisk(directory / "disk", size=SMALL)
    except (OSError, subprocess.SubprocessError) as error:
        warnings.warn(f"{error}: a limit on the size of files stands in for a full disk", stacklevel=2)
        yield None
    else:
        yield disk
        disk.close()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def ruins(*, webs: int, patience_s: float = 15, disk: SmallDisk | None = None) -> Iterator[tuple[Postgres, list[Web]]]:
    """A migrated server with web processes on it."""
    directory = Path(tempfile.mkdtemp(prefix="meterline-crash-"))
    postgres = Postgres(directory, disk)
    postgres.start()
    asyncio.run(migration.upgrade(postgres.dsn))
    processes = [Web(postgres.dsn, patience_s) for _ in range(webs)]
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


async def furnish(dsn: str) -> None:
    """The key and the customers that the events of these tests name."""
    now = datetime.now(UTC)
    database = Database(dsn)
    async with database.begin() as tx:
        await api_key.add(tx, environment="test", secret=SECRET, now=now)
        for n, id in enumerate(CUSTOMERS):
            new = Customer(environment="test", customer_id=uuid7(), id=id, created=now, invoice_prefix=f"CRASH{n}")
            await customer.add(tx, new)
    await database.close()


async def add_meter(dsn: str, event_name: str) -> str:
    """The id of a new meter that sums."""
    now = datetime.now(UTC)
    database = Database(dsn)
    made = Meter(
        environment="test",
        id=public("mtr"),
        display_name=event_name,
        event_name=event_name,
        formula="sum",
        created=now,
        updated=now,
    )
    async with database.begin() as tx:
        await meter.add(tx, made)
    await database.close()
    return made.id
