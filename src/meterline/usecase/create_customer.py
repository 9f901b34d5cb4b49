"""Create a customer."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.customer import Customer, check_prefix
from meterline.refusal import Missing, Refusal
from meterline.store import catalog_version, clock, notice
from meterline.store import customer as store
from meterline.subscription.clock import CUSTOMERS_PER_CLOCK
from meterline.usecase.attach_payment_method import attach_payment_method
from meterline.usecase.change_balance import change_balance

HOME_CURRENCY = "usd"
"""The currency of a balance that is given to a customer who has none yet."""


async def create_customer(
    tx: AsyncConnection, *, new: Customer, payment_method: str | None = None, balance: int = 0, now: datetime
) -> Customer:
    """Store a new customer and tell it; `now` is the wall clock, UTC.

    A customer on a test clock is created at the clock's frozen time. An opening `balance` (minor units, negative
    is credit) is recorded as the first change of it. `payment_method` is attached, and may be the default one.
    Raises Missing for an unknown clock or method; refuses a full clock and a default that is not attached.
    """
    check_prefix(new.invoice_prefix)
    born = replace(new, created=await _birth(tx, new, now))
    await store.add(tx, born)
    created = await _with_method(tx, born, payment_method)
    await catalog_version.bump(tx, created.environment)
    await notice.add(
        tx,
        environment=created.environment,
        customer_id=created.customer_id,
        type="customer.created",
        subject=created,
        now=created.created,
    )
    if balance == 0:
        return created
    opened, _ = await change_balance(
        tx,
        customer=created,
        amount=balance,
        currency=created.currency or HOME_CURRENCY,
        type="initial",
        now=created.created,
    )
    return opened


async def _with_method(tx: AsyncConnection, customer: Customer, payment_method: str | None) -> Customer:
    """The customer with the method attached. A default given by the name of a test card becomes the card's id."""
    settings = customer.invoice_settings
    default = settings.default_payment_method
    if default is not None and default != payment_method:
        raise not_attached(default)
    if payment_method is None:
        return customer
    attached = await attach_payment_method(tx, customer=customer, id=payment_method, now=customer.created)
    if default is None:
        return customer
    complete = replace(customer, invoice_settings=replace(settings, default_payment_method=attached.id))
    await store.save(tx, complete)
    return complete


def not_attached(method: str) -> Refusal:
    """The default payment method is not (yet) one of the customer's."""
    return Refusal(
        f"The customer does not have a payment method with the ID {method}. The payment method must be attached to"
        " the customer.",
        code="resource_missing",
        param="invoice_settings[default_payment_method]",
    )


async def _birth(tx: AsyncConnection, new: Customer, now: datetime) -> datetime:
    if new.test_clock is None:
        return now
    found = await clock.find(tx, environment=new.environment, id=new.test_clock, lock=True)
    if found is None:
        raise Missing("test clock", new.test_clock, param="test_clock")
    if await store.count_on_clock(tx, new.environment, new.test_clock) >= CUSTOMERS_PER_CLOCK:
        raise Refusal(
            f"A test clock can have at most {CUSTOMERS_PER_CLOCK} customers.",
            param="test_clock",
        )
    return found.frozen_time
