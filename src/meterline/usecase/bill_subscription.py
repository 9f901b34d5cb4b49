"""Bill a subscription in the call that changes it: make the invoice, finalize it, collect it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.customer import Customer
from meterline.invoice.model import BillingReason, Invoice
from meterline.payment.method import preferred
from meterline.payment.payment import ActionNeeded, Refused, Succeeded
from meterline.period import Period
from meterline.refusal import Declined, Refusal
from meterline.store import customer as customers
from meterline.store import subscription as store
from meterline.subscription.billable import Billable
from meterline.subscription.model import Subscription
from meterline.subscription.status import running
from meterline.usecase.collect_payment import collect_payment
from meterline.usecase.draft_invoice import draft_invoice
from meterline.usecase.finalize_invoice import finalize_invoice
from meterline.usecase.record_subscription import record_change

PaymentBehavior = Literal["allow_incomplete", "default_incomplete", "error_if_incomplete", "pending_if_incomplete"]

NO_METHOD = (
    "This customer has no attached payment source or default payment method. Please consider adding a default"
    " payment method. For more information, visit"
    " https://stripe.com/docs/billing/subscriptions/payment-methods-setting#payment-method-priority."
)
NEEDS_ACTION = (
    "Payment for this subscription requires additional user action before it can be completed successfully. Use"
    " `payment_behavior=allow_incomplete` to let the customer complete it."
)


async def bill_at_once(
    tx: AsyncConnection,
    subscription: Subscription,
    billables: Sequence[Billable],
    *,
    reason: BillingReason,
    payment_behavior: PaymentBehavior,
    off_session: bool,
    now: datetime,
    period: Period | None = None,
    proration_date: datetime | None = None,
) -> Subscription:
    """Bill what is due now, with what waited for an invoice, and collect it; the subscription as it then is.

    The subscription is locked (or new); `now` is the customer's time, UTC. The first invoice of a subscription
    whose invoices are sent stays a draft. Raises Refusal where there is nothing to pay with, and Declined under
    `error_if_incomplete`: the transaction is to be rolled back then.
    """
    drafted = await draft_invoice(
        tx,
        subscription=subscription,
        billables=billables,
        reason=reason,
        now=now,
        period=period,
        omit_unused=subscription.billing_mode.type == "flexible",
        proration_date=proration_date,
    )
    if drafted is None:
        return await _settle(tx, subscription, now=now)
    invoice, billed = drafted.invoice, drafted.subscription
    await record_change(tx, subscription, billed, now=now)
    sent = subscription.collection_method == "send_invoice"
    if not invoice.auto_advance or (sent and reason == "subscription_create"):
        return billed
    issued = await finalize_invoice(tx, invoice=invoice, now=now)
    if issued.status == "open" and not sent and payment_behavior != "default_incomplete":
        await _collect(tx, billed, issued, payment_behavior, off_session=off_session, now=now)
    return await _reloaded(tx, subscription)


async def payable(tx: AsyncConnection, subscription: Subscription) -> bool:
    """Whether the subscription or its customer has a payment method to collect with."""
    owners = await customers.find_all(tx, [subscription.customer_id])
    return method_of(subscription, owners[subscription.customer_id]) is not None


def method_of(subscription: Subscription, customer: Customer) -> str | None:
    """The payment method that the subscription's invoices are collected with."""
    return preferred(
        asked=None,
        invoice=None,
        subscription=subscription.default_payment_method,
        customer=customer.invoice_settings.default_payment_method,
    )


async def _collect(
    tx: AsyncConnection,
    subscription: Subscription,
    issued: Invoice,
    behavior: PaymentBehavior,
    *,
    off_session: bool,
    now: datetime,
) -> None:
    if not await payable(tx, subscription):
        raise Refusal(NO_METHOD, code="resource_missing")
    collected = await collect_payment(tx, invoice=issued, now=now, automatic=True, off_session=off_session)
    if isinstance(collected.outcome, Succeeded):
        await _keep_method(tx, subscription, now=now)
    if behavior != "error_if_incomplete":
        return
    match collected.outcome:
        case Refused() as refused:
            raise Declined(refused.message, code=refused.code, decline_code=refused.decline_code)
        case ActionNeeded():
            raise Declined(NEEDS_ACTION, code="subscription_payment_intent_requires_action")
        case Succeeded() | None:
            return


async def _keep_method(tx: AsyncConnection, subscription: Subscription, *, now: datetime) -> None:
    """The method that paid becomes the subscription's own, where that was asked for."""
    wanted = subscription.payment_settings.save_default_payment_method == "on_subscription"
    if not wanted or subscription.default_payment_method is not None:
        return
    owner = (await customers.find_all(tx, [subscription.customer_id]))[subscription.customer_id]
    before = await _reloaded(tx, subscription)
    kept = replace(before, default_payment_method=method_of(subscription, owner))
    await record_change(tx, before, kept, now=now)


async def _settle(tx: AsyncConnection, subscription: Subscription, *, now: datetime) -> Subscription:
    """Nothing was due: what waited for a first payment waits no longer."""
    if subscription.status != "incomplete":
        return subscription
    settled = replace(subscription, status=running(subscription, now=now))
    await record_change(tx, subscription, settled, now=now)
    return settled


async def _reloaded(tx: AsyncConnection, subscription: Subscription) -> Subscription:
    """The subscription after its invoice has spoken for it."""
    found = await store.lock_of(tx, customer_id=subscription.customer_id, id=subscription.id)
    assert found is not None
    return found
