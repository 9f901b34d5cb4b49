"""Work that was given up is shown, and tried again when somebody says so."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID

from meterline.store import due
from meterline.store.database import Database
from tests.cli.running import run

WHEN = datetime(2026, 1, 1, tzinfo=UTC)


def test_given_up_work_is_listed_and_revived(dsn: str) -> None:
    asyncio.run(give_up(dsn, "sub_broken"))
    environment = {"DATABASE_URL": dsn}

    shown = run("due", "list", environment=environment)
    revived = run("due", "retry", "sub_broken", environment=environment)
    again = run("due", "retry", "sub_broken", environment=environment)
    empty = run("due", "list", environment=environment)

    assert shown.returncode == 1
    assert "sub_broken" in shown.stdout and "the moon was wrong" in shown.stdout
    assert (revived.returncode, again.returncode, empty.returncode) == (0, 1, 0)
    assert "renewal of sub_broken will be tried again" in revived.stdout
    assert "No work was given up" in empty.stdout


async def give_up(dsn: str, subject: str) -> None:
    database = Database(dsn)
    async with database.begin() as tx:
        await due.add(
            tx,
            environment="test",
            customer_id=UUID(int=1),
            kind="renewal",
            subject=subject,
            boundary=WHEN,
            due_at=WHEN,
            clock=None,
        )
        [row] = await due.of_subject(tx, customer_id=UUID(int=1), subject=subject)
        await due.give_up(tx, row, now=WHEN, error="the moon was wrong")
    await database.close()
