"""What billing credits pay of an invoice: tentatively while it is a draft, for good when it is finalized."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.invoice.credit import CreditGrant, CreditTransaction, Movement, credited, moved, uncredited, uses
from meterline.invoice.line import InvoiceLine
from meterline.invoice.model import Invoice
from meterline.ledger import posting
from meterline.ledger.posting import Slice
from meterline.ledger.transaction import Cause
from meterline.money import to_major
from meterline.store import credit, notice
from meterline.store.identifier import public
from meterline.usecase import keep_books


@dataclass(frozen=True, slots=True, kw_only=True)
class Paid:
    """The lines of an invoice with the credits that paid of them, and what each grant gave, in major units."""

    lines: tuple[InvoiceLine, ...]
    slices: tuple[Slice, ...]


async def with_tentative_credits(
    tx: AsyncConnection, draft: Invoice, lines: Sequence[InvoiceLine]
) -> tuple[InvoiceLine, ...]:
    """The lines of a draft or a preview with what the grants would pay of them now; nothing is used."""
    plain = uncredited(lines)
    if not any(line.usage is not None for line in plain):
        return plain
    grants = await credit.with_something_left(tx, customer_id=draft.customer_id, currency=draft.currency)
    used = uses(plain, grants, period_end=draft.period_end)
    return credited(plain, used, [None] * len(used))


async def pay_with_credits(tx: AsyncConnection, draft: Invoice, lines: Sequence[InvoiceLine], *, now: datetime) -> Paid:
    """Use the grants for an invoice that is being finalized. Its lines have ids; its customer is locked."""
    plain = uncredited(lines)
    grants = {
        each.id: each
        for each in await credit.with_something_left(
            tx, customer_id=draft.customer_id, currency=draft.currency, locked=True
        )
    }
    used = uses(plain, grants.values(), period_end=draft.period_end)
    ids: list[str] = []
    slices: list[Slice] = []
    for each in used:
        before = grants[each.grant]
        after, movement = await move(
            tx, before, "credits_applied", each.amount, invoice=draft.id, line=plain[each.place].id, now=now
        )
        grants[each.grant] = after
        ids.append(movement.id)
        slices.append(slice_of(before, each.amount))
    return Paid(lines=credited(plain, used, ids), slices=tuple(slices))


async def give_back_credits(tx: AsyncConnection, voided: Invoice, *, now: datetime) -> None:
    """An invoice is void: its credits return to their grants, and lapse at once where the grant's time is over.

    The books are reversed with the invoice; only the lapse is booked here.
    """
    for use in await credit.applied_to(tx, customer_id=voided.customer_id, invoice=voided.id):
        grant = await credit.lock(tx, customer_id=voided.customer_id, id=use.grant)
        assert grant is not None, "grants are never deleted"
        after, _ = await move(
            tx,
            grant,
            "credits_application_invoice_voided",
            use.amount,
            invoice=voided.id,
            line=use.line,
            now=now,
        )
        if after.lapsed(now):
            await lapse(tx, after, now=now)


async def lapse(tx: AsyncConnection, grant: CreditGrant, *, now: datetime) -> CreditGrant:
    """What is left of a locked grant is gone, because its time is over."""
    if grant.remaining == 0:
        return grant
    left = grant.remaining
    after, movement = await move(tx, grant, "credits_expired", left, now=now)
    transfers = posting.credit_expired(
        asset=grant.currency.upper(), amount=to_major(left, grant.currency), funding=grant.category, grant=grant.id
    )
    await keep_books.posted(
        tx,
        environment=grant.environment,
        customer_id=grant.customer_id,
        cause=Cause("credit_grant.expired", movement.id),
        transfers=transfers,
        now=now,
    )
    return after


async def move(
    tx: AsyncConnection,
    grant: CreditGrant,
    movement: Movement,
    amount: int,
    *,
    now: datetime,
    invoice: str | None = None,
    line: str | None = None,
) -> tuple[CreditGrant, CreditTransaction]:
    """Record a movement of a locked grant's balance and tell it; the books are kept by the caller."""
    after = grant if movement == "credits_granted" else moved(grant, movement, amount, now=now)
    entry = CreditTransaction(
        environment=grant.environment,
        customer_id=grant.customer_id,
        id=public("cbtxn"),
        customer=grant.customer,
        test_clock=grant.test_clock,
        grant=grant.id,
        movement=movement,
        amount=amount,
        currency=grant.currency,
        created=now,
        effective_at=grant.effective_at if movement == "credits_granted" else now,
        invoice=invoice,
        line=line,
    )
    if after is not grant:
        await credit.save(tx, after)
    await credit.record(tx, entry)
    await notice.add(
        tx,
        environment=grant.environment,
        customer_id=grant.customer_id,
        type="billing.credit_balance_transaction.created",
        subject=entry,
        now=now,
    )
    return after, entry


def slice_of(grant: CreditGrant, amount: int) -> Slice:
    """An amount of a grant as the books know it."""
    value: Decimal = to_major(amount, grant.currency)
    return Slice(grant.id, grant.category, value)
