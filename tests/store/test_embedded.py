"""The embedded PostgreSQL through everything that can happen to it: real processes, real signals, real files."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from meterline.store.embedded import EmbeddedFailure, OwnedElsewhere, Server, binaries, cluster, identity, probe
from meterline.store.embedded.probe import Health

PATIENCE_S = 60


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A directory that the server's user can reach; pytest's own are closed to everybody else."""
    directory = Path(tempfile.mkdtemp(prefix="meterline-embedded-"))
    yield directory
    shutil.rmtree(directory)


def ask(dsn: str, query: str) -> object:
    async def fetch() -> object:
        connection = await asyncpg.connect(dsn)
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()

    return asyncio.run(fetch())


def postmaster(server: Server) -> int:
    return int((server.data_dir / "postgres" / "postmaster.pid").read_text().split("\n")[0])


@contextmanager
def killed_owner(data_dir: Path) -> Iterator[str]:
    """The address of a server whose owner has been killed, the server itself living on."""
    owner = subprocess.Popen([sys.executable, "-m", "tests.store.owner", data_dir], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    with owner.stdout:
        dsn = owner.stdout.readline().strip()
    ask(dsn, "create table fact as select 1 as id")
    owner.kill()
    owner.wait()
    yield dsn


def test_it_starts_durable_and_closed_to_the_network(data_dir: Path) -> None:
    with Server(data_dir) as server:
        settings = ("fsync", "synchronous_commit", "full_page_writes", "data_checksums", "listen_addresses")
        assert [ask(server.dsn(), f"show {name}") for name in settings] == ["on", "on", "on", "on", ""]
        assert ask(server.dsn(), "select current_database() || ' ' || current_user") == "meterline meterline"
        assert (data_dir / "postgres").stat().st_mode & 0o077 == 0


def test_it_keeps_its_data_over_a_clean_stop(data_dir: Path) -> None:
    with Server(data_dir) as server:
        ask(server.dsn(), "create table fact as select 42 as answer")
        address = server.dsn("postgres")
    assert probe.health(address) is Health.ABSENT
    assert not (data_dir / "postgres" / "postmaster.pid").exists()
    assert "database system is shut down" in (data_dir / "postgres.log").read_text()
    with Server(data_dir) as server:
        assert ask(server.dsn(), "select answer from fact") == 42
    assert "not properly shut down" not in (data_dir / "postgres.log").read_text()


def test_a_server_that_outlived_its_owner_is_adopted_and_stopped(data_dir: Path) -> None:
    with killed_owner(data_dir) as dsn:
        started = ask(dsn, "select pg_postmaster_start_time()")
        with Server(data_dir) as server:
            assert ask(server.dsn(), "select pg_postmaster_start_time()") == started
            assert ask(server.dsn(), "select id from fact") == 1
            assert server.alive()
        assert probe.health(dsn) is Health.ABSENT


def test_a_server_killed_with_its_owner_recovers(data_dir: Path) -> None:
    with killed_owner(data_dir) as dsn:
        os.kill(postmaster(Server(data_dir)), signal.SIGKILL)
        with Server(data_dir) as server:
            assert server.dsn() == dsn
            assert ask(server.dsn(), "select id from fact") == 1


def test_a_server_killed_under_its_owner_is_started_again(data_dir: Path) -> None:
    with Server(data_dir) as server:
        ask(server.dsn(), "create table fact as select 7 as id")
        os.kill(postmaster(server), signal.SIGKILL)
        _until(lambda: not server.alive())
        server.start_again()
        assert ask(server.dsn(), "select id from fact") == 7


def test_a_stale_pid_file_that_names_a_stranger_harms_neither(data_dir: Path) -> None:
    with Server(data_dir) as server:
        user = server._identity()
        content = (data_dir / "postgres" / "postmaster.pid").read_text()
    stranger = subprocess.Popen(["sleep", "600"], user=user.uid if user.switch else None)
    try:
        lines = content.split("\n")
        stale = data_dir / "postgres" / "postmaster.pid"
        stale.write_text("\n".join([str(stranger.pid), *lines[1:]]))
        user.own(stale)
        with Server(data_dir) as server:
            assert ask(server.dsn(), "select 1") == 1
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_second_owner_is_refused_and_may_join(data_dir: Path) -> None:
    with Server(data_dir) as server:
        second = Server(data_dir)
        with pytest.raises(OwnedElsewhere, match=f"in use by process {os.getpid()}"):
            second.start()
        assert second.join() == server.dsn()
        second.stop()
        assert ask(server.dsn(), "select 1") == 1


def test_an_initialisation_cut_short_leaves_nothing_in_the_way(data_dir: Path) -> None:
    (data_dir / "owner.lock").touch()
    (data_dir / "postgres.initialising").mkdir()
    (data_dir / "postgres.initialising" / "PG_VERSION").write_text("18\n")
    with Server(data_dir) as server:
        assert ask(server.dsn(), "select 1") == 1


def test_a_path_too_long_for_a_socket_is_served_from_a_short_one(data_dir: Path) -> None:
    deep = data_dir / ("a" * 60) / ("b" * 60)
    deep.mkdir(parents=True)
    for directory in (data_dir, *deep.parents[:1]):
        directory.chmod(0o755)
    with Server(deep) as server:
        assert len(server.dsn()) < 107
        assert ask(server.dsn(), "show data_directory") == str(deep / "postgres")


def test_the_data_of_another_major_version_is_refused_with_the_way_out(data_dir: Path) -> None:
    with Server(data_dir):
        pass
    (data_dir / "postgres" / "PG_VERSION").write_text("14\n")
    with pytest.raises(EmbeddedFailure, match=r"PostgreSQL 14 is needed .* dump with the old version"):
        Server(data_dir).start()
    assert (data_dir / "postgres" / "PG_VERSION").read_text() == "14\n"


def test_settings_that_postgresql_refuses_are_told_in_its_words(data_dir: Path) -> None:
    with pytest.raises(EmbeddedFailure, match='invalid value for parameter "work_mem"'):
        Server(data_dir, extra={"work_mem": "a lot"}).start()
    with Server(data_dir) as server:
        assert ask(server.dsn(), "select 1") == 1


def test_every_postgresql_of_this_machine_serves(data_dir: Path) -> None:
    found = {it.major: it for directory, _ in binaries.places() if (it := binaries.inspect(directory)) is not None}
    usable = {major: it for major, it in found.items() if major >= binaries.OLDEST_MAJOR}
    assert usable
    for major, programs in usable.items():
        home = data_dir / str(major)
        home.mkdir()
        data_dir.chmod(0o755)
        with Server(home, bin_dir=programs.directory) as server:
            assert str(ask(server.dsn(), "show server_version")).startswith(str(major))
            assert ask(server.dsn(), "show data_checksums") == "on"


def test_programs_that_are_no_postgresql_are_named(data_dir: Path) -> None:
    with pytest.raises(EmbeddedFailure, match=f"not found in {data_dir}.*METERLINE_POSTGRES_BIN"):
        binaries.find(data_dir)


def test_a_postgresql_too_old_is_named(data_dir: Path) -> None:
    for name in ("postgres", "initdb"):
        (data_dir / name).write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 13.4'\n")
        (data_dir / name).chmod(0o755)
    with pytest.raises(EmbeddedFailure, match=rf"PostgreSQL 15 or newer is needed .*found: 13\.4 in {data_dir}"):
        binaries.find(data_dir)


@pytest.mark.parametrize(("memory_mb", "buffers_mb"), [(65536, 256), (1024, 256), (800, 200), (512, 128), (32, 16)])
def test_the_cache_takes_a_quarter_of_the_memory_and_no_more_than_256_mb(memory_mb: int, buffers_mb: int) -> None:
    assert cluster.default_shared_buffers_mb(memory_mb << 20) == buffers_mb


if os.geteuid() == 0:

    def test_root_hands_the_server_to_a_user_that_is_there(data_dir: Path) -> None:
        with Server(data_dir) as server:
            assert (data_dir / "postgres").stat().st_uid == server._identity().uid != 0

    def test_root_is_told_where_the_way_is_barred_and_nothing_is_opened(data_dir: Path) -> None:
        closed = data_dir / "home"
        closed.mkdir(mode=0o700)
        with pytest.raises(EmbeddedFailure, match=f"cannot enter {data_dir}.*--data-dir /var/lib/meterline"):
            Server(closed / "meterline").start()
        assert closed.stat().st_mode & 0o777 == 0o700
        assert data_dir.stat().st_mode & 0o777 == 0o700

    def test_a_wheel_in_a_private_place_is_copied_beside_the_data(
        data_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        private = data_dir / "private"
        package = binaries.find().package
        assert package is not None
        for part in package.parent.glob(f"{package.name}*"):
            shutil.copytree(part, private / part.name, symlinks=True)
        data_dir.chmod(0o755)
        private.chmod(0o700)
        monkeypatch.syspath_prepend(str(private))
        with Server(data_dir / "data") as server:
            assert ask(server.dsn(), "select 1") == 1
        assert list((data_dir / "data").glob("postgresql-*/*/pginstall/bin/postgres"))
        assert private.stat().st_mode & 0o777 == 0o700

    def test_programs_in_a_private_place_of_somebodys_are_named(data_dir: Path) -> None:
        private = data_dir / "private"
        private.mkdir(mode=0o700)
        for name in ("postgres", "initdb"):
            (private / name).write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 18.1'\n")
            (private / name).chmod(0o755)
        data_dir.chmod(0o755)
        with pytest.raises(EmbeddedFailure, match=f"cannot enter {private} on the way"):
            Server(data_dir / "data", bin_dir=private).start()

    def test_a_user_that_does_not_exist_is_named(data_dir: Path) -> None:
        with pytest.raises(EmbeddedFailure, match=r"no user nobody-here.*METERLINE_POSTGRES_USER"):
            identity.choose(data_dir / "postgres", "nobody-here")


@pytest.mark.slow
def test_a_server_that_does_not_stop_is_made_to_quit(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meterline.store.embedded.server._STOP_GRACE_S", 1)

    async def hold(dsn: str) -> int:
        connection = await asyncpg.connect(dsn)
        pid: int = await connection.fetchval("select pg_backend_pid()")
        os.kill(pid, signal.SIGSTOP)
        connection.terminate()
        return pid

    server = Server(data_dir)
    backend = asyncio.run(hold(server.start()))
    server.stop()
    assert probe.health(server.dsn("postgres")) is Health.ABSENT
    with pytest.raises(ProcessLookupError):
        os.kill(backend, 0)


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_over_kills(data_dir: Path) -> None:
    with Server(data_dir) as server:
        ask(server.dsn(), "create table fact (id bigint primary key)")
        acknowledged: set[int] = set()
        for round_number in range(4):
            acknowledged |= asyncio.run(_write_until_killed(server, first=round_number * 1_000_000))
            _until(lambda: not server.alive())
            server.start_again()
            stored = {
                int(each) for each in str(ask(server.dsn(), "select string_agg(id::text, ',') from fact")).split(",")
            }
            assert acknowledged
            assert acknowledged <= stored


async def _write_until_killed(server: Server, *, first: int) -> set[int]:
    """The ids that four writers had acknowledged when the server was killed under them."""
    done: set[int] = set()
    enough = asyncio.Event()

    async def write(start: int) -> None:
        connection = await asyncpg.connect(server.dsn())
        try:
            for id in range(start, start + 100_000):
                await connection.execute("insert into fact values ($1)", id)
                done.add(id)
                if len(done) == 2_000:
                    enough.set()
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
            return

    writers = [asyncio.create_task(write(first + number * 100_000)) for number in range(4)]
    await enough.wait()
    os.kill(postmaster(server), signal.SIGKILL)
    await asyncio.gather(*writers)
    return done


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)
