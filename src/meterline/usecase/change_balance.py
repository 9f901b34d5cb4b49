"""Change a customer's balance and keep a record of why."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.customer import Customer
from meterline.invoice.balance import BalanceReason, BalanceTransaction
from meterline.refusal import Refusal
from meterline.store import balance, notice
from meterline.store import customer as customers
from meterline.store.identifier import public
from meterline.usecase import keep_books


async def change_balance(
    tx: AsyncConnection,
    *,
    customer: Customer,
    amount: int,
    currency: str,
    type: BalanceReason,
    now: datetime,
    invoice: str | None = None,
    credit_note: str | None = None,
    description: str | None = None,
    metadata: Mapping[str, str] | None = None,
) -> tuple[Customer, BalanceTransaction]:
    """Add `amount` (minor units; negative gives credit) to the balance of a locked customer.

    A balance has the customer's one currency, which the first change fixes. Refuses any other.
    """
    if customer.currency not in (None, currency):
        raise Refusal(
            f"The currency of the customer's balance is {customer.currency}; a change in {currency} cannot be"
            " added to it.",
            param="currency",
        )
    changed = replace(customer, balance=customer.balance + amount, currency=currency)
    entry = BalanceTransaction(
        environment=customer.environment,
        customer_id=customer.customer_id,
        id=public("cbtxn"),
        customer=customer.id,
        amount=amount,
        currency=currency,
        ending_balance=changed.balance,
        type=type,
        created=now,
        description=description,
        invoice=invoice,
        credit_note=credit_note,
        metadata=dict(metadata or {}),
    )
    await customers.save(tx, changed)
    await balance.add(tx, entry)
    await keep_books.balance_changed(tx, entry, now=now)
    await notice.add(
        tx,
        environment=customer.environment,
        customer_id=customer.customer_id,
        type="customer.updated",
        subject=changed,
        previous=customer,
        now=now,
    )
    return changed, entry


async def fix_currency(tx: AsyncConnection, customer: Customer, currency: str, *, now: datetime) -> Customer:
    """The locked customer with the currency that their first bill fixes. Refuses another one after that."""
    if customer.currency not in (None, currency):
        raise Refusal(
            f"You cannot combine currencies on a single customer. This customer is billed in {customer.currency}.",
            param="currency",
        )
    if customer.currency is not None:
        return customer
    fixed = replace(customer, currency=currency)
    await customers.save(tx, fixed)
    await notice.add(
        tx,
        environment=fixed.environment,
        customer_id=fixed.customer_id,
        type="customer.updated",
        subject=fixed,
        previous=customer,
        now=now,
    )
    return fixed
