"""Lock what a change of an invoice touches, always in the same order: subscription, customer, invoice.

Subscription use cases lock the subscription and then come here for the customer; the same order everywhere
keeps two of them from waiting for each other.
"""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.customer import Customer
from meterline.invoice.model import Invoice
from meterline.refusal import Missing
from meterline.store import customer as customers
from meterline.store import invoice as invoices
from meterline.store import subscription as subscriptions
from meterline.subscription.model import Subscription


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """An invoice with its customer and, where one made it, its subscription; nobody else changes them."""

    invoice: Invoice
    customer: Customer
    subscription: Subscription | None


async def lock_invoice(tx: AsyncConnection, *, environment: str, id: str, param: str = "invoice") -> Locked:
    """The invoice a call is about and what hangs on it, locked until the transaction ends. Raises Missing."""
    return await lock_seen(tx, await invoices.get(tx, environment, id, param=param), param=param)


async def lock_seen(tx: AsyncConnection, seen: Invoice, *, param: str = "invoice") -> Locked:
    """As `lock_invoice`, of an invoice that was read before. Raises Missing where it was deleted meanwhile."""
    subscription = None
    if seen.subscription is not None:
        subscription = await subscriptions.lock_of(tx, customer_id=seen.customer_id, id=seen.subscription)
    customer = await customers.lock(tx, seen.customer_id)
    invoice = await invoices.lock(tx, customer_id=seen.customer_id, id=seen.id)
    if invoice is None:
        raise Missing("invoice", seen.id, param=param, subject=True)
    return Locked(invoice=invoice, customer=customer, subscription=subscription)
