"""The books as of any instant, by both of their times; and what nobody can do to them."""

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import uuid4

import asyncpg
import httpx
import pytest
import stripe

from meterline.cli.books import audited
from meterline.store import migration
from tests.cli.running import run
from tests.wire import working
from tests.wire.billing import Month
from tests.wire.test_credits import JUNE, grant


@pytest.fixture(scope="module", autouse=True)
def worker(dsn: str) -> Iterator[None]:
    """Somebody has to advance test clocks."""
    with working.running(dsn):
        yield


@pytest.fixture(scope="module")
def month(client: stripe.StripeClient) -> Month:
    """A subscriber of two seats, billed on the first of June, given credits on the tenth and billed again in July."""
    month = Month(client, start=JUNE)
    month.subscribe(seats=2)
    month.advance(JUNE.replace(day=10))
    grant(client, month.customer.id, 500, category="promotional")
    month.advance(JUNE.replace(month=7, hour=2))
    return month


def books(raw: httpx.Client, at: datetime, *, customer: str | None = None, by: str = "business") -> dict[str, str]:
    """The usd accounts at an instant."""
    narrowed = {} if customer is None else {"customer": customer}
    answer = raw.get("/ops/books", params={"at": str(int(at.timestamp())), "by": by, **narrowed}).json()
    return {each["account"]: each["balance"] for each in answer["balances"] if each["asset"] == "USD"}


@pytest.mark.parametrize("by", ["business", "booking"])
def test_balances_are_read_as_of_any_instant(raw: httpx.Client, month: Month, by: str) -> None:
    mine = month.customer.id
    assert books(raw, JUNE - timedelta(seconds=1), customer=mine, by=by) == {}
    june = {"clearing:test": "-40", "receivable": "0", "revenue": "40"}
    assert books(raw, JUNE.replace(day=9), customer=mine, by=by) == june
    given = june | {"credit_promotional": "5", "promo_expense": "-5"}
    assert books(raw, JUNE.replace(day=11), customer=mine, by=by) == given
    assert books(raw, JUNE.replace(month=8), customer=mine, by=by)["revenue"] == "80"
    assert books(raw, JUNE.replace(month=8), by=by)["revenue"] == "80"


def test_the_books_of_strangers_and_of_nobody(raw: httpx.Client, client: stripe.StripeClient, month: Month) -> None:
    assert books(raw, JUNE.replace(month=8), customer=client.v1.customers.create({}).id) == {}
    wrong = raw.get("/ops/books", params={"customer": "cus_nobody"})
    assert wrong.json()["error"]["code"] == "resource_missing"
    assert raw.get("/ops/books", params={"by": "lunch"}).status_code == 400


def test_the_command_line_prints_the_same(dsn: str, raw: httpx.Client, month: Month) -> None:
    asked = ("export", "balances", "--environment", "test", "--customer", month.customer.id, "--by", "business")
    shown = run(*asked, "--at", "2026-06-11", environment={"DATABASE_URL": dsn})
    assert shown.returncode == 0, shown.stderr
    told = {line.split()[0]: line.split()[2] for line in shown.stdout.splitlines()[1:]}
    assert told == books(raw, JUNE.replace(day=11), customer=month.customer.id)
    unknown = run(
        "export", "balances", "--environment", "test", "--customer", "cus_x", environment={"DATABASE_URL": dsn}
    )
    assert unknown.returncode == 1 and "No such customer" in unknown.stderr


def test_a_flipped_bit_is_named_by_its_row(dsn: str, month: Month) -> None:
    assert asyncio.run(audited(dsn))[1] == []
    assert asyncio.run(flipped(dsn, "amount = amount + 0.01")) == ["transaction 2 line 0"]
    assert asyncio.run(flipped(dsn, "cause_id = cause_id || 'x'")) == ["transaction 2 line 0"]
    assert asyncio.run(flipped(dsn, "business_at = business_at + interval '1 microsecond'")) == ["transaction 2 line 0"]
    assert asyncio.run(flipped(dsn, "hash = set_byte(hash, 0, get_byte(hash, 0) # 1)"))[0] == "transaction 2 line 0"
    assert asyncio.run(audited(dsn))[1] == []


async def flipped(dsn: str, change: str) -> list[str]:
    """Where the audit finds fault with the hashes once a superuser has changed a row; undone at the end."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("CREATE TABLE kept AS TABLE ledger_transfer")
        await connection.execute(f"UPDATE ledger_transfer SET {change} WHERE transaction = 2 AND line = 0")
        found = (await audited(dsn))[1]
        await connection.execute(
            "UPDATE ledger_transfer AS now SET amount = kept.amount, cause_id = kept.cause_id,"
            " business_at = kept.business_at, hash = kept.hash FROM kept"
            " WHERE (kept.customer_id, kept.transaction, kept.line)"
            " = (now.customer_id, now.transaction, now.line)"
        )
        await connection.execute("DROP TABLE kept")
    finally:
        await connection.close()
    return [each.where for each in found if "hash" in each.what]


def test_not_even_the_owner_of_the_table_can_change_what_was_booked(empty: str) -> None:
    asyncio.run(migration.upgrade(empty))
    asyncio.run(as_owner(empty))


async def as_owner(dsn: str) -> None:
    """Try to change the journal as the role that owns it, which is what an installation runs as."""
    role = f"meterline_owner_{uuid4().hex[:8]}"
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(f"CREATE ROLE {role}; GRANT ALL ON SCHEMA public TO {role}")
        await connection.execute(f"ALTER TABLE ledger_transfer OWNER TO {role}")
        await connection.execute(f"SET ROLE {role}")
        assert await connection.fetchval("SELECT count(*) FROM ledger_transfer") == 0
        for change in (
            "UPDATE ledger_transfer SET amount = amount + 1",
            "DELETE FROM ledger_transfer",
            "TRUNCATE ledger_transfer",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(change)
        await connection.execute("RESET ROLE")
        await connection.execute(f"ALTER TABLE ledger_transfer OWNER TO CURRENT_USER; DROP OWNED BY {role}")
        await connection.execute(f"DROP ROLE {role}")
    finally:
        await connection.close()
