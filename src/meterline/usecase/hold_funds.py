"""May this call run? Authorize, capture, extend, release, expire: money is set aside before the work is done."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.ledger.transaction import Cause
from meterline.limit.budget import Ask
from meterline.refusal import Missing
from meterline.usecase import keep_budget
from meterline.usecase.tell_wallet import tell_wallet
from meterline.usecase.work_wallet import Answer, OpenWallet, Refused, once, told, work_on
from meterline.wallet import hold as holds
from meterline.wallet.hold import Change, Hold, Policy

DEFAULT_TTL = timedelta(minutes=10)


class Estimate(Struct, frozen=True, kw_only=True):
    """What a call is expected to cost, at most: `amount` (more than zero) in `asset`.

    `marks` are what grants and budgets may be restricted to: event type, price, product, model. `subject` is who
    spends, a leaf of the customer's tree of spenders. `quantities` are of the usage that costs it, by event name.
    """

    asset: str
    amount: Decimal
    marks: tuple[str, ...] = ()
    subject: str | None = None
    quantities: Mapping[str, Decimal] = {}

    @property
    def ask(self) -> Ask:
        """What budgets are asked."""
        return Ask(
            asset=self.asset,
            amount=self.amount,
            quantities=self.quantities,
            subject=self.subject,
            marks=self.marks,
        )


def captured_as(hold: str, capture_id: str | None) -> str:
    """The id that a capture's answer is kept under."""
    return f"capture:{hold}:{capture_id or ''}"


def extended_as(hold: str, extension_id: str) -> str:
    """The id that an extension's answer is kept under."""
    return f"extend:{hold}:{extension_id}"


def released_as(hold: str) -> str:
    """The id that a release's answer is kept under."""
    return f"release:{hold}"


async def authorize(
    work: OpenWallet,
    *,
    id: str,
    said: Mapping[str, object],
    estimate: Callable[[OpenWallet], Awaitable[Estimate]],
    ttl: timedelta,
    policy: Policy,
    retryable: bool,
) -> Answer | Refused:
    """Set the estimate aside under the caller's id, or say which rule refuses. `said` is what the caller asked for."""
    work.require_active()

    async def act() -> Answer:
        wanted = await estimate(work)
        reserved = await keep_budget.reserve(work, wanted.ask) if work.budgeted else ()
        change = holds.authorize(
            work.pocket(wanted.asset),
            id=id,
            amount=wanted.amount,
            at=work.now,
            ttl=ttl,
            policy=policy,
            marks=wanted.marks,
            subject=wanted.subject,
        )
        if reserved:
            await keep_budget.save(work, id, reserved)
        answer = await _record(work, change, cause=Cause("hold", id))
        await work.plan_expiry(change.hold)
        return answer

    return await once(work, id=id, kind="authorize", said=said, act=act, retryable=retryable)


async def capture(
    work: OpenWallet,
    *,
    id: str,
    capture_id: str | None,
    said: Mapping[str, object],
    amount: Callable[[OpenWallet], Awaitable[Decimal]],
    final: bool,
    quantities: Mapping[str, Decimal] | None = None,
) -> Answer | Refused:
    """Take what the call cost out of the hold; the final capture gives the rest back. `quantities` is what was used.

    A repeated capture names itself by `capture_id`; without one there is a single capture per hold.
    """

    async def act() -> Answer:
        hold = await _hold(work, id)
        change = holds.capture(work.pocket(hold.asset), hold, await amount(work), at=work.now, final=final)
        ended = change.hold.status != "open"
        await keep_budget.spent(work, hold, captured=change.captured, ended=ended, quantities=quantities)
        if ended:
            await work.drop_expiry(id)
        answer = await _record(work, change, cause=Cause("capture", capture_id or id))
        return answer | {"captured_now": told(change.captured), "uncovered_now": told(change.uncovered)}

    return await once(work, id=captured_as(id, capture_id), kind="capture", said=said, act=act)


async def extend(
    work: OpenWallet,
    *,
    id: str,
    extension_id: str,
    amount: Decimal,
    ttl: timedelta | None,
) -> Answer | Refused:
    """Set more aside under the same hold, and let it live longer."""
    work.require_active()

    async def act() -> Answer:
        hold = await _hold(work, id)
        reserved = await keep_budget.reserve(
            work, Ask(asset=hold.asset, amount=amount, subject=hold.subject, marks=hold.marks)
        )
        change = holds.extend(work.pocket(hold.asset), hold, amount=amount, ttl=ttl, at=work.now)
        await keep_budget.save(work, id, reserved)
        await work.plan_expiry(change.hold)
        return await _record(work, change, cause=Cause("extension", extension_id))

    said = {"hold": id, "amount": told(amount), "ttl_s": None if ttl is None else int(ttl.total_seconds())}
    return await once(work, id=extended_as(id, extension_id), kind="extend", said=said, act=act)


async def release(work: OpenWallet, *, id: str) -> Answer | Refused:
    """The call will not run: give everything back. Releasing twice is releasing once."""

    async def act() -> Answer:
        hold = await _hold(work, id)
        change = holds.release(work.pocket(hold.asset), hold)
        await keep_budget.spent(work, hold, captured=Decimal(0), ended=True)
        await work.drop_expiry(id)
        return await _record(work, change, cause=Cause("release", id))

    return await once(work, id=released_as(id), kind="release", said={"hold": id}, act=act)


async def expire(tx: AsyncConnection, *, environment: str, customer_id: UUID, id: str, now: datetime) -> Hold | None:
    """The time of a hold is over; None when it had ended, or was extended meanwhile."""
    work = await work_on(tx, environment=environment, customer_id=customer_id, now=now, active=False)
    hold = await work.hold(id)
    if hold is None or hold.status != "open" or hold.expires_at > now:
        return None
    change = holds.expire(work.pocket(hold.asset), hold, at=now)
    await keep_budget.spent(work, hold, captured=Decimal(0), ended=True)
    await _record(work, change, cause=Cause("hold_expiry", id))
    await tell_wallet(
        tx,
        environment=environment,
        customer_id=customer_id,
        topic="hold.expired",
        about=id,
        asset=hold.asset,
        amount=hold.left,
        now=now,
    )
    return change.hold


async def _hold(work: OpenWallet, id: str) -> Hold:
    hold = await work.hold(id)
    if hold is None:
        raise Missing("hold", id, subject=True)
    return hold


async def _record(work: OpenWallet, change: Change, *, cause: Cause) -> Answer:
    before = work.pocket(change.pocket.asset).available(work.now)
    booked = await work.book(cause=cause, transfers=change.transfers, pocket=change.pocket)
    await work.save_hold(change.hold)
    return told_hold(change.hold) | {
        "available_before": told(before),
        "available": told(change.pocket.available(work.now)),
        "transaction": None if booked is None else booked.number,
    }


def told_hold(hold: Hold) -> Answer:
    """A hold as callers see it."""
    return {
        "id": hold.id,
        "status": hold.status,
        "asset": hold.asset,
        "authorized": told(hold.authorized),
        "captured": told(hold.captured),
        "held": told(hold.left),
        "uncovered": told(hold.uncovered),
        "policy": hold.policy,
        "subject": hold.subject,
        "slices": [{"grant": each.grant, "funding": each.funding, "amount": told(each.amount)} for each in hold.slices],
        "created_at": hold.created.isoformat(),
        "expires_at": hold.expires_at.isoformat(),
    }
