"""Value into and out of a wallet other than by usage: grants, adjustments, manual fees, lapse."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.ledger.account import Account
from meterline.ledger.posting import Funding
from meterline.ledger.transaction import Booked, Cause, Transfer
from meterline.refusal import Conflict, Refusal
from meterline.store import due, offer
from meterline.store.identifier import uuid7
from meterline.usecase.remind_of_expiry import plan_reminders
from meterline.usecase.tell_wallet import tell_wallet
from meterline.usecase.work_wallet import Answer, Refused, Work, once, slices_told, told, work_on
from meterline.wallet.grant import DEFAULT_PRIORITY, Grant, Purpose
from meterline.wallet.pocket import Pocket, fund, lapse, spend, withdraw

EXPIRE_GRANT = "expire_grant"
"""The kind of due work that ends a grant."""

EXTERNAL = ("external_topup", "external_refund")
"""Adjustments that stand for money moved elsewhere; others are the house's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewGrant:
    """What a grant is to be. `effective_at` and `expires_at` are UTC."""

    id: str
    asset: str
    amount: Decimal
    funding: Funding
    purpose: Purpose
    effective_at: datetime
    expires_at: datetime | None = None
    priority: int = DEFAULT_PRIORITY
    scope: tuple[str, ...] = ()
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """What the caller adds to a movement for people, and for programs of their own."""

    text: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    def said(self) -> dict[str, object]:
        """As part of what the caller asked for."""
        return {"description": self.text} | ({"metadata": dict(self.metadata)} if self.metadata else {})


async def put_grant(
    work: Work, new: NewGrant, *, source: Account, cause: Cause, clock: str | None, entry: tuple[Transfer, ...] = ()
) -> Booked | None:
    """Add a grant to a locked wallet and plan its end. `entry` is booked before it in the same transaction."""
    if new.expires_at is not None and new.expires_at <= max(work.now, new.effective_at):
        raise Refusal("The grant would expire before it can be used.", code="expired", param="expires_at")
    if any(each.id == new.id for each in work.pocket(new.asset).grants):
        raise Conflict(f"The customer has another grant with the id '{new.id}'.", code="id_conflict")
    grant = Grant(
        id=new.id,
        asset=new.asset,
        funding=new.funding,
        purpose=new.purpose,
        granted=new.amount,
        remaining=new.amount,
        priority=new.priority,
        effective_at=new.effective_at,
        expires_at=new.expires_at,
        created=work.now,
        sequence=uuid7(),
        scope=new.scope,
        source=new.source,
    )
    pocket, transfers = fund(work.pocket(new.asset), grant, source=source)
    booked = await work.book(cause=cause, transfers=(*entry, *transfers), pocket=pocket)
    await offer.wake_waiting(
        work.connection, customer_id=work.customer_id, at=max(work.now, new.effective_at), clock=clock
    )
    if new.expires_at is not None:
        await due.add(
            work.tx,
            environment=work.environment,
            customer_id=work.customer_id,
            kind=EXPIRE_GRANT,
            subject=new.id,
            boundary=new.expires_at,
            due_at=new.expires_at,
            clock=clock,
        )
        await plan_reminders(
            work.tx,
            environment=work.environment,
            customer_id=work.customer_id,
            grant=new.id,
            expires_at=new.expires_at,
            clock=clock,
            now=work.now,
        )
    return booked


async def adjust(
    tx: AsyncConnection,
    *,
    environment: str,
    customer_id: UUID,
    id: str,
    asset: str,
    amount: Decimal,
    reason: str,
    effective_at: datetime | None,
    expires_at: datetime | None,
    description: str | Note | None = None,
    clock: str | None,
    now: datetime,
) -> Answer | Refused:
    """Give value to the wallet by hand (positive) or take it out (negative), under the caller's id.

    Value that stands for money moved elsewhere is bought; everything else is a gift of the house.
    """
    work = await work_on(tx, environment=environment, customer_id=customer_id, now=now)
    note = description if isinstance(description, Note) else Note(description)
    outside = reason in EXTERNAL
    house = Account("clearing", asset, "outside") if outside else Account("promo_expense", asset)

    async def act() -> Answer:
        before = work.pocket(asset)
        cause = Cause("adjustment", id)
        if amount > 0:
            new = NewGrant(
                id=f"grant_{id}",
                asset=asset,
                amount=amount,
                funding="paid" if outside else "promotional",
                purpose="adjustment",
                effective_at=effective_at or now,
                expires_at=expires_at,
            )
            booked = await put_grant(work, new, source=house, cause=cause, clock=clock)
        else:
            pocket, debit = withdraw(before, amount.copy_negate(), at=now, to=house)
            booked = await work.book(cause=cause, transfers=debit.transfers, pocket=pocket)
        return receipt(work, id, "adjustment", amount, before, booked) | {
            "reason": reason,
            "description": note.text,
            "effective_at": (effective_at or now).isoformat(),
            "metadata": dict(note.metadata),
        }

    said: dict[str, object] = {
        "asset": asset,
        "amount": told(amount),
        "reason": reason,
        "effective_at": None if effective_at is None else effective_at.isoformat(),
        "expires_at": None if expires_at is None else expires_at.isoformat(),
        **note.said(),
    }
    return await once(work, id=id, kind="adjustment", said=said, act=act)


