"""localstripe, a server that imitates Stripe and that is not ours: a process of its own on a free port."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

KEY = "sk_test_12345"
_PATIENCE_S = 30


@contextmanager
def running() -> Iterator[str]:
    """Where it listens; it is stopped by its process id when the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = Path(sys.executable).with_name("localstripe")
    process = subprocess.Popen(
        [program, "--from-scratch", "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + _PATIENCE_S
        while not _answers(url):
            assert process.poll() is None and time.monotonic() < deadline, "localstripe did not start"
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(_PATIENCE_S)


def _answers(url: str) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(f"{url}/v1/customers", auth=(KEY, "")).status_code == 200
    return False
