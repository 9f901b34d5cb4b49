"""Change a customer."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.customer import Customer, check_prefix
from meterline.refusal import Refusal
from meterline.store import customer as store
from meterline.store import notice, payment_method
from meterline.usecase.change_balance import change_balance
from meterline.usecase.create_customer import HOME_CURRENCY, not_attached


async def change_customer(
    tx: AsyncConnection, *, before: Customer, after: Customer, balance: int | None = None, now: datetime
) -> Customer:
    """Store a changed customer that was locked, and tell it; nothing when nothing changed.

    `balance` is the balance to arrive at (minor units), recorded as an adjustment. `now` is the customer's time.
    Refuses a bad invoice prefix, a sequence that goes back, and a payment method that is not the customer's.
    """
    await _check(tx, before, after)
    if after != before:
        await store.save(tx, after)
        await notice.add(
            tx,
            environment=after.environment,
            customer_id=after.customer_id,
            type="customer.updated",
            subject=after,
            previous=before,
            now=now,
        )
    if balance is None or balance == after.balance:
        return after
    adjusted, _ = await change_balance(
        tx,
        customer=after,
        amount=balance - after.balance,
        currency=after.currency or HOME_CURRENCY,
        type="adjustment",
        now=now,
    )
    return adjusted


async def _check(tx: AsyncConnection, before: Customer, after: Customer) -> None:
    check_prefix(after.invoice_prefix)
    same_prefix = after.invoice_prefix == before.invoice_prefix
    if same_prefix and after.next_invoice_sequence < before.next_invoice_sequence:
        raise Refusal(
            "The next invoice sequence cannot be lower than it is: numbers are never used twice.",
            param="next_invoice_sequence",
        )
    method = after.invoice_settings.default_payment_method
    if method is None or method == before.invoice_settings.default_payment_method:
        return
    found = (await payment_method.find(tx, after.environment, [method])).get(method)
    if found is None or found.customer_id != after.customer_id:
        raise not_attached(method)
