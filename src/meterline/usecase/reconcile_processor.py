"""Reconcile with the processor of live mode: its statement is read, its fees are booked, its payouts are explained.

Whatever is recorded is recorded under the processor's own name for it, so reading the same again changes nothing.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.gateway.stripe_statement import Movement, PayoutNews, StripeStatement
from meterline.ledger import posting
from meterline.ledger.transaction import Cause
from meterline.money import to_major
from meterline.payment.statement import NOT_PAID_OUT, Payout, StatementLine, allocate
from meterline.store import dispute as disputes
from meterline.store import payment as payments
from meterline.store import payout as payouts
from meterline.store import refund as refunds
from meterline.store import statement
from meterline.store.database import Database
from meterline.store.identifier import house, public
from meterline.usecase import keep_books
from meterline.usecase.create_payment_method import LIVE
from meterline.usecase.import_method import STRIPE
from meterline.usecase.pay_out import settle_payout, tell_payout, undo_payout

LOOKS_BACK = timedelta(days=30)
"""How far back the first look goes, and how long a payout can still fail."""
OVERLAP = timedelta(days=2)
LATE = timedelta(hours=1)
"""After which a movement that is about nothing of ours is taken to be somebody else's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Match:
    """What of ours a movement is about; `source` is null for what is nobody's."""

    customer_id: UUID
    source: str | None


async def reconcile(database: Database, account: StripeStatement, *, now: datetime) -> int:
    """Read the statement and the payouts since the last time; how many lines were new. `now` is the wall clock."""
    async with database.begin() as tx:
        latest = await statement.latest(tx, LIVE, STRIPE)
    since = now - LOOKS_BACK if latest is None else min(latest - OVERLAP, now - OVERLAP)
    found = await asyncio.to_thread(lambda: list(account.movements_since(since)))
    new = await _record(database, found[::-1], now=now)
    for told in (await asyncio.to_thread(lambda: list(account.payouts_since(now - LOOKS_BACK))))[::-1]:
        new += await _payout(database, account, told, now=now)
    return new


async def _record(database: Database, movements: Sequence[Movement], *, now: datetime) -> int:
    async with database.begin() as tx:
        known = await statement.known(tx, LIVE, STRIPE, [each.reference for each in movements])
    new = 0
    for each in movements:
        if each.reference not in known and each.type not in NOT_PAID_OUT:
            async with database.begin() as tx:
                new += await record_movement(tx, each, now=now)
    return new


async def record_movement(tx: AsyncConnection, told: Movement, *, now: datetime) -> bool:
    """Put a movement on our statement, its fee in the books; whether that was done, and not left for later."""
    match = await _match(tx, told)
    if match.source is None and told.type != "stripe_fee" and now - told.created < LATE:
        return False
    line = StatementLine(
        environment=LIVE,
        customer_id=match.customer_id,
        id=public("txn"),
        type=told.type if match.source is not None or told.type == "stripe_fee" else "other",
        source=match.source,
        processor=STRIPE,
        amount=told.amount,
        fee=told.fee,
        currency=told.currency,
        created=told.created,
        available_on=told.available_on,
        reference=told.reference,
        description=told.description,
    )
    await statement.add(tx, line)
    await _name_line(tx, line)
    await _book_fee(tx, line, now=now)
    return True


async def _match(tx: AsyncConnection, told: Movement) -> _Match:
    nobody = _Match(customer_id=house(LIVE), source=None)
    if told.refund is not None:
        refund = (await refunds.find(tx, LIVE, [told.refund])).get(told.refund)
        return nobody if refund is None else _Match(customer_id=refund.customer_id, source=refund.id)
    if told.payment is None:
        return nobody
    charge = await payments.by_reference(tx, LIVE, STRIPE, told.payment)
    if charge is None:
        return nobody
    if told.dispute is None:
        return _Match(customer_id=charge.customer_id, source=charge.id)
    dispute = await disputes.by_reference(tx, customer_id=charge.customer_id, processor=STRIPE, reference=told.dispute)
    return nobody if dispute is None else _Match(customer_id=charge.customer_id, source=dispute.id)


