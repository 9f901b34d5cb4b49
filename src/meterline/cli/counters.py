"""`meterline verify counters`: prove that the usage counters are what their events say."""

import asyncio
import sys
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from meterline.cli.database import address
from meterline.cli.option import DataDir, settings_with
from meterline.store.counter import Difference
from meterline.store.database import Database
from meterline.store.usage import HOUR
from meterline.usecase.keep_usage import earliest_day
from meterline.usecase.keep_usage import verify as verify_usage

_WIDE = 160
_DAYS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]


def counters(
    since: Annotated[datetime | None, typer.Option(formats=_DAYS, help="From this UTC time on.")] = None,
    until: Annotated[datetime | None, typer.Option(formats=_DAYS, help="Before this UTC time.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Recount usage from its events and name every counter that differs. Exit code 1 when one does."""
    with address(settings_with(data_dir=data_dir)) as dsn:
        found, start, end = asyncio.run(_verify(dsn, since, until))
    out = Console(width=max(Console().width, _WIDE), highlight=False)
    if start is None:
        out.print("There are no events to count.")
        return
    if not found:
        out.print(f"Every counter from {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC is what its events say.")
        return
    table = Table("environment", "customer", "meter", "hour (UTC)", "counted", "by its events", box=None)
    for each in found:
        counted, recounted = (f"{count} events, sum {total:f}" for count, total in (each.counted, each.recounted))
        table.add_row(
            each.environment, str(each.customer_id), each.meter, f"{each.hour:%Y-%m-%d %H}h", counted, recounted
        )
    out.print(table)
    sys.exit(1)


async def _verify(
    dsn: str, since: datetime | None, until: datetime | None
) -> tuple[list[Difference], datetime | None, datetime]:
    database = Database(dsn)
    await database.open()
    try:
        end = datetime.now(UTC) + HOUR if until is None else until.replace(tzinfo=UTC)
        start = await earliest_day(database) if since is None else since.replace(tzinfo=UTC)
        return [] if start is None else await verify_usage(database, start=start, end=end), start, end
    finally:
        await database.close()
