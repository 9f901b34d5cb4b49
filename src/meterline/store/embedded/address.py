"""Where the server listens: a Unix socket in a directory that only its user may enter, and never a network port."""

import hashlib
import os
import stat
from pathlib import Path
from urllib.parse import quote

from meterline.store.embedded.failure import EmbeddedFailure
from meterline.store.embedded.identity import Identity

DATABASE = "meterline"
SUPERUSER = "meterline"
_SOCKET_NAME = ".s.PGSQL.5432"
# The shortest limit among the systems we run on (macOS); Linux allows 107.
_LONGEST_PATH = 103


def socket_directory(postgres_directory: Path, identity: Identity) -> Path:
    """The data directory itself, or a short private directory when its path is too long for a socket."""
    if _fits(postgres_directory):
        return postgres_directory
    name = hashlib.sha256(os.fsencode(postgres_directory)).hexdigest()[:12]
    runtime = os.environ.get("XDG_RUNTIME_DIR") if not identity.switch else None
    directory = Path(runtime or "/tmp") / f"meterline-{identity.uid}-{name}"
    if not _fits(directory):
        directory = Path("/tmp") / directory.name
    try:
        directory.mkdir(mode=0o700)
        identity.own(directory)
    except FileExistsError:
        _demand_private(directory, identity)
    return directory


def dsn(directory: Path, database: str = DATABASE) -> str:
    """The address of a database on the server listening in that directory."""
    return f"postgresql://{SUPERUSER}@/{quote(database)}?host={quote(str(directory), safe='/')}"


def _fits(directory: Path) -> bool:
    return len(os.fsencode(directory / _SOCKET_NAME)) <= _LONGEST_PATH


def _demand_private(directory: Path, identity: Identity) -> None:
    found = directory.lstat()
    private = stat.S_ISDIR(found.st_mode) and found.st_uid == identity.uid and not found.st_mode & 0o077
    if not private:
        raise EmbeddedFailure(
            f"{directory} should be a directory of user {identity.name} with mode 0700 and is not. "
            "Remove it, or choose a shorter --data-dir."
        )