async def grant(
    tx: AsyncConnection,
    *,
    environment: str,
    customer_id: UUID,
    new: NewGrant,
    asked_start: datetime | None,
    clock: str | None,
    now: datetime,
) -> Answer | Refused:
    """Give prepaid value with a priority, an end and a scope, under the caller's id.

    `asked_start` is the start that the caller named, which is a part of what was asked for.
    """
    work = await work_on(tx, environment=environment, customer_id=customer_id, now=now)
    house = Account("clearing", new.asset, "outside") if new.funding == "paid" else Account("promo_expense", new.asset)

    async def act() -> Answer:
        before = work.pocket(new.asset)
        booked = await put_grant(work, new, source=house, cause=Cause("grant", new.id), clock=clock)
        return receipt(work, new.id, "grant", new.amount, before, booked)

    said = {
        "asset": new.asset,
        "amount": told(new.amount),
        "funding": new.funding,
        "purpose": new.purpose,
        "priority": new.priority,
        "scope": list(new.scope),
        "effective_at": None if asked_start is None else asked_start.isoformat(),
        "expires_at": None if new.expires_at is None else new.expires_at.isoformat(),
    }
    return await once(work, id=new.id, kind="grant", said=said, act=act)


async def charge(
    tx: AsyncConnection,
    *,
    environment: str,
    customer_id: UUID,
    id: str,
    asset: str,
    amount: Decimal,
    subject: str | None,
    description: str | Note | None = None,
    marks: tuple[str, ...],
    now: datetime,
) -> Answer | Refused:
    """Debit a fee that the seller worked out (more than zero). Refused beyond what is spendable."""
    work = await work_on(tx, environment=environment, customer_id=customer_id, now=now)
    note = description if isinstance(description, Note) else Note(description)

    async def act() -> Answer:
        before = work.pocket(asset)
        pocket, debit = spend(before, amount, at=now, marks=marks)
        booked = await work.book(cause=Cause("fee", id), transfers=debit.transfers, pocket=pocket)
        return receipt(work, id, "fee", amount.copy_negate(), before, booked) | {
            "subject": subject,
            "description": note.text,
            "metadata": dict(note.metadata),
        }

    said = {"asset": asset, "amount": told(amount), "subject": subject, "marks": list(marks), **note.said()}
    return await once(work, id=id, kind="fee", said=said, act=act)


async def expire_grant(
    tx: AsyncConnection, *, environment: str, customer_id: UUID, id: str, now: datetime
) -> Booked | None:
    """End a grant whose time is over, as of its own end; None when it had ended, or lives longer now."""
    work = await work_on(tx, environment=environment, customer_id=customer_id, now=now, active=False)
    for pocket in list(work.pockets.values()):
        ended = next((each for each in pocket.grants if each.id == id), None)
        if ended is not None and ended.over(now):
            after, transfers = lapse(pocket, id)
            if not ended.lapsed:
                await tell_wallet(
                    tx,
                    environment=environment,
                    customer_id=customer_id,
                    topic="grant.expired",
                    about=id,
                    asset=pocket.asset,
                    amount=ended.free,
                    now=now,
                )
            return await work.book(
                cause=Cause("expiry", id), transfers=transfers, pocket=after, business_at=ended.expires_at
            )
    return None


def receipt(work: Work, id: str, kind: str, amount: Decimal, before: Pocket, booked: Booked | None) -> Answer:
    """What an operation came to: the amount it moved, and what was available before and after."""
    after = work.pocket(before.asset)
    return {
        "id": id,
        "type": kind,
        "asset": before.asset,
        "amount": told(amount),
        "available_before": told(before.available(work.now)),
        "available": told(after.available(work.now)),
        "transaction": None if booked is None else booked.number,
        "legs": [] if booked is None else slices_told(booked.transaction.transfers),
        "created_at": work.now.isoformat(),
    }
