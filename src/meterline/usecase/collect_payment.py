"""Ask a processor for what an invoice still lacks, and make of the answer what it means."""

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.invoice import state
from meterline.invoice.model import Invoice
from meterline.ledger.transaction import Cause
from meterline.payment import dunning
from meterline.payment.method import PaymentMethod, preferred
from meterline.payment.payment import (
    ActionNeeded,
    Attempt,
    CancellationReason,
    InvoicePayment,
    Outcome,
    Payment,
    Refused,
    Succeeded,
    Unknown,
    after_attempt,
)
from meterline.refusal import Missing, Refusal
from meterline.store import due, notice, payment_method
from meterline.store import payment as payments
from meterline.subscription.status import Standing
from meterline.usecase import keep_books, record_invoice, record_payment
from meterline.usecase.ask_processor import PROCESSORS as PROCESSORS
from meterline.usecase.ask_processor import ask
from meterline.usecase.dispute_payment import dispute_at_once
from meterline.usecase.follow_invoice import follow_locked, surrender_collection
from meterline.usecase.lock_invoice import Locked, lock_seen

BEING_PROCESSED = (
    "The payment of this invoice is being processed: it is not known yet whether the money moved. Try again once the"
    " payment has succeeded or failed."
)
"""Why nothing is done about an invoice while the answer of a processor is outstanding."""

NO_METHOD = Refused(
    code="resource_missing",
    message=(
        "This customer has no attached payment source or default payment method. Please consider adding a default"
        " payment method. For more information, visit"
        " https://stripe.com/docs/billing/subscriptions/payment-methods-setting#payment-method-priority."
    ),
)
"""What a collection without a payment method comes to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """The invoice after the attempt, and the processor's answer; null when nobody had to be asked."""

    invoice: Invoice
    outcome: Outcome | None


async def collect_payment(
    tx: AsyncConnection,
    *,
    invoice: Invoice,
    now: datetime,
    automatic: bool,
    method: str | None = None,
    off_session: bool = True,
    authenticated: bool = False,
) -> Collected:
    """Try to collect what remains of a finalized invoice. `now` is the customer's time, UTC.

    `automatic` attempts move along the calendar of retries; others do not, except the first. `method` names the
    payment method to use instead of the default. An attempt that moves no money is recorded, not raised.
    """
    return await collect_locked(
        tx,
        await lock_seen(tx, invoice),
        now=now,
        automatic=automatic,
        method=method,
        off_session=off_session,
        authenticated=authenticated,
    )


async def collect_locked(
    tx: AsyncConnection,
    locked: Locked,
    *,
    now: datetime,
    automatic: bool,
    method: str | None = None,
    off_session: bool = True,
    authenticated: bool = False,
) -> Collected:
    """As `collect_payment`, of what is locked."""
    invoice = locked.invoice
    state.require_payable(invoice)
    found = await payments.of_invoice(tx, invoice)
    assert found is not None, "an invoice with something due has a payment"
    payment, link = found
    if payment.status == "processing":
        raise Refusal(BEING_PROCESSED, code="payment_intent_unexpected_state")
    chosen = await _method(tx, locked, asked=method)
    await due.remove(tx, customer_id=invoice.customer_id, subject=invoice.id, kinds=["collect_payment"])
    refused = NO_METHOD if chosen is None else None
    if chosen is not None and automatic and await _would_be_refused_again(tx, payment, chosen):
        refused = payment.last_refusal
    if refused is not None or chosen is None:
        assert refused is not None
        failed = replace(
            payment,
            status="requires_payment_method",
            payment_method=None,
            last_refusal=refused,
            refused_method=payment.refused_method if chosen is not None else None,
        )
        after = await _missed(tx, locked, payment, failed, refused, now=now, automatic=automatic)
        return Collected(invoice=after, outcome=refused)
    attempt, outcome = await ask(
        tx,
        payment,
        chosen,
        automatic=automatic,
        off_session=off_session,
        authenticated=authenticated,
        now=now,
    )
    after = await conclude(tx, locked, payment, link, attempt, outcome, now=now)
    return Collected(invoice=after, outcome=outcome)


async def conclude(
    tx: AsyncConnection,
    locked: Locked,
    payment: Payment,
    link: InvoicePayment,
    attempt: Attempt,
    outcome: Outcome,
    *,
    now: datetime,
) -> Invoice:
    """Record what an attempt on a locked invoice's payment came to; the invoice after it.

    The subscription is locked as it is now.
    """
    invoice = locked.invoice
    after = after_attempt(payment, attempt, outcome, now=now)
    await record_payment.tell_attempt(tx, attempt, outcome, now=now)
    match outcome:
        case Succeeded():
            return await _received(tx, locked, after, link, attempt, now=now)
        case Unknown():
            await record_payment.became(tx, after, now=now)
            waiting = replace(invoice, attempted=True, next_payment_attempt=None)
            await record_invoice.changed(tx, invoice, waiting, types=("invoice.updated",), now=now)
            return waiting
        case Refused() | ActionNeeded():
            return await _missed(tx, locked, payment, after, outcome, now=now, automatic=attempt.automatic)


def wanted_method(locked: Locked, *, asked: str | None) -> str | None:
    """The id of the payment method that an invoice is collected with; None where there is none."""
    return preferred(
        asked=asked,
        invoice=locked.invoice.default_payment_method,
        subscription=None if locked.subscription is None else locked.subscription.default_payment_method,
        customer=locked.customer.invoice_settings.default_payment_method,
    )


