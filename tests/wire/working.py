"""A worker process for tests: the real entry point, which can be killed in the middle of its work."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_PATIENCE_S = 30


@contextmanager
def running(dsn: str, *, lease_s: float = 2.0) -> Iterator["subprocess.Popen[bytes]"]:
    """A worker on that database, stopped by SIGTERM when the block ends."""
    worker = started(dsn, lease_s=lease_s)
    try:
        yield worker
    finally:
        worker.terminate()
        worker.wait(_PATIENCE_S)


def started(dsn: str, *, lease_s: float = 2.0) -> "subprocess.Popen[bytes]":
    """A worker on that database; whoever starts it ends it."""
    options = ["--database-url", dsn, "--lease", str(lease_s), "--poll", "0.2"]
    return subprocess.Popen([sys.executable, "-m", "meterline.worker", *options])
