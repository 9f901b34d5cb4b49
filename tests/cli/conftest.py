"""A place for a server's data that the server's own user can reach."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A directory that does not exist yet, with room beside it for a log."""
    around = Path(tempfile.mkdtemp(prefix="meterline-cli-"))
    around.chmod(0o755)
    yield around / "data"
    shutil.rmtree(around)
