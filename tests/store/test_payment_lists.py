"""Lists of what belongs to a charge or a payment read that charge's rows, however many others there are."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.store import checkout, dispute, payment, public_id, refund, setup_intent
from meterline.store.database import Database
from meterline.store.page import Cursor, Page
from meterline.store.schema import metadata

List: TypeAlias = Callable[[AsyncConnection], Awaitable[Page]]

FEW = Cursor(limit=10)
ROWS = 10_000
MINE = UUID(int=7)

WORDS = {
    "mode": "'payment'",
    "status": "'complete'",
    "payment_status": "'paid'",
    "tax_exempt": "'none'",
    "tax_rounding": "'line'",
}
RESULT = {"payment": "'pi_' || n", "setup": "'seti_' || n", "charge": "'ch_' || n", "payment_method": "'pm_' || n"}
OF_TYPE = {
    "text": "'x'",
    "boolean": "false",
    "integer": "0",
    "biginteger": "0",
    "jsonb": "'[]'",
    "uuid": "gen_random_uuid()",
    "datetime": "now()",
    "timestamp": "now()",
}
"""What the columns of a row hold that are asked for or read, and what the others hold that must hold something."""


async def filled(tx: AsyncConnection, table: str) -> None:
    """Many rows, 2000 of them mine; whatever else a row needs is the same for all."""
    mine = f"CASE WHEN n <= 2000 THEN '{MINE}'::uuid ELSE gen_random_uuid() END"
    values = {"environment": "'test'", "customer_id": mine, "id": "'x_' || n"}
    for column in metadata.tables[table].columns:
        if column.name in RESULT:
            values[column.name] = RESULT[column.name]
        elif table == "checkout" and column.name in WORDS:
            values[column.name] = WORDS[column.name]
        elif column.name.endswith("metadata"):
            values[column.name] = "'{}'"
        elif not column.nullable:
            values.setdefault(column.name, OF_TYPE[type(column.type).__name__.lower()])
    await tx.execute(
        text(
            f"INSERT INTO {table} ({', '.join(values)}) SELECT {', '.join(values.values())}"
            f" FROM generate_series(1, {ROWS}) AS n"
        )
    )
    await tx.execute(text(f"ANALYZE {table}"))
    await public_id.add(tx, environment="test", customer_id=MINE, kind=payment.CHARGE, ids=["ch_500"])
    await public_id.add(tx, environment="test", customer_id=MINE, kind=payment.KIND, ids=["pi_500"])


async def scans(tx: AsyncConnection, index: str) -> int:
    """How often this transaction has read that index."""
    return int(await tx.scalar(text(f"SELECT pg_stat_get_xact_numscans('{index}'::regclass)")) or 0)


async def _found_checkout(tx: AsyncConnection, id: str) -> Page:
    found = await checkout.of_result(tx, "test", id)
    return Page(rows=() if found is None else (found,), has_more=False)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("table", "index", "read"),
    [
        ("refund", "ix_refund_charge", lambda tx: refund.listed(tx, "test", FEW, charge="ch_500")),
        ("refund", "ix_refund_payment", lambda tx: refund.listed(tx, "test", FEW, payment="pi_500")),
        ("dispute", "ix_dispute_charge", lambda tx: dispute.listed(tx, "test", FEW, charge="ch_500")),
        ("dispute", "ix_dispute_payment", lambda tx: dispute.listed(tx, "test", FEW, payment="pi_500")),
        (
            "payment_attempt",
            "ix_payment_attempt_payment",
            lambda tx: payment.listed_charges(tx, "test", FEW, payment_id="pi_500"),
        ),
        ("setup_intent", "ix_setup_intent_method", lambda tx: setup_intent.listed(tx, "test", FEW, method="pm_500")),
        ("checkout", "ix_checkout_payment", lambda tx: _found_checkout(tx, "pi_500")),
        ("checkout", "ix_checkout_setup", lambda tx: _found_checkout(tx, "seti_500")),
    ],
)
async def test_a_list_of_one_thing_reads_the_index_of_that_thing(
    database: Database, table: str, index: str, read: List
) -> None:
    async with database.begin() as tx:
        await filled(tx, table)
        before = await scans(tx, index)
        page = await read(tx)
        assert (len(page.rows), await scans(tx, index) - before) == (1, 1)
        await tx.rollback()


async def test_what_belongs_to_nothing_known_is_an_empty_list(database: Database) -> None:
    async with database.begin() as tx:
        unknown = f"ch_{uuid4().hex}"
        assert await refund.listed(tx, "test", FEW, charge=unknown) == Page(rows=(), has_more=False)
