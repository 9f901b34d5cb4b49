"""The database a command works on: the one at DATABASE_URL, or the embedded one."""

from collections.abc import Iterator
from contextlib import contextmanager

from meterline.config import Settings
from meterline.store.embedded import OwnedElsewhere, Server


def embedded(settings: Settings) -> Server:
    """The embedded server of the configured data directory, not started."""
    return Server(
        settings.data_dir,
        bin_dir=settings.postgres_bin,
        os_user=settings.postgres_user,
        shared_buffers_mb=settings.shared_buffers_mb,
    )


@contextmanager
def address(settings: Settings) -> Iterator[str]:
    """The database's address while the block runs.

    A server that `meterline serve` runs is used as it stands; otherwise one is started and stopped again.
    """
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    server = embedded(settings)
    try:
        dsn = server.start()
    except OwnedElsewhere:
        yield server.join()
        return
    try:
        yield dsn
    finally:
        server.stop()
