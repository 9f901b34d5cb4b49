"""The tables as PostgreSQL sees them keep the rules that let customers be spread over many servers later.

A customer's rows live together: the customer leads every key of theirs, nothing is unique across customers, and
nothing runs inside the database that a shard could not run.
"""

import asyncio

import asyncpg
import pytest

LOOK_UPS = {"public_id", "external_id"}
"""Keyed by what the world knows, to find the customer: the only keys that are unique across customers."""

NARROW = {"publisher", "recent_identifier"}
"""The one counter of published notices, and the short-lived identifiers: their customer says the environment."""

UNIQUE_KEYS = """
    select c.relname as "table", i.relname as "key",
           array(select attname::text from unnest(indkey::int2[]) with ordinality as k(number, position)
                   join pg_attribute on attrelid = c.oid and attnum = number order by position) as columns
      from pg_index
      join pg_class c on c.oid = indrelid
      join pg_class i on i.oid = indexrelid
     where indisunique and c.relnamespace = 'public'::regnamespace and not c.relispartition
"""
TENANT_TABLES = """
    select relname from pg_attribute join pg_class on pg_class.oid = attrelid
     where attname = 'customer_id' and attnotnull and relkind in ('r', 'p') and not relispartition
       and relnamespace = 'public'::regnamespace
"""
COLUMNS = """
    select relname || '.' || attname as "column", format_type(atttypid, null) as type, attidentity::text as identity,
           coalesce(pg_get_expr(adbin, adrelid), '') as fallback
      from pg_attribute
      join pg_class on pg_class.oid = attrelid and relkind in ('r', 'p')
      left join pg_attrdef on adrelid = attrelid and adnum = attnum
     where relnamespace = 'public'::regnamespace and attnum > 0 and not attisdropped
"""
CONSTRAINTS = """
    select conrelid::regclass::text as "table", conname as name, contype::text as type,
           array(select attname::text from unnest(conkey) as k(number)
                   join pg_attribute on attrelid = conrelid and attnum = number) as columns
      from pg_constraint
      join pg_class on pg_class.oid = conrelid
     where connamespace = 'public'::regnamespace and not relispartition
"""
PREFIX = {"p": "pk_", "u": "uq_", "f": "fk_", "c": "ck_", "x": "ex_"}


def read(dsn: str, query: str) -> list[asyncpg.Record]:
    async def fetch() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(dsn)
        try:
            return list(await connection.fetch(query))
        finally:
            await connection.close()

    return asyncio.run(fetch())


@pytest.fixture(scope="module")
def tenant_tables(dsn: str) -> set[str]:
    """The tables whose every row belongs to one customer."""
    found = {row["relname"] for row in read(dsn, TENANT_TABLES)}
    assert found > LOOK_UPS
    return found - LOOK_UPS


def test_the_customer_leads_every_unique_key_of_a_customers_rows(dsn: str, tenant_tables: set[str]) -> None:
    keys = [row for row in read(dsn, UNIQUE_KEYS) if row["table"] in tenant_tables]
    assert {row["table"] for row in keys} == tenant_tables
    assert [row["key"] for row in keys if row["columns"][0] != "customer_id"] == []


def test_a_customers_rows_refer_only_to_rows_of_the_same_customer(dsn: str) -> None:
    references = [row for row in read(dsn, CONSTRAINTS) if row["type"] == "f"]
    assert [row["name"] for row in references if "customer_id" not in row["columns"]] == []


def test_nothing_runs_inside_the_database(dsn: str) -> None:
    assert read(dsn, "select tgname from pg_trigger where not tgisinternal") == []
    assert read(dsn, "select rulename from pg_rules where schemaname = 'public'") == []


def test_ids_are_made_by_the_application(dsn: str) -> None:
    columns = read(dsn, COLUMNS)
    made = [row["column"] for row in columns if row["identity"] or "nextval" in row["fallback"]]
    assert made == []
    assert read(dsn, "select sequencename from pg_sequences where schemaname = 'public'") == []


def test_every_constraint_has_a_name_of_ours(dsn: str) -> None:
    """Errors are told apart by these names, and a shard adds its number behind."""
    constraints = [row for row in read(dsn, CONSTRAINTS) if row["type"] in PREFIX]
    assert constraints
    assert [row["name"] for row in constraints if not row["name"].startswith(PREFIX[row["type"]])] == []


def test_times_know_their_zone_and_numbers_are_exact(dsn: str) -> None:
    inexact = {"real", "double precision", "money", "timestamp without time zone", "time without time zone"}
    assert [row["column"] for row in read(dsn, COLUMNS) if row["type"] in inexact] == []


def test_every_row_belongs_to_an_environment(dsn: str) -> None:
    tables = {row["column"].partition(".")[0] for row in read(dsn, COLUMNS)}
    placed = {row["column"].partition(".")[0] for row in read(dsn, COLUMNS) if row["column"].endswith(".environment")}
    assert tables - placed == NARROW
