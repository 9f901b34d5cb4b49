"""Complete a checkout once its money was taken, or nothing was to be taken: once, whoever finds out first."""

from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.invoice.credit import DEFAULT_PRIORITY, CreditGrant
from meterline.payment.checkout import Checkout, completed
from meterline.payment.payment import Payment
from meterline.store import checkout as store
from meterline.store import customer as customers
from meterline.store import due, notice
from meterline.store.identifier import public
from meterline.usecase.grant_credits import grant_credits

EXPIRE = "expire_checkout"
"""The kind of due work that closes a checkout nobody finished."""


async def complete_checkout(tx: AsyncConnection, session: Checkout, *, now: datetime) -> Checkout:
    """The locked, open session, complete; the credits that it sold are granted with it."""
    after = completed(session)
    if after.credit_order is not None:
        after = replace(after, credit_grant=await _granted(tx, after, now=now))
    await store.save(tx, after)
    await due.remove(tx, customer_id=after.customer_id, subject=after.id, kinds=[EXPIRE])
    await tell_checkout(tx, "checkout.session.completed", after, now=now)
    return after


async def complete_for_payment(tx: AsyncConnection, payment: Payment, *, now: datetime) -> None:
    """The session that made a payment which has succeeded now, if one did and is open still."""
    session = await store.of_result(tx, payment.environment, payment.id, lock=True)
    if session is not None and session.status == "open":
        await complete_checkout(tx, session, now=now)


async def _granted(tx: AsyncConnection, session: Checkout, *, now: datetime) -> str:
    order = session.credit_order
    assert order is not None and session.customer is not None and session.currency is not None
    owner = await customers.get(tx, session.environment, session.customer, lock=True)
    made = await grant_credits(
        tx,
        CreditGrant(
            environment=session.environment,
            customer_id=owner.customer_id,
            id=public("credgr"),
            customer=owner.id,
            test_clock=owner.test_clock,
            created=now,
            updated=now,
            currency=session.currency,
            value=order.amount,
            remaining=order.amount,
            category="paid",
            priority=DEFAULT_PRIORITY if order.priority is None else order.priority,
            effective_at=now,
            expires_at=None if order.days is None else now + timedelta(days=order.days),
            prices=order.prices,
            name=order.name,
            metadata={"checkout_session": session.id},
        ),
        price=session.amount - session.tax,
        now=now,
    )
    return made.id


async def tell_checkout(tx: AsyncConnection, type: str, session: Checkout, *, now: datetime) -> None:
    """Announce what became of a session."""
    await notice.add(
        tx, environment=session.environment, customer_id=session.customer_id, type=type, subject=session, now=now
    )
