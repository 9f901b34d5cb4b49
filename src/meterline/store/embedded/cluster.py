"""PostgreSQL's own directory: made once, by `initdb`, and started with settings that hold for every start."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from meterline.store.embedded.address import SUPERUSER
from meterline.store.embedded.binaries import Binaries
from meterline.store.embedded.failure import EmbeddedFailure
from meterline.store.embedded.identity import Identity

_MB = 1 << 20
_MOST_SHARED_BUFFERS_MB = 256
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")

SETTINGS: Mapping[str, str] = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_connections": "200",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "listen_addresses": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


def major_of(postgres_directory: Path) -> int | None:
    """The major version that made the directory; None when there is none yet."""
    version = postgres_directory / "PG_VERSION"
    return int(version.read_text().strip()) if version.exists() else None


def initialise(postgres_directory: Path, binaries: Binaries, identity: Identity, *, durable: bool) -> None:
    """Make the directory. It appears under its name only when complete, so a crash half-way leaves nothing behind."""
    unfinished = postgres_directory.with_name(f"{postgres_directory.name}.initialising")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    identity.own(unfinished)
    arguments = [f"--pgdata={unfinished}", f"--username={SUPERUSER}", "--encoding=UTF8", "--locale=C"]
    arguments += ["--data-checksums", "--auth-local=peer", "--auth-host=reject"]
    if not durable:
        arguments.append("--no-sync")
    done = identity.run([str(binaries.initdb), *arguments])
    if done.returncode != 0:
        raise EmbeddedFailure(f"{binaries.initdb} could not make {postgres_directory}: {done.stderr.strip()}")
    unfinished.rename(postgres_directory)


def write_access_rules(data_dir: Path, identity: Identity, our_name: str) -> tuple[Path, Path]:
    """Who may connect: this user and the server's own, known by the kernel, through the socket. Nobody else."""
    rules = data_dir / "pg_hba.conf"
    names = data_dir / "pg_ident.conf"
    rules.write_text("local all all peer map=meterline\n")
    names.write_text("".join(f'meterline "{name}" {SUPERUSER}\n' for name in sorted({our_name, identity.name})))
    for path in (rules, names):
        path.chmod(0o644)
    return rules, names


def settings(
    *, rules: Path, names: Path, sockets: Path, shared_buffers_mb: int | None, extra: Mapping[str, str]
) -> list[str]:
    """The `-c name=value` arguments of the server."""
    chosen = {
        **SETTINGS,
        "shared_buffers": f"{shared_buffers_mb or default_shared_buffers_mb(_memory_bytes())}MB",
        "hba_file": str(rules),
        "ident_file": str(names),
        "unix_socket_directories": f'"{sockets}"',
        "unix_socket_permissions": "0700",
        **extra,
    }
    return [argument for name, value in chosen.items() for argument in ("-c", f"{name}={value}")]


def default_shared_buffers_mb(memory_bytes: int) -> int:
    """A quarter of the memory, 256 MB at most."""
    return max(16, min(_MOST_SHARED_BUFFERS_MB, memory_bytes // 4 // _MB))


def _memory_bytes() -> int:
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _CGROUP_LIMIT.read_text().strip() if _CGROUP_LIMIT.exists() else "max"
    return min(machine, int(limit)) if limit.isdigit() else machine
