"""A worker process that delivers webhooks, as the product wires it; to be killed: `… DSN LEASE_S`."""

import asyncio
import signal
import subprocess
import sys
from datetime import timedelta

from meterline.app import create_worker


def started(dsn: str, *, lease_s: float) -> "subprocess.Popen[bytes]":
    """Such a process; whoever starts it ends it."""
    return subprocess.Popen([sys.executable, "-m", "tests.wire.delivering_process", dsn, str(lease_s)])


async def _work(dsn: str, lease_s: float) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with create_worker(dsn, lease=timedelta(seconds=lease_s)) as worker:
        await worker.run(stop)


if __name__ == "__main__":
    asyncio.run(_work(sys.argv[1], float(sys.argv[2])))
