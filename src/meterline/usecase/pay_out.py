"""Bring money from a processor to the bank: the clearing account of every customer it came from is even again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.ledger import posting
from meterline.ledger.transaction import Cause, Transfer
from meterline.money import to_major
from meterline.payment.statement import Payout, StatementLine, allocate, taken_by
from meterline.refusal import Refusal
from meterline.store import notice, statement
from meterline.store import payout as store
from meterline.store.identifier import house, public
from meterline.usecase import keep_books

BUILT_IN = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedPayout:
    """What a payout is to be. `amount` (minor units) null is all there is, as when it is made automatically."""

    currency: str
    amount: int | None = None
    description: str | None = None
    statement_descriptor: str | None = None
    method: Literal["standard", "instant"] = "standard"
    metadata: Mapping[str, str] = field(default_factory=dict)


async def pay_out(tx: AsyncConnection, *, environment: str, asked: AskedPayout, now: datetime) -> Payout:
    """Pay out what the built-in processor holds: it arrives at once. Refuses more than is available."""
    lines = await statement.lock_left(tx, environment, BUILT_IN, asked.currency, available_by=now)
    available = sum(line.left for line in lines)
    amount = available if asked.amount is None else asked.amount
    if amount <= 0 or amount > available:
        raise Refusal(
            "You have insufficient funds in your Stripe account for this payout.",
            code="balance_insufficient",
            param="amount",
        )
    new = Payout(
        environment=environment,
        customer_id=house(environment),
        id=public("po"),
        processor=BUILT_IN,
        amount=amount,
        currency=asked.currency,
        automatic=asked.amount is None,
        status="paid",
        created=now,
        arrival_date=now,
        balance_transaction=public("txn"),
        description=asked.description,
        statement_descriptor=asked.statement_descriptor,
        method=asked.method,
        metadata=asked.metadata,
    )
    parts = [(line, line.left) for line in lines] if new.automatic else allocate(amount, lines)
    await store.add(tx, new)
    await statement.add(tx, line_of(new, now=now))
    await tell_payout(tx, "payout.created", new, now=now)
    new = await settle_payout(tx, new, parts, now=now)
    await tell_payout(tx, "payout.paid", new, now=now)
    return new


def line_of(payout: Payout, *, now: datetime) -> StatementLine:
    """The payout's own line on the statement: the money left."""
    assert payout.balance_transaction is not None
    return StatementLine(
        environment=payout.environment,
        customer_id=payout.customer_id,
        id=payout.balance_transaction,
        type="payout",
        source=payout.id,
        processor=payout.processor,
        amount=-payout.amount,
        fee=0,
        currency=payout.currency,
        created=now,
        available_on=now,
        payout=payout.id,
        paid_out=-payout.amount,
    )


async def settle_payout(
    tx: AsyncConnection, payout: Payout, parts: Sequence[tuple[StatementLine, int]], *, now: datetime
) -> Payout:
    """Record which lines (locked) a payout was made of, and how much of each; the books of their customers follow."""
    for line, part in parts:
        await statement.save(tx, replace(line, paid_out=line.paid_out + part, payout=payout.id))
    await _book(tx, payout, parts, cause="payout", sign=1, now=now)
    after = replace(payout, explained=payout.explained + sum(part for _, part in parts))
    await store.save(tx, after)
    return after


async def undo_payout(tx: AsyncConnection, payout: Payout, *, now: datetime) -> Payout:
    """A payout did not arrive: its lines are at the processor again."""
    lines = await statement.lock_paid_by(tx, payout.environment, payout.id)
    parts = taken_by(payout, lines)
    for line, part in parts:
        await statement.save(tx, replace(line, paid_out=line.paid_out - part, payout=None))
    await _book(tx, payout, parts, cause="payout.failed", sign=-1, now=now)
    after = replace(payout, explained=0)
    await store.save(tx, after)
    return after


async def _book(
    tx: AsyncConnection,
    payout: Payout,
    parts: Sequence[tuple[StatementLine, int]],
    *,
    cause: str,
    sign: Literal[1, -1],
    now: datetime,
) -> None:
    """One transaction in the books of each customer; the customers in the order of their ids."""
    moves: dict[UUID, list[Transfer]] = {}
    for line, part in sorted(parts, key=lambda each: each[0].customer_id):
        if line.source is None and line.type != "stripe_fee":
            continue
        amount = sign * to_major(part, line.currency)
        moves.setdefault(line.customer_id, []).extend(
            posting.payout_received(asset=line.currency.upper(), amount=amount, processor=line.processor)
        )
    for customer_id, transfers in moves.items():
        await keep_books.posted(
            tx,
            environment=payout.environment,
            customer_id=customer_id,
            cause=Cause(cause, payout.id),
            transfers=transfers,
            now=now,
        )


async def tell_payout(tx: AsyncConnection, type: str, payout: Payout, *, now: datetime) -> None:
    """Announce what became of a payout."""
    await notice.add(
        tx, environment=payout.environment, customer_id=None, type=type, subject=payout, previous=None, now=now
    )
