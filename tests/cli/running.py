"""A real `meterline serve` with its processes, and everything a test does to it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

SECRET = "sk_test_meterlineServeTests0000000"
PATIENCE_S = 90


class Meterline:
    """One `meterline serve` on a data directory, started again as often as a test likes."""

    def __init__(self, data_dir: Path, *options: str, environment: Mapping[str, str] | None = None) -> None:
        self._command = [sys.executable, "-m", "meterline.cli", "serve", "--port", "0", "--data-dir", str(data_dir)]
        self._command += options
        self._environment = {**clean_environment(), "METERLINE_API_KEY": SECRET, **(environment or {})}
        self._log = data_dir.with_suffix(".log")
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def start(self) -> None:
        """Start it and wait until it says where it is."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=subprocess.PIPE, stderr=log, text=True, env=self._environment
            )
        assert self._process.stdout is not None
        with self._process.stdout:
            said = self._process.stdout.readline()
        assert "is up at" in said, self._log.read_text()
        self.url = said.split()[-1]

    def signal(self, number: signal.Signals) -> None:
        """Send the parent a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self) -> int:
        """Until the parent has left; its exit status."""
        assert self._process is not None
        return self._process.wait(PATIENCE_S)

    def stop(self) -> int:
        """Tell it to stop; its exit status."""
        if self._process is None or self._process.poll() is not None:
            return 0
        self.signal(signal.SIGTERM)
        return self.wait()

    def client(self) -> httpx.Client:
        """Plain HTTP with the seeded key."""
        return httpx.Client(base_url=self.url, headers={"authorization": f"Bearer {SECRET}"}, timeout=PATIENCE_S)

    def logged(self, event: str) -> list[dict[str, object]]:
        """The log lines of that event so far."""
        lines = [json.loads(line) for line in self._log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]

    def pids(self, role: str) -> list[int]:
        """The processes of that role which run now, by the parent's log."""
        died = {line["pid"] for line in self.logged("process_died")}
        started = [line["pid"] for line in self.logged("process_started") if line["role"] == role]
        return [pid for pid in started if isinstance(pid, int) and pid not in died and alive(pid)]


@contextmanager
def meterline(data_dir: Path, *options: str, environment: Mapping[str, str] | None = None) -> Iterator[Meterline]:
    """Meterline up; stopped at the end, whatever happened."""
    made = Meterline(data_dir, *options, environment=environment)
    made.start()
    try:
        yield made
    finally:
        made.stop()


def clean_environment() -> dict[str, str]:
    """Our environment without the settings of whoever runs the tests."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("METERLINE_", "DATABASE_URL"))}


def run(*arguments: str, environment: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    """Run a command of `meterline` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "meterline.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env={**clean_environment(), "COLUMNS": "200", **(environment or {})},
    )


def alive(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    stat = Path(f"/proc/{pid}/stat")
    if stat.parent.parent.joinpath("self").exists():
        return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"
    return subprocess.run(["ps", "-p", str(pid)], capture_output=True, check=False).returncode == 0


def until(true: Callable[[], bool]) -> None:
    """Wait for something that has to come true."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)
