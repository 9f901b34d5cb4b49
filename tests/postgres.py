"""A throw-away PostgreSQL server for one run of the tests."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from meterline.store.embedded import binaries

_PATIENCE_S = 60


@contextmanager
def running() -> Iterator[str]:
    """The address of a server that answers; it is gone with all its data when the block ends.

    Nothing it holds outlives the run, so it does not wait for the disk.
    """
    programs = binaries.find()
    directory = Path(tempfile.mkdtemp(prefix="meterline-tests-"))
    user = _unprivileged()
    if user is not None:
        os.chown(directory, user.pw_uid, user.pw_gid)
    run_as = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    subprocess.run(
        [programs.initdb, "-D", directory / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd=directory,
        **run_as,
    )
    port = _free_port()
    settings = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "200"}
    options = [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]
    with (directory / "log").open("wb") as log:
        server = subprocess.Popen(
            [programs.postgres, "-D", directory / "data", "-p", str(port), "-k", "", "-h", "127.0.0.1", *options],
            stdout=log,
            stderr=log,
            cwd=directory,
            **run_as,
        )
    try:
        _await(server, port, directory / "log")
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
    finally:
        server.terminate()
        try:
            server.wait(_PATIENCE_S)
        finally:
            server.kill()
            shutil.rmtree(directory, ignore_errors=True)


def _unprivileged() -> pwd.struct_passwd | None:
    """PostgreSQL refuses to run as root; anybody else runs it as themselves."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def _await(server: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline and server.poll() is None:
        if b"ready to accept connections" in log.read_bytes():
            return
        time.sleep(0.05)
    raise RuntimeError(f"PostgreSQL did not start on port {port}:\n{log.read_text()}")
