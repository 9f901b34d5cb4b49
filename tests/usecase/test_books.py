"""A year of random business: the books add up by our own audit and by a program that we did not write."""

import random
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.cli.books import audited, written
from meterline.ledger import posting
from meterline.ledger.account import Account
from meterline.ledger.posting import Slice
from meterline.ledger.transaction import Cause, Transfer, reversal
from meterline.store import ledger
from meterline.store.database import Database
from meterline.store.identifier import uuid7

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


def business(chance: random.Random, asset: str) -> tuple[Transfer, ...]:
    """One random piece of business."""

    def some() -> Decimal:
        return Decimal(chance.randrange(1, 10**9)).scaleb(-chance.choice([2, 6, 12]))

    a, b = some(), some()
    slices = [Slice("g1", "promotional", a), Slice("g2", "paid", b)]
    recipes = [
        lambda: posting.invoice_finalized(asset=asset, net=a, tax=b, deferred=a, balance_applied=-b),
        lambda: posting.payment_received(asset=asset, amount=a, processor="test"),
        lambda: posting.payment_refunded(asset=asset, amount=a, processor="test"),
        lambda: posting.credit_note(asset=asset, net=a, tax=b, to_balance=b, refunded=a),
        lambda: posting.written_off(asset=asset, amount=a),
        lambda: posting.credit_granted(asset=asset, amount=a, funding="paid", grant="cg"),
        lambda: posting.credit_expired(asset=asset, amount=a, funding="promotional", grant="cg"),
        lambda: posting.topped_up(asset=asset, amount=a, processor="test", grant="g2", debt=b),
        lambda: posting.promotion_granted(asset=asset, amount=a, grant="g1"),
        lambda: posting.usage_debited(asset=asset, slices=slices, shortage=b),
        lambda: posting.held(asset=asset, slices=slices, shortage=b),
        lambda: posting.released(asset=asset, slices=slices, shortage=b),
        lambda: posting.captured(asset=asset, amount=a),
        lambda: posting.expired(asset=asset, slices=slices),
        lambda: posting.payment_disputed(asset=asset, amount=a, processor="test"),
        lambda: reversal(posting.usage_debited(asset=asset, slices=slices, shortage=a)),
        lambda: posting.units_bought(
            currency="USD", price=a, processor="test", asset="TOKENS", amount=b, grant="g3", debt=Decimal(0)
        ),
    ]
    return chance.choice(recipes)()


async def post_a_year(tx: AsyncConnection, chance: random.Random, asset: str) -> None:
    customer_id = uuid7()
    for day in range(365):
        now = NEW_YEAR + timedelta(days=day)
        await ledger.post(
            tx,
            environment="test",
            customer_id=customer_id,
            cause=Cause("business", f'day "{day}" of \\ {asset}'),
            transfers=business(chance, asset),
            business_at=now - timedelta(hours=chance.randrange(48)),
            now=now,
        )


async def test_a_year_of_random_business_passes_both_audits(database: Database, tmp_path: Path) -> None:
    chance = random.Random(20260101)
    async with database.begin() as tx:
        for asset in ("USD", "JPY", "KWD"):
            await post_a_year(tx, chance, asset)
    assert await audited(database.dsn) == (3, [])

    journal = tmp_path / "books.beancount"
    assert await written(database.dsn, "test", journal) == 3
    checked = bean_check(journal)
    assert checked.returncode == 0, checked.stdout + checked.stderr

    one_row_changed = journal.read_text().replace("Income:Revenue", "Income:Breakage", 3)
    journal.write_text(one_row_changed)
    assert bean_check(journal).returncode != 0


def bean_check(journal: Path) -> "subprocess.CompletedProcess[str]":
    program = Path(sys.executable).with_name("bean-check")
    return subprocess.run([program, journal], capture_output=True, text=True, check=False)


async def test_the_audit_names_a_row_that_went_missing(database: Database) -> None:
    customer_id = uuid7()
    async with database.begin() as tx:
        for n in range(3):
            await ledger.post(
                tx,
                environment="test",
                customer_id=customer_id,
                cause=Cause("gift", str(n)),
                transfers=posting.promotion_granted(asset="USD", amount=Decimal(1), grant=str(n)),
                business_at=NEW_YEAR,
                now=NEW_YEAR,
            )
    async with database.pool.acquire() as connection:
        tampering = connection.transaction()
        await tampering.start()
        await connection.execute("DELETE FROM ledger_transfer WHERE customer_id = $1 AND transaction = 2", customer_id)
        found = await ledger.verify(connection, customer_id)
        await tampering.rollback()
    assert found[0].where == "transaction 3 line 0" and "missing" in found[0].what
    assert any(each.where == f"{Account('promotional', 'USD').name} USD" for each in found)
