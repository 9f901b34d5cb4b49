"""Credit notes, each with its lines."""

from uuid import UUID

from sqlalchemy import BigInteger, Column, Index, PrimaryKeyConstraint, Table, Text, select
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.invoice.credit_note import CreditNote
from meterline.store import public_id, schema
from meterline.store.invoice import KIND as INVOICE
from meterline.store.kept import Kept
from meterline.store.page import Cursor, Page, Span, during, page
from meterline.store.row import load

KIND = "credit_note"

credit_note = Table(
    "credit_note",
    schema.metadata,
    schema.environment(),
    schema.customer_id(),
    schema.public_id(),
    schema.sequence(),
    Column("customer", Text, nullable=False),
    Column("test_clock", Text),
    Column("invoice", Text, nullable=False),
    Column("number", Text, nullable=False),
    schema.instant("created", nullable=False),
    schema.instant("effective_at", nullable=False),
    Column("currency", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("pre_payment", BigInteger, nullable=False),
    Column("post_payment", BigInteger, nullable=False),
    Column("to_balance", BigInteger, nullable=False),
    Column("out_of_band", BigInteger, nullable=False),
    schema.document("refunds"),
    Column("customer_balance_transaction", Text),
    schema.document("lines"),
    Column("reason", Text),
    Column("memo", Text),
    schema.instant("voided_at"),
    schema.document("metadata"),
    PrimaryKeyConstraint("customer_id", "id"),
    Index("ix_credit_note_sequence", "environment", "sequence"),
    Index("ix_credit_note_customer", "customer_id", "sequence"),
    Index("ix_credit_note_invoice", "customer_id", "invoice", "sequence"),
    Index("ix_credit_note_number", "customer_id", "number", unique=True),
)


_notes = Kept(credit_note, CreditNote, KIND)
add, save, find, get, lock = _notes.add, _notes.save, _notes.find, _notes.get, _notes.lock


async def of_invoice(tx: AsyncConnection, *, customer_id: UUID, invoice: str) -> list[CreditNote]:
    """Every note of an invoice, void ones too, oldest first."""
    query = (
        select(credit_note)
        .where(credit_note.c.customer_id == customer_id, credit_note.c.invoice == invoice)
        .order_by(credit_note.c.sequence)
    )
    return [load(CreditNote, row) for row in await tx.execute(query)]


async def listed(
    tx: AsyncConnection,
    environment: str,
    cursor: Cursor,
    *,
    customer_id: UUID | None = None,
    invoice: str | None = None,
    created: Span | None = None,
) -> Page:
    """A page of notes, newest first. Without a customer or an invoice what lives on a test clock is hidden."""
    scope = credit_note.c.environment == environment
    query = select(credit_note).where(scope, *during(credit_note.c.created, created))
    if customer_id is not None:
        query = query.where(credit_note.c.customer_id == customer_id)
    if invoice is not None:
        owner = await public_id.owner(tx, environment=environment, kind=INVOICE, id=invoice)
        query = query.where(credit_note.c.customer_id == owner, credit_note.c.invoice == invoice)
    if customer_id is None and invoice is None:
        query = query.where(credit_note.c.test_clock.is_(None))
    return await page(tx, query, credit_note, kind=KIND, scope=scope, cursor=cursor)
