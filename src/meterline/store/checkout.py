"""Checkout sessions."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, PrimaryKeyConstraint, Table, Text, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.payment.checkout import Checkout
from meterline.store import schema
from meterline.store.kept import Kept
from meterline.store.page import Cursor, Page, Span
from meterline.store.row import load

KIND = "checkout.session"

checkout = Table(
    "checkout",
    schema.metadata,
    schema.environment(),
    schema.customer_id(),
    schema.public_id(),
    schema.sequence(),
    Column("customer", Text),
    Column("mode", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("payment_status", Text, nullable=False),
    schema.instant("created", nullable=False),
    schema.instant("expires_at", nullable=False),
    Column("currency", Text),
    Column("amount", BigInteger, nullable=False),
    schema.document("lines"),
    Column("success_url", Text),
    Column("cancel_url", Text),
    Column("client_reference_id", Text),
    Column("email", Text),
    Column("make_customer", Boolean, nullable=False),
    Column("trial_days", Integer),
    schema.document("default_tax_rates"),
    Column("tax_exempt", Text, nullable=False),
    Column("tax_rounding", Text, nullable=False),
    Column("description", Text),
    Column("setup_future_usage", Text),
    schema.document("metadata"),
    schema.document("result_metadata"),
    Column("payment", Text),
    Column("setup", Text),
    Column("subscription", Text),
    Column("invoice", Text),
    Column("payer_name", Text),
    Column("payer_email", Text),
    Column("credit_order", JSONB(none_as_null=True)),
    Column("credit_grant", Text),
    Column("coupon", JSONB(none_as_null=True)),
    Column("promotion_code", Text),
    Column("allow_promotion_codes", Boolean),
    Column("discount", Text),
    PrimaryKeyConstraint("customer_id", "id"),
    Index("ix_checkout_sequence", "environment", "sequence"),
    Index("ix_checkout_customer", "environment", "customer", "sequence"),
    Index("ix_checkout_payment", "environment", "payment"),
    Index("ix_checkout_setup", "environment", "setup"),
    Index("ix_checkout_subscription", "environment", "subscription"),
)


_checkouts = Kept(checkout, Checkout, KIND, param="session")
add, find, lock, save = _checkouts.add, _checkouts.find, _checkouts.lock, _checkouts.save


async def get(tx: AsyncConnection, environment: str, id: str, *, lock: bool = False) -> Checkout:
    """The session that a call is about, locked if asked. Raises Missing."""
    found = await _checkouts.get(tx, environment, id)
    return await _checkouts.lock(tx, customer_id=found.customer_id, id=id) if lock else found


async def listed(
    tx: AsyncConnection,
    environment: str,
    cursor: Cursor,
    *,
    customer: str | None = None,
    payment: str | None = None,
    subscription: str | None = None,
    status: str | None = None,
    created: Span | None = None,
) -> Page:
    """A page of sessions, newest first."""
    return await _checkouts.listed(
        tx,
        environment,
        cursor,
        created=created,
        customer=customer,
        payment=payment,
        subscription=subscription,
        status=status,
    )


async def of_result(tx: AsyncConnection, environment: str, id: str, *, lock: bool = False) -> Checkout | None:
    """The session that made a payment or a setup of that id, locked if asked; None where none did."""
    made = checkout.c.setup if id.startswith("seti_") else checkout.c.payment
    query = select(checkout).where(checkout.c.environment == environment, made == id)
    row = (await tx.execute(query.with_for_update() if lock else query)).one_or_none()
    return None if row is None else load(Checkout, row)
