"""Setup intents."""

from uuid import UUID

from sqlalchemy import Column, Index, PrimaryKeyConstraint, Table, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.payment.setup import Setup
from meterline.store import schema
from meterline.store.kept import Kept
from meterline.store.page import Cursor, Page, Span

KIND = "setup_intent"

setup_intent = Table(
    "setup_intent",
    schema.metadata,
    schema.environment(),
    schema.customer_id(),
    schema.public_id(),
    schema.sequence(),
    Column("customer", Text),
    Column("status", Text, nullable=False),
    Column("client_secret", Text, nullable=False),
    schema.instant("created", nullable=False),
    Column("usage", Text, nullable=False),
    Column("payment_method", Text),
    Column("last_refusal", JSONB(none_as_null=True)),
    Column("refused_method", JSONB(none_as_null=True)),
    Column("cancellation_reason", Text),
    Column("description", Text),
    Column("return_url", Text),
    schema.document("metadata"),
    PrimaryKeyConstraint("customer_id", "id"),
    Index("ix_setup_intent_sequence", "environment", "sequence"),
    Index("ix_setup_intent_customer", "customer_id", "sequence"),
    Index("ix_setup_intent_method", "environment", "payment_method", "sequence"),
)


_setups = Kept(setup_intent, Setup, KIND, param="intent")
add, save, find, get, lock = _setups.add, _setups.save, _setups.find, _setups.get, _setups.lock


async def listed(
    tx: AsyncConnection,
    environment: str,
    cursor: Cursor,
    *,
    customer_id: UUID | None = None,
    method: str | None = None,
    created: Span | None = None,
) -> Page:
    """A page of setup intents, newest first: all of them, or those of a customer or a payment method."""
    return await _setups.listed(
        tx, environment, cursor, created=created, customer_id=customer_id, payment_method=method
    )
