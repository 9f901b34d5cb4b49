"""A throw-away PostgreSQL server for one run of the tests."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from meterline.store.embedded import Server

_HASTY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@contextmanager
def running() -> Iterator[str]:
    """The address of a server that answers; it is gone with all its data when the block ends.

    Nothing it holds outlives the run, so it does not wait for the disk.
    """
    directory = Path(tempfile.mkdtemp(prefix="meterline-tests-"))
    try:
        with Server(directory, extra=_HASTY) as server:
            yield server.dsn("postgres")
    finally:
        shutil.rmtree(directory, ignore_errors=True)
