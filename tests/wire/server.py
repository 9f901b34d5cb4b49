"""A Meterline server for tests: real sockets, real HTTP, stopped when the block ends."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from meterline.api.hot import Application
from meterline.app import create_app, web_server

_PATIENCE_S = 30


@contextmanager
def running(dsn: str) -> Iterator[str]:
    """The base URL of a server on that database."""
    with serving(create_app(dsn)) as url:
        yield url


@contextmanager
def serving(app: Application, **settings: Any) -> Iterator[str]:
    """The base URL of a server of that application; `settings` are uvicorn's."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = web_server(app, **settings)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, name="meterline", daemon=True)
    thread.start()
    try:
        _await(server, thread)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(_PATIENCE_S)
        listening.close()
        assert not thread.is_alive(), "the server did not stop"


def _await(server: uvicorn.Server, thread: threading.Thread) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not server.started:
        assert thread.is_alive() and time.monotonic() < deadline, "the server did not start"
        time.sleep(0.01)
