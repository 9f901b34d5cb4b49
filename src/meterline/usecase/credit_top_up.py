"""Credit a wallet for a top-up: once, when its payment is known to have succeeded."""

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.ledger.account import Account
from meterline.ledger.posting import units_paid
from meterline.ledger.transaction import Cause
from meterline.money import to_major
from meterline.payment.payment import Attempt, Outcome, Payment, Refused, Succeeded
from meterline.store import customer as customers
from meterline.store import due
from meterline.store import top_up as store
from meterline.store.top_up import TopUp
from meterline.usecase.move_funds import NewGrant, put_grant
from meterline.usecase.tell_wallet import tell_top_up
from meterline.usecase.work_wallet import work_on

SOON = timedelta(seconds=1)


async def settle_top_up(
    tx: AsyncConnection, payment: Payment, attempt: Attempt | None, outcome: Outcome, *, now: datetime
) -> TopUp:
    """The top-up of a locked payment after an attempt. Money that arrived is credited, and only then, and once.

    `attempt` is null where nobody was asked: the card's holder refused.
    """
    assert payment.top_up is not None
    asked = await store.lock(tx, customer_id=payment.customer_id, id=payment.top_up)
    assert asked.status != "succeeded", "a payment succeeds once"
    match outcome:
        case Succeeded():
            assert attempt is not None, "money arrives by an attempt"
            await _credit(tx, asked, attempt, now=now)
            after = replace(asked, status="succeeded", failure=None, settled_at=now)
            await store.save(tx, after)
            await tell_top_up(tx, "topup.succeeded", after, now=now)
        case Refused(message=message):
            after = replace(asked, status="failed", failure=message, settled_at=now)
            await store.save(tx, after)
            await tell_top_up(tx, "topup.failed", after, now=now)
            if after.automatic:
                await tell_top_up(tx, "autotopup.failed", after, now=now)
        case _:
            after = replace(asked, status="pending")
            await store.save(tx, after)
            return after
    if after.automatic:
        await _look_again(tx, asked, after, now=now)
    return after


async def _look_again(tx: AsyncConnection, before: TopUp, after: TopUp, *, now: datetime) -> None:
    """What an automatic top-up came to decides when the wallet is looked at next."""
    if before.status == "pending":
        await store.log(
            tx,
            environment=after.environment,
            customer_id=after.customer_id,
            asset=after.asset,
            decision="recharged" if after.status == "succeeded" else "declined",
            available=(
                await work_on(tx, environment=after.environment, customer_id=after.customer_id, now=now, active=False)
            )
            .pocket(after.asset)
            .available(now),
            amount=after.amount,
            top_up_id=after.id,
            now=now,
        )
    if after.status == "failed" or before.status == "pending":
        await plan_recharge(
            tx, environment=after.environment, customer_id=after.customer_id, asset=after.asset, at=now + SOON
        )


async def plan_recharge(tx: AsyncConnection, *, environment: str, customer_id: UUID, asset: str, at: datetime) -> None:
    """Look at the wallet again at that instant."""
    owner = (await customers.find_all(tx, [customer_id]))[customer_id]
    await due.add(
        tx,
        environment=environment,
        customer_id=customer_id,
        kind=store.RECHARGE,
        subject=asset,
        boundary=at,
        due_at=at,
        clock=owner.test_clock,
    )


async def _credit(tx: AsyncConnection, paid: TopUp, attempt: Attempt, *, now: datetime) -> None:
    work = await work_on(tx, environment=paid.environment, customer_id=paid.customer_id, now=now, active=False)
    owner = (await customers.find_all(tx, [paid.customer_id]))[paid.customer_id]
    currency = paid.currency.upper()
    ends = paid.credit_expires_at
    new = NewGrant(
        id=paid.id,
        asset=paid.asset,
        amount=paid.amount,
        funding="paid",
        purpose="top_up",
        effective_at=now,
        expires_at=ends if ends is None or ends > now else now + SOON,
        source=paid.id,
    )
    cause = Cause("payment", attempt.payment)
    if paid.asset == currency:
        source = Account("clearing", currency, attempt.processor)
        await put_grant(work, new, source=source, cause=cause, clock=owner.test_clock)
        return
    price = to_major(paid.price, paid.currency)
    money = units_paid(currency=currency, price=price, processor=attempt.processor, asset=paid.asset)
    source = Account("exchange", paid.asset, currency)
    await put_grant(work, new, source=source, cause=cause, clock=owner.test_clock, entry=money)
