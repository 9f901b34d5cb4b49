"""The schema that the revisions make is the schema that the tables declare, to the last constraint."""

import asyncio
import shutil
from pathlib import Path

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


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def test_an_empty_database_comes_to_the_newest_revision_once(empty: str) -> None:
    assert asyncio.run(migration.upgrade(empty)) == (None, migration.head())
    assert asyncio.run(migration.upgrade(empty)) == (migration.head(), migration.head())


def test_a_database_of_another_draft_is_refused_and_left_as_it_is(empty: str) -> None:
    asyncio.run(migration.upgrade(empty))
    before = asyncio.run(_read(empty, CATALOG["columns"]))
    asyncio.run(_execute(empty, "comment on table alembic_version is 'revisions to 0001: another'"))
    with pytest.raises(migration.Drafted, match="another draft of revision 0001"):
        asyncio.run(migration.upgrade(empty))
    assert asyncio.run(condition.examine(empty)).drafted
    assert asyncio.run(_read(empty, CATALOG["columns"])) == before


def test_a_database_made_before_drafts_were_told_apart_is_refused(empty: str) -> None:
    asyncio.run(migration.upgrade(empty))
    asyncio.run(_execute(empty, "comment on table alembic_version is null"))
    with pytest.raises(migration.Drafted):
        asyncio.run(migration.upgrade(empty))


def test_later_revisions_go_on_from_those_that_made_the_database(
    empty: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asyncio.run(migration.upgrade(empty))
    copied = Path(shutil.copytree(Path(migration.__file__).parent / "migrations", tmp_path / "migrations"))
    (copied / "versions" / "0002_more.py").write_text(MORE)
    monkeypatch.setattr(migration, "_DIRECTORY", copied)
    monkeypatch.setattr(condition, "_REVISIONS", copied / "versions")
    assert asyncio.run(migration.upgrade(empty)) == ("0001", "0002")
    assert asyncio.run(migration.upgrade(empty)) == ("0002", "0002")
    assert not asyncio.run(condition.examine(empty)).drafted
    assert asyncio.run(migration.downgrade(empty, "0001")) == ("0002", "0001")
    assert not asyncio.run(condition.examine(empty)).drafted


MORE = """
from alembic import op

revision, down_revision = "0002", "0001"


def upgrade() -> None:
    op.execute("create table more ()")


def downgrade() -> None:
    op.execute("drop table more")
"""


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
