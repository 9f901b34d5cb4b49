"""Schema changes: which revision a database has, which one this code needs, and the way up."""

from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from meterline.store.condition import MADE_BY, made_by
from meterline.store.database import sqlalchemy_url

_DIRECTORY = Path(__file__).parent / "migrations"
_LOCK = 0x6D657465


class Drafted(Exception):
    """The database was made by a revision that reads otherwise now; there is no way up from there."""

    def __init__(self, revision: str) -> None:
        super().__init__(
            f"The database was made by another draft of revision {revision}, which is written anew until the"
            " first release. It cannot be brought up to date: begin with an empty one, by another --data-dir"
            " (METERLINE_DATA_DIR) or another database at DATABASE_URL."
        )


def config(connection: Connection | None = None) -> Config:
    """Alembic's configuration; there is no ini file, the connection is passed along."""
    made = Config()
    made.set_main_option("script_location", str(_DIRECTORY).replace("%", "%%"))
    made.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    made.set_main_option("path_separator", "os")
    made.attributes["connection"] = connection
    return made


def head() -> str:
    """The revision that this code needs."""
    found = ScriptDirectory.from_config(config()).get_current_head()
    assert found is not None, "the package carries its migrations"
    return found


async def revision(tx: AsyncConnection) -> str | None:
    """The revision that the database has; None when it has no tables of ours."""
    return await tx.run_sync(lambda connection: MigrationContext.configure(connection).get_current_revision())


async def upgrade(dsn: str, to: str = "head") -> tuple[str | None, str | None]:
    """Bring the database up to a revision; returns the revisions before and after.

    One at a time: a second caller waits for the first and then finds nothing to do. Raises Drafted.
    """
    return await _move(dsn, lambda connection: command.upgrade(config(connection), to))


async def downgrade(dsn: str, to: str) -> tuple[str | None, str | None]:
    """Bring the database down to a revision (`base` is nothing at all); the data of what goes is lost."""
    return await _move(dsn, lambda connection: command.downgrade(config(connection), to))


async def _move(dsn: str, change: Callable[[Connection], None]) -> tuple[str | None, str | None]:
    engine = create_async_engine(sqlalchemy_url(dsn))
    try:
        async with engine.begin() as tx:
            await tx.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            before = await revision(tx)
            if before is not None and await tx.scalar(text(MADE_BY)) != made_by(before):
                raise Drafted(before)
            await tx.run_sync(change)
            after = await revision(tx)
            if after is not None:
                await tx.execute(text(f"comment on table alembic_version is '{made_by(after)}'"))
            return before, after
    finally:
        await engine.dispose()