async def _method(tx: AsyncConnection, locked: Locked, *, asked: str | None) -> PaymentMethod | None:
    """The payment method to collect with, which has to belong to the customer."""
    wanted = wanted_method(locked, asked=asked)
    if wanted is None:
        return None
    found = (await payment_method.find(tx, locked.invoice.environment, [wanted])).get(wanted)
    mine = found is not None and found.customer_id == locked.invoice.customer_id
    if asked is not None and found is None:
        raise Missing("PaymentMethod", asked, param="payment_method")
    if asked is not None and not mine:
        raise Refusal(
            "The customer does not have a payment method with the ID " + asked + ". The payment method must be"
            " attached to the customer.",
            code="resource_missing",
            param="payment_method",
        )
    return found if mine else None


async def _would_be_refused_again(tx: AsyncConnection, payment: Payment, method: PaymentMethod) -> bool:
    if payment.last_refusal is None:
        return False
    asked = await payments.attempts(tx, payment)
    same = bool(asked) and asked[-1].payment_method == method.id
    return dunning.holds(payment.last_refusal, same_method=same)


async def _received(
    tx: AsyncConnection,
    locked: Locked,
    payment: Payment,
    link: InvoicePayment,
    attempt: Attempt,
    *,
    now: datetime,
) -> Invoice:
    invoice = locked.invoice
    counted = attempt.automatic or invoice.attempt_count == 0
    after = state.paid(state.attempt_succeeded(invoice, counted=counted), amount=attempt.amount, now=now)
    await keep_books.invoice_paid(
        tx,
        invoice,
        amount=attempt.amount,
        processor=attempt.processor,
        cause=Cause("payment", payment.id),
        now=now,
    )
    await record_payment.became(tx, payment, now=now)
    received = replace(link, status="paid", amount_paid=attempt.amount, paid_at=now)
    await payments.save_link(tx, received)
    await notice.add(
        tx,
        environment=invoice.environment,
        customer_id=invoice.customer_id,
        type="invoice_payment.paid",
        subject=received,
        now=now,
    )
    await record_invoice.changed(
        tx, invoice, after, types=("invoice.updated", "invoice.paid", "invoice.payment_succeeded"), now=now
    )
    await dispute_at_once(tx, attempt, now=now)
    await _follow(tx, locked, standing="paid", now=now)
    return after


async def _missed(
    tx: AsyncConnection,
    locked: Locked,
    before: Payment,
    payment: Payment,
    outcome: Refused | ActionNeeded,
    *,
    now: datetime,
    automatic: bool,
) -> Invoice:
    invoice = locked.invoice
    first = invoice.billing_reason == "subscription_create"
    needs_holder = isinstance(outcome, ActionNeeded)
    counted = (automatic or invoice.attempt_count == 0) and not (needs_holder and first)
    retry = dunning.RetryDecision(retry_at=None, exhausted=False)
    if automatic and counted and not first:
        assert invoice.finalized_at is not None
        retry = dunning.decide_retry(
            policy=dunning.STANDARD,
            attempt_count=invoice.attempt_count + 1,
            now=now,
            first_attempt_at=invoice.finalized_at,
        )
    elif not automatic:
        retry = replace(retry, retry_at=invoice.next_payment_attempt)
    after = state.attempt_failed(invoice, counted=counted, retry_at=retry.retry_at)
    if payment != before:
        await record_payment.became(tx, payment, now=now)
    if after.next_payment_attempt is not None:
        await record_invoice.plan_collection(tx, after, at=after.next_payment_attempt)
    types = ("invoice.payment_action_required",) if needs_holder else ()
    await record_invoice.changed(
        tx, invoice, after, types=("invoice.updated", *types, "invoice.payment_failed"), now=now
    )
    await _after_failure(tx, locked, exhausted=retry.exhausted, now=now)
    return after


async def _after_failure(tx: AsyncConnection, locked: Locked, *, exhausted: bool, now: datetime) -> None:
    if locked.subscription is None:
        return
    if not exhausted:
        await _follow(tx, locked, standing="failed", now=now)
        return
    outcome = dunning.STANDARD.surrender
    await surrender_collection(
        tx,
        customer_id=locked.subscription.customer_id,
        subscription=locked.subscription.id,
        outcome="canceled" if outcome == "cancel" else outcome,
        now=now,
    )


async def _follow(tx: AsyncConnection, locked: Locked, *, standing: Standing, now: datetime) -> None:
    if locked.subscription is not None:
        await follow_locked(tx, locked.subscription, invoice=locked.invoice.id, standing=standing, now=now)


async def cancel_payment(tx: AsyncConnection, invoice: Invoice, *, now: datetime) -> None:
    """The invoice will not be collected any more (void, or paid by other means): its payment is called off."""
    found = await payments.of_invoice(tx, invoice)
    if found is None or found[1].status != "open":
        return
    payment, link = found
    if payment.status == "processing":
        raise Refusal(BEING_PROCESSED, code="payment_intent_unexpected_state")
    reason: CancellationReason = "void_invoice" if invoice.status == "void" else "automatic"
    off = replace(payment, status="canceled", canceled_at=now, cancellation_reason=reason)
    await record_payment.became(tx, off, now=now)
    await payments.save_link(tx, replace(link, status="canceled", canceled_at=now))