async def _name_line(tx: AsyncConnection, line: StatementLine) -> None:
    """Let the charge or the refund name its line."""
    if line.source is None:
        return
    if line.type in ("charge", "payment"):
        charge = await payments.lock_attempt(tx, customer_id=line.customer_id, id=line.source)
        await payments.save_attempt(tx, replace(charge, balance_transaction=line.id))
    elif line.type in ("refund", "payment_refund"):
        refund = await refunds.lock(tx, customer_id=line.customer_id, id=line.source)
        await refunds.save(tx, replace(refund, balance_transaction=line.id))
    elif line.type == "refund_failure":
        refund = await refunds.lock(tx, customer_id=line.customer_id, id=line.source)
        await refunds.save(tx, replace(refund, failure_balance_transaction=line.id))


async def _book_fee(tx: AsyncConnection, line: StatementLine, *, now: datetime) -> None:
    """A fee is of the movement it is told with, or a movement by itself."""
    fee = -line.net if line.type == "stripe_fee" else line.fee
    if line.type == "other" or not fee:
        return
    transfers = posting.fee_taken(
        asset=line.currency.upper(), amount=to_major(fee, line.currency), processor=line.processor
    )
    await keep_books.posted(
        tx,
        environment=line.environment,
        customer_id=line.customer_id,
        cause=Cause("processor_fee", line.id),
        transfers=transfers,
        now=now,
    )


async def _payout(database: Database, account: StripeStatement, told: PayoutNews, *, now: datetime) -> int:
    """Record a payout as it stands now; how many lines of the statement it brought to light."""
    async with database.begin() as tx:
        known = await payouts.by_reference(tx, LIVE, STRIPE, told.reference)
    if known is not None and known.status == told.status and known.explained == known.amount:
        return 0
    made_of: list[Movement] | None = None
    new = 0
    if told.automatic and told.status == "paid":
        made_of = await asyncio.to_thread(lambda: list(account.movements_in(told.reference)))
        new = await _record(database, made_of[::-1], now=now + LATE)
    async with database.begin() as tx:
        await record_payout(tx, told, made_of, now=now)
    return new


async def record_payout(
    tx: AsyncConnection, told: PayoutNews, made_of: Sequence[Movement] | None, *, now: datetime
) -> Payout:
    """Record a payout, and once it has arrived which lines it brought to the bank; undo that where it comes back."""
    before = await payouts.by_reference(tx, LIVE, STRIPE, told.reference)
    payout = before or _new(told)
    if before is None:
        await payouts.add(tx, payout)
        await tell_payout(tx, "payout.created", payout, now=now)
    arrived = payout.status == "paid" and payout.explained == payout.amount
    if told.status == "paid" and not arrived:
        payout = await _settled(tx, replace(payout, status="paid"), made_of, now=now)
        if before is None or before.status != "paid":
            await tell_payout(tx, "payout.paid", payout, now=now)
    elif told.status in ("failed", "canceled") and payout.status != told.status:
        payout = await undo_payout(tx, replace(payout, status=told.status), now=now)
        await tell_payout(tx, f"payout.{told.status}", payout, now=now)
    elif payout.status != told.status:
        payout = replace(payout, status=told.status)
        await payouts.save(tx, payout)
        await tell_payout(tx, "payout.updated", payout, now=now)
    return payout


def _new(told: PayoutNews) -> Payout:
    return Payout(
        environment=LIVE,
        customer_id=house(LIVE),
        id=public("po"),
        processor=STRIPE,
        amount=told.amount,
        currency=told.currency,
        automatic=told.automatic,
        status="pending",
        created=told.created,
        arrival_date=told.arrival_date,
        reference=told.reference,
        statement_descriptor=told.statement_descriptor,
    )


async def _settled(tx: AsyncConnection, payout: Payout, made_of: Sequence[Movement] | None, *, now: datetime) -> Payout:
    """The payout with the lines it was made of: those it names, or what was left of the oldest ones."""
    if made_of is None:
        lines = await statement.lock_left(tx, LIVE, STRIPE, payout.currency, available_by=payout.created)
        rest = payout.amount - payout.explained
        return await settle_payout(tx, payout, allocate(rest, lines), now=now)
    named = await statement.lock_by_reference(tx, LIVE, STRIPE, [each.reference for each in made_of])
    return await settle_payout(tx, payout, [(line, line.left) for line in named], now=now)
