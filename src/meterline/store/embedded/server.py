"""The supervisor: one owner per data directory starts, watches and stops one PostgreSQL server."""

import contextlib
import fcntl
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import structlog

from meterline.store.embedded import address, binaries, cluster, identity, probe
from meterline.store.embedded.failure import EmbeddedFailure, OwnedElsewhere
from meterline.store.embedded.probe import Health

_POLL_S = 0.02
_LOG_KEPT_BYTES = 16 << 20
_STOP_GRACE_S = 60
_QUIT_GRACE_S = 15
_JOIN_PATIENCE_S = 60
# What a starting server says while the remains of a killed one (its backends, its shared memory) still go away.
_PREDECESSOR = ("pre-existing shared memory block", 'lock file "postmaster.pid" already exists', "another postmaster")
_PREDECESSOR_PATIENCE_S = 30

_log = structlog.get_logger("embedded")


class Server:
    """The embedded PostgreSQL of one data directory.

    `bin_dir` names the PostgreSQL programs explicitly; `os_user` is who runs the server when we are root; `extra`
    overrides server settings (tests turn fsync off).
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        bin_dir: Path | None = None,
        os_user: str | None = None,
        shared_buffers_mb: int | None = None,
        extra: Mapping[str, str] | None = None,
    ) -> None:
        self.data_dir = data_dir.expanduser().absolute()
        self._postgres = self.data_dir / "postgres"
        self._bin_dir = bin_dir
        self._os_user = os_user
        self._shared_buffers_mb = shared_buffers_mb
        self._extra = dict(extra or {})
        self._lock: int | None = None
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> str:
        """Own the data directory and have its server answer; returns the address of the `meterline` database.

        Adopts a server that outlived its owner. Waits as long as a starting server lives (a long recovery is not a
        failure). Raises OwnedElsewhere when another process owns the directory, EmbeddedFailure otherwise.
        """
        ours = self._make_data_dir()
        self._take_ownership()
        try:
            self._bring_up(ours=ours)
        except BaseException:
            if self._child is not None:
                self.stop()
            self._give_up_ownership()
            raise
        probe.make_database(self.dsn("postgres"), address.DATABASE)
        return self.dsn()

    def join(self) -> str:
        """Wait for the server that another process owns; returns its address.

        Raises EmbeddedFailure when none answers within a minute.
        """
        deadline = time.monotonic() + _JOIN_PATIENCE_S
        while probe.health(self.dsn("postgres")) is not Health.READY:
            if time.monotonic() > deadline:
                raise EmbeddedFailure(f"No PostgreSQL answers for {self.data_dir}. Start `meterline serve` first.")
            time.sleep(_POLL_S)
        return self.dsn()

    def dsn(self, database: str = address.DATABASE) -> str:
        """The address of a database on this server."""
        return address.dsn(address.socket_directory(self._postgres, self._identity()), database)

    def alive(self) -> bool:
        """False when the server is gone and `start_again()` is needed."""
        if self._child is not None:
            return self._child.poll() is None
        return probe.health(self.dsn("postgres")) is not Health.ABSENT

    def start_again(self) -> None:
        """Bring the server back after it died under us. We still own the directory."""
        assert self._lock is not None, "start() comes first"
        self._child = None
        self._bring_up(ours=True)

    def stop(self) -> None:
        """Shut the server down cleanly: new work is refused, running statements are rolled back, all is on disk.

        After a minute without success the server is told to quit at once; it then recovers at the next start.
        """
        if self._lock is None:
            return
        try:
            if self._child is not None:
                _stop_child(self._child)
            else:
                self._stop_adopted()
        finally:
            self._child = None
            self._give_up_ownership()

    def _identity(self) -> identity.Identity:
        return identity.choose(self._postgres, self._os_user)

    def _make_data_dir(self) -> bool:
        self.data_dir.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        return (self.data_dir / "owner.lock").exists() or not any(self.data_dir.iterdir())

    def _take_ownership(self) -> None:
        lock = os.open(self.data_dir / "owner.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(lock, 32).decode().strip() or "another process"
            os.close(lock)
            raise OwnedElsewhere(
                f"{self.data_dir} is in use by process {owner}. Stop it first, or choose another --data-dir."
            ) from None
        os.truncate(lock, 0)
        os.write(lock, f"{os.getpid()}\n".encode())
        self._lock = lock

    def _give_up_ownership(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _bring_up(self, *, ours: bool) -> None:
        user = self._identity()
        identity.open_data_directory(self.data_dir, user, ours=ours)
        if self._adopt():
            return
        programs = binaries.find(self._bin_dir, major=cluster.major_of(self._postgres))
        programs = identity.within_reach(programs, user, self.data_dir)
        if cluster.major_of(self._postgres) is None:
            _log.info("database_initialising", version=programs.version, directory=str(self._postgres))
            cluster.initialise(self._postgres, programs, user, durable=self._extra.get("fsync") != "off")
        deadline = time.monotonic() + _PREDECESSOR_PATIENCE_S
        while not self._start_once(programs, user):
            if time.monotonic() > deadline:
                raise EmbeddedFailure(f"PostgreSQL did not start. {self._last_words()}")
            time.sleep(0.2)
        _log.info("database_ready", version=programs.version, directory=str(self._postgres))

    def _adopt(self) -> bool:
        """Take over a server that answers already; wait while one is starting or stopping."""
        told = False
        while (found := probe.health(self.dsn("postgres"))) is Health.BUSY:
            if not told:
                _log.info("database_busy", directory=str(self._postgres))
                told = True
            time.sleep(_POLL_S)
        if found is Health.ABSENT:
            return False
        serves = Path(probe.data_directory(self.dsn("postgres")))
        if serves.resolve() != self._postgres.resolve():
            raise EmbeddedFailure(f"The server that answers for {self._postgres} serves {serves}. Stop it first.")
        _log.info("database_adopted", directory=str(self._postgres))
        return True

    def _start_once(self, programs: binaries.Binaries, user: identity.Identity) -> bool:
        """Start the server and wait until it answers. False when remains of its predecessor were in the way."""
        child = self._spawn(programs, user)
        self._child = child
        told = False
        while child.poll() is None:
            found = probe.health(self.dsn("postgres"))
            if found is Health.READY and child.poll() is None:
                return True
            if found is Health.BUSY and not told:
                _log.info("database_recovering", directory=str(self._postgres))
                told = True
            time.sleep(_POLL_S)
        self._child = None
        said = self._last_words()
        if any(remark in said for remark in _PREDECESSOR):
            return False
        raise EmbeddedFailure(f"PostgreSQL {programs.version} did not start on {self._postgres}. {said}")

    def _spawn(self, programs: binaries.Binaries, user: identity.Identity) -> "subprocess.Popen[bytes]":
        ourselves = pwd.getpwuid(os.geteuid()).pw_name
        rules, names = cluster.write_access_rules(self.data_dir, user, ourselves)
        sockets = address.socket_directory(self._postgres, user)
        arguments = cluster.settings(
            rules=rules,
            names=names,
            sockets=sockets,
            shared_buffers_mb=self._shared_buffers_mb,
            extra=self._extra,
        )
        environment = identity.environment()
        stale = _pid_in(self._postgres / "postmaster.pid")
        if stale is not None:
            # PostgreSQL takes a stale file for a live server when its number was given to another process of the same
            # user; named as a grandparent, that process is passed over. Shared memory still bars a real second server.
            environment["PG_GRANDPARENT_PID"] = str(stale)
        with self._log_file().open("ab") as log:
            return subprocess.Popen(
                [str(programs.postgres), "-D", str(self._postgres), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=environment,
                umask=0o077,
                # A session of its own: Ctrl-C in a terminal is for us, and the server goes last.
                start_new_session=True,
                user=user.uid if user.switch else None,
                group=user.gid if user.switch else None,
                extra_groups=[] if user.switch else None,
            )

    def _log_file(self) -> Path:
        path = self.data_dir / "postgres.log"
        if path.exists() and path.stat().st_size > _LOG_KEPT_BYTES:
            path.rename(path.with_suffix(".log.1"))
        return path

    def _last_words(self) -> str:
        path = self.data_dir / "postgres.log"
        lines = path.read_text(errors="replace").splitlines()[-6:]
        return f"The end of {path} says:\n" + "\n".join(lines)

    def _stop_adopted(self) -> None:
        """Stop a server that is not our child: while it answers, the pid file is its own."""
        deadline = time.monotonic() + _STOP_GRACE_S
        told = False
        while (found := probe.health(self.dsn("postgres"))) is not Health.ABSENT:
            pid = _pid_in(self._postgres / "postmaster.pid")
            if found is Health.READY and not told and pid is not None:
                os.kill(pid, signal.SIGINT)
                told = True
            if time.monotonic() > deadline:
                raise EmbeddedFailure(f"PostgreSQL on {self._postgres} (process {pid}) does not stop.")
            time.sleep(_POLL_S)
        while (self._postgres / "postmaster.pid").exists() and time.monotonic() < deadline:
            time.sleep(_POLL_S)


def _stop_child(child: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.send_signal(signal.SIGINT)
        child.wait(_STOP_GRACE_S)
        return
    _log.warning("database_stop_slow", after_s=_STOP_GRACE_S)
    child.send_signal(signal.SIGQUIT)
    try:
        child.wait(_QUIT_GRACE_S)
    except subprocess.TimeoutExpired:
        raise EmbeddedFailure(f"PostgreSQL (process {child.pid}) does not stop.") from None


def _pid_in(pid_file: Path) -> int | None:
    try:
        first = pid_file.read_text().partition("\n")[0].strip()
    except FileNotFoundError:
        return None
    return abs(int(first)) if first.lstrip("-").isdigit() else None
