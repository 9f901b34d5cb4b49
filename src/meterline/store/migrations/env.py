"""Alembic runs this for every command; `meterline.store.migration` has opened the connection."""

import importlib
import pkgutil
from typing import Any

from alembic import context
from sqlalchemy import Connection, text

import meterline.store
from meterline.store.ledger import APPEND_ONLY
from meterline.store.schema import metadata

_PARTITIONS = "select relname from pg_class where relispartition"


def _load_tables() -> None:
    for module in pkgutil.iter_modules(meterline.store.__path__, "meterline.store."):
        importlib.import_module(module.name)


def _run(connection: Connection) -> None:
    partitions = set(connection.execute(text(_PARTITIONS)).scalars())

    def ours(name: str | None, kind: str, parents: Any) -> bool:
        """Partitions come and go with time; only their parent is part of the schema."""
        del parents
        return not (kind == "table" and name in partitions)

    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_name=ours,
        compare_type=True,
        compare_server_default=True,
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()
        if connection.execute(text("select to_regclass('ledger_transfer') is not null")).scalar():
            connection.execute(text(APPEND_ONLY))


_load_tables()
_run(context.config.attributes["connection"])
