"""One PostgreSQL server per run, a fresh database with the schema per test module.

`METERLINE_TEST_DSN` names a server to use instead of an own one (its databases named `meterline_…` are ours).
"""

import asyncio
import importlib
import os
import pkgutil
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from meterline import store
from meterline.store.database import Database, sqlalchemy_url
from meterline.store.schema import metadata
from tests import postgres


def pytest_report_header() -> list[str]:
    """Say what cannot be tested here."""
    missing = []
    if shutil.which("node") is None:
        missing.append("Node.js is not installed: the npm SDK's chain is not run")
    if shutil.which("chromium") is None:
        missing.append("CHROMIUM IS NOT INSTALLED: NO PAGE IS LOOKED AT IN A BROWSER (apt-get install chromium)")
    return missing


@pytest.fixture(scope="session")
def postgres_dsn() -> Iterator[str]:
    """The address of a server on which databases can be created."""
    given = os.environ.get("METERLINE_TEST_DSN")
    if given is not None:
        yield given
        return
    with postgres.running() as dsn:
        yield dsn


@pytest.fixture(scope="session")
def template(postgres_dsn: str) -> Iterator[str]:
    """The name of a database that holds the schema and nothing else."""
    with _database(postgres_dsn, template=None) as dsn:
        asyncio.run(_create_schema(dsn))
        name = make_url(dsn).database
        assert name is not None
        yield name


@pytest.fixture(scope="module")
def dsn(postgres_dsn: str, template: str) -> Iterator[str]:
    """The address of a fresh database with the schema; the tests of one module share it."""
    with _database(postgres_dsn, template=template) as fresh:
        yield fresh


@pytest.fixture
def empty(postgres_dsn: str) -> Iterator[str]:
    """The address of a database with nothing in it."""
    with _database(postgres_dsn, template=None) as fresh:
        yield fresh


@pytest_asyncio.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    """The module's database, opened for one test."""
    opened = Database(dsn)
    await opened.open()
    yield opened
    await opened.close()


@contextmanager
def _database(postgres_dsn: str, template: str | None) -> Iterator[str]:
    name = f"meterline_{uuid4().hex[:16]}"
    copied = "" if template is None else f" template {template}"
    asyncio.run(_execute(postgres_dsn, f"create database {name}{copied}"))
    yield make_url(postgres_dsn).set(database=name).render_as_string(hide_password=False)
    asyncio.run(_execute(postgres_dsn, f"drop database {name} with (force)"))


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def _create_schema(dsn: str) -> None:
    for module in pkgutil.walk_packages(store.__path__, "meterline.store."):
        importlib.import_module(module.name)
    engine = create_async_engine(sqlalchemy_url(dsn))
    async with engine.begin() as tx:
        await tx.run_sync(metadata.create_all)
    await engine.dispose()
