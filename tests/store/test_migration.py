"""The schema that the revisions make is the schema that the tables declare, to the last constraint."""

import asyncio

import asyncpg
import pytest

from meterline.store import condition, migration

CATALOG = {
    "columns": """
        select relname, attname, format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid) as fallback
          from pg_attribute
          join pg_class on pg_class.oid = attrelid and relkind in ('r', 'p')
          left join pg_attrdef on adrelid = attrelid and adnum = attnum
         where relnamespace = 'public'::regnamespace and attnum > 0 and not attisdropped
    """,
    "constraints": """
        select conrelid::regclass::text, conname, pg_get_constraintdef(pg_constraint.oid)
          from pg_constraint where connamespace = 'public'::regnamespace
    """,
    "indexes": "select tablename, indexname, indexdef from pg_indexes where schemaname = 'public'",
    "tables": """
        select relname, relkind::text, reloptions, pg_get_partkeydef(oid)
          from pg_class where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace
    """,
}


async def _read(dsn: str, query: str) -> set[str]:
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(query)
    finally:
        await connection.close()
    return {str(tuple(row)) for row in rows if "alembic_version" not in str(tuple(row))}


def test_an_empty_database_comes_to_the_newest_revision_once(empty: str) -> None:
    assert asyncio.run(migration.upgrade(empty)) == (None, migration.head())
    assert asyncio.run(migration.upgrade(empty)) == (migration.head(), migration.head())


def test_the_newest_file_is_the_newest_revision() -> None:
    assert condition.needed_revision() == migration.head()


@pytest.mark.parametrize("part", CATALOG)
def test_the_revisions_make_the_declared_tables(empty: str, dsn: str, part: str) -> None:
    asyncio.run(migration.upgrade(empty))
    migrated, declared = (asyncio.run(_read(each, CATALOG[part])) for each in (empty, dsn))
    assert declared
    assert migrated == declared


def test_going_down_leaves_nothing_behind(empty: str) -> None:
    asyncio.run(migration.upgrade(empty))
    asyncio.run(migration.downgrade(empty, "base"))
    assert asyncio.run(_read(empty, CATALOG["tables"])) == set()
