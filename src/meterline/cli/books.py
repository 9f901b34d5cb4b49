"""`meterline verify ledger`, `meterline export balances` and `… beancount`: the books, audited, as of any instant."""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TextIO
from uuid import UUID

import asyncpg
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from meterline.cli.database import address
from meterline.cli.option import DataDir, settings_with
from meterline.ledger import beancount
from meterline.ledger.account import Account
from meterline.ledger.audit import Row, Violation
from meterline.money import decimal_text
from meterline.refusal import Missing
from meterline.store import customer as customers
from meterline.store import ledger
from meterline.store.database import Database

verify = typer.Typer(help="Check that what is stored adds up.", no_args_is_help=True)
export = typer.Typer(help="Hand data to other programs.", no_args_is_help=True)

_INSTANTS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S"]


class By(StrEnum):
    """Which of its two times a transfer goes by."""

    booking = "booking"
    business = "business"


Environment = Annotated[str | None, typer.Option(help="Only this environment: live, test or a sandbox.")]


@verify.command("ledger")
def verify_ledger(environment: Environment = None, data_dir: DataDir = None) -> None:
    """Re-fold every balance from the journal and follow the hash chains; exit code 1 when anything differs."""
    with address(settings_with(data_dir=data_dir)) as dsn:
        count, violations = asyncio.run(audited(dsn, environment))
    out = Console(highlight=False)
    for each in violations:
        out.print(f"[red]✗[/] customer {each.customer_id}: {each.where} {each.what}", soft_wrap=True)
    if violations:
        raise typer.Exit(1)
    out.print(f"[green]✓[/] the books of {count} customers add up")


async def audited(dsn: str, environment: str | None = None) -> tuple[int, list[Violation]]:
    """How many customers have books, and everything that does not add up in them, as of one instant."""
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            customers = await ledger.customers(connection, environment)
            violations: list[Violation] = []
            for customer_id in track(customers, "Reading the books", transient=True, disable=len(customers) < 2):
                violations += await ledger.verify(connection, customer_id)
    finally:
        await connection.close()
    return len(customers), violations


@export.command("balances")
def export_balances(
    environment: Annotated[str, typer.Option(help="live, test or a sandbox.")] = "live",
    customer: Annotated[str | None, typer.Option(help="Only the books of this customer (cus_…).")] = None,
    at: Annotated[
        datetime | None, typer.Option(help="As of this instant, UTC; now by default.", formats=_INSTANTS)
    ] = None,
    by: Annotated[
        By, typer.Option(help="When the books learned of it (booking), or when it happened (business).")
    ] = By.booking,
    data_dir: DataDir = None,
) -> None:
    """Print how the accounts stood at an instant, credits positive: what is owed to somebody."""
    instant = datetime.now(UTC) if at is None else at.replace(tzinfo=UTC)
    with address(settings_with(data_dir=data_dir)) as dsn:
        found = asyncio.run(_stood(dsn, environment, customer, instant, by.value))
    table = Table("account", "asset", "balance", box=None)
    for account, amount in sorted(found.items()):
        table.add_row(account.name, account.asset, decimal_text(amount))
    Console(highlight=False).print(table)


async def _stood(
    dsn: str, environment: str, customer: str | None, at: datetime, by: ledger.Clock
) -> dict[Account, Decimal]:
    database = Database(dsn)
    try:
        async with database.begin() as tx:
            owner = None if customer is None else await customers.get(tx, environment, customer)
            return await ledger.stood(
                tx,
                environment=environment,
                at=at,
                clock=by,
                customer_id=None if owner is None else owner.customer_id,
            )
    except Missing as missing:
        Console(stderr=True).print(f"[red]✗[/] {missing.message}", highlight=False)
        raise typer.Exit(1) from None
    finally:
        await database.close()


@export.command("beancount")
def export_beancount(
    file: Annotated[Path, typer.Argument(help="The file to write.")],
    environment: Annotated[str, typer.Option(help="live, test or a sandbox.")] = "live",
    data_dir: DataDir = None,
) -> None:
    """Write the journal of an environment for beancount: `bean-check FILE` audits it independently."""
    with address(settings_with(data_dir=data_dir)) as dsn:
        count = asyncio.run(written(dsn, environment, file))
    Console(highlight=False).print(f"{file}: the books of {count} customers")


async def written(dsn: str, environment: str, file: Path) -> int:
    """Write the journal, streaming, as of one instant; returns how many customers' books it holds."""
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            customers = await ledger.customers(connection, environment)
            with file.open("w", encoding="utf-8") as out:
                out.writelines(f"{line}\n" for line in beancount.header())
                for customer_id in customers:
                    await _write(connection, customer_id, out)
    finally:
        await connection.close()
    return len(customers)


async def _write(connection: ledger.Connection, customer_id: UUID, out: TextIO) -> None:
    name = str(customer_id)
    posted = (await ledger.balances(connection, [customer_id])).get(customer_id, {})
    out.writelines(f"{line}\n" for line in beancount.opened(posted, name))
    last = beancount.FIRST_DAY
    rows: list[Row] = []
    async for row in ledger.read(connection, customer_id):
        if rows and row.number != rows[-1].number:
            out.writelines(f"{line}\n" for line in beancount.told(rows, name))
            rows.clear()
        rows.append(row)
        last = max(last, beancount.day(row.booked_at))
    out.writelines(f"{line}\n" for line in beancount.told(rows, name))
    out.writelines(f"{line}\n" for line in beancount.asserted(posted, name, after=last))
