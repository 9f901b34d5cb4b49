"""`meterline keys`: make, list and revoke API keys."""

import asyncio
import re
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.cli.database import address
from meterline.cli.option import DataDir, settings_with
from meterline.config import Settings
from meterline.store import api_key, migration
from meterline.store.database import Database

keys = typer.Typer(help="Make, list and revoke API keys.", no_args_is_help=True)

_WIDE = 140
_SPELLING = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_ACCESS = ("read", "write")
_Answer = TypeVar("_Answer")


@keys.command()
def create(
    env: Annotated[str, typer.Option(help="live, test, or the name of a sandbox.")],
    name: Annotated[str | None, typer.Option(help="What the key is for.", show_default=False)] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(help="Restrict the key: RESOURCE=read or RESOURCE=write, several times.", show_default=False),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Make a key and print it, once: only its digest is kept."""
    if not _SPELLING.fullmatch(env):
        raise typer.BadParameter("an environment is up to 40 lower-case letters, digits, - and _", param_hint="--env")
    permissions = dict(_permission(each) for each in allow or [])
    kind = "restricted" if permissions else "secret"
    secret = api_key.new_secret(env, kind)

    async def add(tx: AsyncConnection) -> bool:
        return await api_key.add(
            tx, environment=env, secret=secret, kind=kind, name=name, permissions=permissions, now=datetime.now(UTC)
        )

    _with_database(settings_with(data_dir=data_dir), add)
    Console(stderr=True).print("Keep this key: it is not shown again.")
    sys.stdout.write(f"{secret}\n")


@keys.command("list")
def list_keys(
    env: Annotated[str | None, typer.Option(help="Only this environment's.", show_default=False)] = None,
    data_dir: DataDir = None,
) -> None:
    """List the keys, revoked ones too."""
    found = _with_database(settings_with(data_dir=data_dir), lambda tx: api_key.all_of(tx, env))
    table = Table("id", "environment", "kind", "name", "ends in", "made", "revoked", box=None)
    for column in table.columns:
        column.no_wrap = True
    for key in found:
        revoked = "" if key.revoked_at is None else f"{key.revoked_at:%Y-%m-%d %H:%M}"
        made = f"{key.created:%Y-%m-%d %H:%M}"
        table.add_row(key.id, key.environment, key.kind, key.name or "", f"…{key.last4}", made, revoked)
    # Ids are for copying: a narrow terminal wraps the lines, it does not shorten them.
    Console(width=max(Console().width, _WIDE)).print(table, soft_wrap=True)


@keys.command()
def revoke(
    id: Annotated[str, typer.Argument(help="The key's id, as `keys list` shows it.")],
    data_dir: DataDir = None,
) -> None:
    """Refuse a key from now on; every process has noticed within a second."""
    done = _with_database(settings_with(data_dir=data_dir), lambda tx: api_key.revoke(tx, id, now=datetime.now(UTC)))
    if not done:
        Console(stderr=True).print(f"[red]✗[/] There is no key {id} in use. `meterline keys list` shows them.")
        raise typer.Exit(1)
    Console().print(f"{id} is revoked.")


def _permission(text: str) -> tuple[str, str]:
    resource, _, access = text.partition("=")
    if not resource or access not in _ACCESS:
        raise typer.BadParameter(f"{text!r} should be RESOURCE=read or RESOURCE=write", param_hint="--allow")
    return resource, access


def _with_database(settings: Settings, work: Callable[[AsyncConnection], Awaitable[_Answer]]) -> _Answer:
    """Run `work` in one transaction on the database, its schema brought up to date first."""
    with address(settings) as dsn:
        return asyncio.run(_in_transaction(dsn, work))


async def _in_transaction(dsn: str, work: Callable[[AsyncConnection], Awaitable[_Answer]]) -> _Answer:
    await migration.upgrade(dsn)
    database = Database(dsn)
    try:
        async with database.begin() as tx:
            return await work(tx)
    finally:
        await database.close()
