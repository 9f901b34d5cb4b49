"""The processes of `meterline serve`, seen from their parent: started, watched, started again, asked to leave."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import msgspec
import structlog

_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 10.0
_SETTLED_S = 60.0

_log = structlog.get_logger("process")


class Instructions(msgspec.Struct, frozen=True, kw_only=True):
    """What a process is told when it starts. It goes through a pipe, because an argument list is for all to read."""

    dsn: str
    stop_grace_s: int
    log_format: Literal["auto", "json", "console"]
    log_level: str
    listening: int | None = None
    webhook_networks: tuple[str, ...] = ()
    smtp_url: str | None = None
    mail_from: str = ""
    public_url: str | None = None
    stripe_api_key: str | None = None
    stripe_api_url: str = ""
    stripe_webhook_secret: str | None = None


class Child:
    """One process with one role. When it dies it is started again, after a pause that doubles up to ten seconds."""

    def __init__(
        self,
        role: str,
        instructions: Instructions,
        *,
        environment: Mapping[str, str],
        on_death: Callable[[int], None],
    ) -> None:
        self.role = role
        self._instructions = instructions
        self._environment = {**os.environ, **environment}
        self._on_death = on_death
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._start_at = 0.0
        self._pause_s = _FIRST_PAUSE_S

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return None if self._process is None else self._process.pid

    def tend(self) -> None:
        """Start the process when it is not running and its pause is over."""
        now = time.monotonic()
        if self._process is not None:
            status = self._process.poll()
            if status is None:
                return
            self._mourn(status, now)
        if now >= self._start_at:
            self._start(now)

    def ask_to_stop(self) -> None:
        """Close the lifeline: the process finishes what it has in hand and leaves."""
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()

    def left(self) -> bool:
        """Whether the process is gone."""
        return self._process is None or self._process.poll() is not None

    def join(self, deadline: float) -> None:
        """Wait until the process has left; past the deadline (monotonic seconds) it is killed."""
        if self._process is None:
            return
        try:
            self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            _log.warning("process_killed", role=self.role, pid=self._process.pid)
            self._process.kill()
            self._process.wait()
        self._on_death(self._process.pid)
        self._process = None

    def _start(self, now: float) -> None:
        listening = self._instructions.listening
        process = subprocess.Popen(
            [sys.executable, "-m", "meterline.cli.child", self.role],
            stdin=subprocess.PIPE,
            env=self._environment,
            pass_fds=() if listening is None else (listening,),
            # Ctrl-C in a terminal is for the parent, which stops its children in order.
            start_new_session=True,
        )
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(msgspec.json.encode(self._instructions) + b"\n")
            process.stdin.flush()
        self._process = process
        self._started_at = now
        _log.info("process_started", role=self.role, pid=process.pid)

    def _mourn(self, status: int, now: float) -> None:
        assert self._process is not None
        self.ask_to_stop()
        if now - self._started_at > _SETTLED_S:
            self._pause_s = _FIRST_PAUSE_S
        _log.error("process_died", role=self.role, pid=self._process.pid, status=status, restart_in_s=self._pause_s)
        self._on_death(self._process.pid)
        self._process = None
        self._start_at = now + self._pause_s
        self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)


def stop_all(children: Sequence[Child], *, grace_s: float, hurry: Callable[[], bool]) -> None:
    """Let every process finish what it has in hand; kill those still there after the grace, or when `hurry()`."""
    for child in children:
        child.ask_to_stop()
    deadline = time.monotonic() + grace_s
    for child in children:
        while not child.left() and not hurry() and time.monotonic() < deadline:
            time.sleep(0.02)
        child.join(time.monotonic() if hurry() else deadline)
