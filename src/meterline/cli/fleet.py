"""Meterline running: one parent that owns the database and the listening socket, web processes and a worker under it.

The parent does no work of its own. It starts PostgreSQL (or uses DATABASE_URL), brings the schema up to date, keeps
the configured key, starts the processes and starts again what dies. It takes everything down in order: no new
connections, requests in flight answered, processes gone, database shut down.
"""

import asyncio
import contextlib
import errno
import os
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import structlog
from prometheus_client.multiprocess import mark_process_dead
from pydantic import SecretStr

from meterline.cli.database import embedded
from meterline.cli.process import Child, Instructions, stop_all
from meterline.config import Settings
from meterline.store import api_key, migration
from meterline.store.database import Database
from meterline.store.embedded import EmbeddedFailure, Server

_TICK_S = 0.1
_DATABASE_EVERY_S = 2.0
_PORT_PATIENCE_S = 10.0
_DATABASE_PATIENCE_S = 60.0
_LEAVING_S = 5.0
_ANY = ("0.0.0.0", "::")  # noqa: S104 -- compared with, never bound to by default

_log = structlog.get_logger("serve")


@contextmanager
def serving(settings: Settings, *, hurry: Callable[[], bool] = lambda: False) -> Iterator[str]:
    """Meterline is up while the block runs; yields its base URL. `hurry` cuts the waiting at the end short.

    Raises EmbeddedFailure, with what to do, when it cannot start.
    """
    with _listening(settings) as listening, _database(settings) as (dsn, server), _metrics() as environment:
        asyncio.run(prepare(dsn, settings))
        instructions = Instructions(
            dsn=dsn,
            stop_grace_s=settings.stop_grace_s,
            log_format=settings.log_format,
            log_level=settings.log_level,
            listening=listening.fileno(),
            webhook_networks=tuple(str(network) for network in settings.webhook_networks),
            smtp_url=_secret(settings.smtp_url),
            mail_from=settings.mail_from,
            public_url=settings.public_url,
            stripe_api_key=_secret(settings.stripe_api_key),
            stripe_api_url=settings.stripe_api_url,
            stripe_webhook_secret=_secret(settings.stripe_webhook_secret),
        )
        children = [
            Child("web", instructions, environment=environment, on_death=_forget) for _ in range(settings.workers)
        ]
        children.append(Child("worker", instructions, environment=environment, on_death=_forget))
        with _tended(children, server):
            yield _url(settings.host, listening)
        # From here on nobody is let in: the processes close their copies of the socket as they leave.
        listening.close()
        _log.info("stopping")
        stop_all(children, grace_s=settings.stop_grace_s + _LEAVING_S, hurry=hurry)
    _log.info("stopped")


def _secret(setting: SecretStr | None) -> str | None:
    return None if setting is None else setting.get_secret_value()


async def prepare(dsn: str, settings: Settings) -> None:
    """Wait for the database to answer, bring its schema up to date, and keep the configured key."""
    before, after = await _migrated(dsn)
    if before != after:
        _log.info("migrated", before=before, after=after)
    if settings.api_key is not None:
        await seed(dsn, settings.api_key.get_secret_value())


async def seed(dsn: str, secret: str) -> None:
    """Keep a key from outside: live when it begins with `sk_live_`, else test. A key kept already stays as it is."""
    environment = "live" if secret.startswith("sk_live_") else "test"
    database = Database(dsn)
    try:
        async with database.begin() as tx:
            added = await api_key.add(
                tx, environment=environment, secret=secret, name="METERLINE_API_KEY", now=datetime.now(UTC)
            )
    finally:
        await database.close()
    if added:
        _log.info("key_kept", environment=environment, ends_in=secret[-4:])


async def _migrated(dsn: str) -> tuple[str | None, str | None]:
    deadline = time.monotonic() + _DATABASE_PATIENCE_S
    while True:
        try:
            return await migration.upgrade(dsn)
        except (OSError, asyncpg.CannotConnectNowError) as error:
            if time.monotonic() > deadline:
                raise EmbeddedFailure(
                    f"The database at DATABASE_URL does not answer: {error}. Start it, or unset DATABASE_URL to use "
                    "the embedded one."
                ) from error
            _log.warning("database_absent", error=str(error))
            await asyncio.sleep(1)


@contextmanager
def _database(settings: Settings) -> Iterator[tuple[str, Server | None]]:
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value(), None
        return
    server = embedded(settings)
    dsn = server.start()
    try:
        yield dsn, server
    finally:
        server.stop()


@contextmanager
def _listening(settings: Settings) -> Iterator[socket.socket]:
    """The listening socket. A predecessor that was killed may leave its processes on the port for a moment."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    deadline = time.monotonic() + _PORT_PATIENCE_S
    told = False
    while True:
        try:
            opened = socket.create_server((settings.host, settings.port), family=family, backlog=2048)
            break
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                raise EmbeddedFailure(
                    f"Cannot listen on {settings.host} port {settings.port}: {error.strerror}. "
                    "Choose another with --host and --port (0 takes any free port)."
                ) from error
        if not told:
            _log.warning("port_busy", port=settings.port, waiting_s=_PORT_PATIENCE_S)
            told = True
        time.sleep(_TICK_S)
    with opened:
        yield opened


@contextmanager
def _metrics() -> Iterator[dict[str, str]]:
    """The directory in which the processes share their counters, as the environment variable they look for."""
    directory = Path(tempfile.mkdtemp(prefix="meterline-metrics-"))
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)
    try:
        yield {"PROMETHEUS_MULTIPROC_DIR": str(directory)}
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _forget(pid: int) -> None:
    mark_process_dead(pid)  # type: ignore[no-untyped-call]


@contextmanager
def _tended(children: list[Child], server: Server | None) -> Iterator[None]:
    """Start the processes, and start again what dies, the database included, until the block ends."""
    over = threading.Event()

    def tend() -> None:
        look_at = 0.0
        while not over.wait(_TICK_S):
            if server is not None and time.monotonic() >= look_at:
                _revive(server)
                look_at = time.monotonic() + _DATABASE_EVERY_S
            for child in children:
                child.tend()
            _bury_orphans(children)

    for child in children:
        child.tend()
    thread = threading.Thread(target=tend, name="tend")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _revive(server: Server) -> None:
    try:
        if not server.alive():
            _log.error("database_died")
            server.start_again()
    except EmbeddedFailure as failure:
        _log.error("database_not_restarted", reason=str(failure))


def _bury_orphans(children: list[Child]) -> None:
    """As process 1 of a container we inherit the orphans of all others, and nobody else buries them."""
    if os.getpid() != 1:
        return
    own = {child.pid for child in children}
    with contextlib.suppress(ChildProcessError):
        while (found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
            if found.si_pid in own:
                return
            os.waitpid(found.si_pid, os.WNOHANG)


def _url(host: str, listening: socket.socket) -> str:
    port = listening.getsockname()[1]
    name = "127.0.0.1" if host in _ANY else f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}"
