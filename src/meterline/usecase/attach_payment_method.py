"""Attach a card to a customer, so that invoices can be collected with it."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.customer import Customer
from meterline.payment.method import PaymentMethod
from meterline.refusal import Declined, Missing, Refusal
from meterline.store import notice, payment_method
from meterline.usecase.collect_payment import PROCESSORS
from meterline.usecase.create_payment_method import LIVE, keep, processor_of


async def attach_payment_method(
    tx: AsyncConnection,
    *,
    customer: Customer,
    id: str,
    now: datetime,
    param: str = "payment_method",
    subject: bool = False,
) -> PaymentMethod:
    """The method, attached. `id` may be one of the processor's own (`pm_card_visa`), of which a new one is made.

    Raises Missing, Declined when the card cannot be saved, Refusal when it is or was somebody's. `subject` says
    that the call is about the method, `now` is the customer's time, UTC.
    """
    method = await usable_method(tx, customer.environment, id, now=now)
    if method is None:
        raise Missing("PaymentMethod", id, param=param, subject=subject)
    if method.customer is not None:
        raise Refusal("The payment method you provided has already been attached to a customer.")
    if method.used:
        raise Refusal(
            "This PaymentMethod was previously used without being attached to a Customer or was detached from a"
            " Customer, and may not be used again."
        )
    processor = PROCESSORS[method.processor]
    refused = None if processor.networked else processor.verify(method.reference)
    if refused is not None:
        raise Declined(refused.message, code=refused.code, decline_code=refused.decline_code)
    attached = await payment_method.move(tx, method, customer_id=customer.customer_id, customer=customer.id)
    await notice.add(
        tx,
        environment=customer.environment,
        customer_id=customer.customer_id,
        type="payment_method.attached",
        subject=attached,
        now=now,
    )
    return attached


async def usable_method(tx: AsyncConnection, environment: str, id: str, *, now: datetime) -> PaymentMethod | None:
    """The method with that id, locked; a new one for one of the processor's own names; None for neither."""
    found = await payment_method.find(tx, environment, [id])
    if id in found:
        return await payment_method.lock(tx, environment, id)
    processor = PROCESSORS["test"]
    registered = processor.named(id)
    if registered is None or environment == LIVE:
        return None
    return await keep(tx, environment=environment, processor=processor_of(environment), registered=registered, now=now)
