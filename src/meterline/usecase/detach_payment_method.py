"""Detach a card from its customer: nothing is collected with it any more."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.payment.method import PaymentMethod
from meterline.refusal import Refusal
from meterline.store import customer as customers
from meterline.store import notice, payment_method
from meterline.store import subscription as subscriptions
from meterline.usecase.record_subscription import record_change


async def detach_payment_method(tx: AsyncConnection, *, environment: str, id: str, now: datetime) -> PaymentMethod:
    """The method, attached to nobody, and no longer anybody's default. `now` is the customer's time, UTC.

    Raises Missing, or Refusal when it is not attached.
    """
    seen = (await payment_method.find(tx, environment, [id])).get(id)
    if seen is not None and seen.customer is not None:
        await _forget_defaults(tx, seen, now=now)
    method = await payment_method.lock(tx, environment, id)
    if method.customer is None:
        raise Refusal("The payment method you provided is not attached to a customer so detachment is impossible.")
    detached = await payment_method.move(tx, method, customer_id=payment_method.NOBODY, customer=None)
    await notice.add(
        tx,
        environment=environment,
        customer_id=method.customer_id,
        type="payment_method.detached",
        subject=detached,
        previous=method,
        now=now,
    )
    return detached


async def _forget_defaults(tx: AsyncConnection, method: PaymentMethod, *, now: datetime) -> None:
    for each in await subscriptions.of_customer(tx, customer_id=method.customer_id):
        if each.default_payment_method == method.id:
            locked = await subscriptions.lock_of(tx, customer_id=each.customer_id, id=each.id)
            assert locked is not None
            await record_change(tx, locked, replace(locked, default_payment_method=None), now=now)
    customer = await customers.lock(tx, method.customer_id)
    settings = customer.invoice_settings
    if settings.default_payment_method == method.id:
        changed = replace(customer, invoice_settings=replace(settings, default_payment_method=None))
        await customers.save(tx, changed)
        await notice.add(
            tx,
            environment=customer.environment,
            customer_id=customer.customer_id,
            type="customer.updated",
            subject=changed,
            previous=customer,
            now=now,
        )
