"""Ask a processor for what an invoice still lacks, and make of the answer what it means.

The processor that is built in leaves no process, so it is asked inside the transaction. One that is reached
over a network is never asked here.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.gateway.processor import Collection, Processor
from meterline.gateway.test_processor import TestProcessor
from meterline.invoice import state
from meterline.invoice.model import Invoice
from meterline.ledger.transaction import Cause
from meterline.payment import dunning
from meterline.payment.method import PaymentMethod, preferred
from meterline.payment.payment import (
    PAYMENT_STATUS,
    ActionNeeded,
    Attempt,
    InvoicePayment,
    Outcome,
    Payment,
    Refused,
    Succeeded,
)
from meterline.refusal import Missing, Refusal
from meterline.store import due, payment_method
from meterline.store import payment as payments
from meterline.store.identifier import public
from meterline.subscription.status import Standing
from meterline.usecase import keep_books, record_invoice
from meterline.usecase.follow_invoice import follow_invoice, surrender_collection
from meterline.usecase.lock_invoice import Locked, lock_invoice

PROCESSORS: dict[str, Processor] = {"test": TestProcessor()}

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
) -> Collected:
    """Try to collect what remains of a finalized invoice. `now` is the customer's time, UTC.

    `automatic` attempts move along the calendar of retries; others do not, except the first. `method` names the
    payment method to use instead of the default. An attempt that moves no money is recorded, not raised.
    """
    locked = await lock_invoice(tx, environment=invoice.environment, id=invoice.id)
    invoice = locked.invoice
    state.require_payable(invoice)
    found = await payments.of_invoice(tx, invoice)
    assert found is not None, "an invoice with something due has a payment"
    payment, link = found
    chosen = await _method(tx, locked, asked=method)
    outcome = await _ask(tx, payment, chosen, automatic=automatic, off_session=off_session, now=now)
    await due.remove(tx, customer_id=invoice.customer_id, subject=invoice.id, kinds=["collect_payment"])
    if isinstance(outcome, Succeeded):
        after = await _received(tx, invoice, payment, link, chosen, now=now, automatic=automatic)
    else:
        after = await _missed(tx, invoice, payment, chosen, outcome, now=now, automatic=automatic)
    return Collected(invoice=after, outcome=outcome)


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


async def _ask(
    tx: AsyncConnection,
    payment: Payment,
    method: PaymentMethod | None,
    *,
    automatic: bool,
    off_session: bool,
    now: datetime,
) -> Outcome:
    if method is None:
        return NO_METHOD
    if automatic and await _would_be_refused_again(tx, payment, method):
        assert payment.last_refusal is not None
        return payment.last_refusal
    processor = PROCESSORS[method.processor]
    assert not processor.networked, "a processor behind a network is asked between transactions"
    attempt = Attempt(
        environment=payment.environment,
        customer_id=payment.customer_id,
        id=public("ch"),
        payment=payment.id,
        payment_method=method.id,
        amount=payment.amount,
        currency=payment.currency,
        created=now,
    )
    outcome = processor.collect(
        Collection(
            key=attempt.id,
            reference=method.reference,
            amount=payment.amount,
            currency=payment.currency,
            off_session=off_session,
        )
    )
    await payments.add_attempt(tx, _answered(attempt, outcome))
    return outcome


def _answered(attempt: Attempt, outcome: Outcome) -> Attempt:
    match outcome:
        case Succeeded():
            return replace(attempt, outcome=outcome.kind, reference=outcome.reference)
        case Refused():
            return replace(
                attempt,
                outcome=outcome.kind,
                code=outcome.code,
                decline_code=outcome.decline_code,
                message=outcome.message,
            )
        case ActionNeeded():
            return replace(attempt, outcome=outcome.kind)


async def _would_be_refused_again(tx: AsyncConnection, payment: Payment, method: PaymentMethod) -> bool:
    if payment.last_refusal is None:
        return False
    asked = await payments.attempts(tx, payment)
    same = bool(asked) and asked[-1].payment_method == method.id
    return dunning.holds(payment.last_refusal, same_method=same)


async def _received(
    tx: AsyncConnection,
    invoice: Invoice,
    payment: Payment,
    link: InvoicePayment,
    method: PaymentMethod | None,
    *,
    now: datetime,
    automatic: bool,
) -> Invoice:
    assert method is not None
    counted = automatic or invoice.attempt_count == 0
    after = state.paid(state.attempt_succeeded(invoice, counted=counted), amount=invoice.amounts.remaining, now=now)
    paid = replace(payment, status="succeeded", payment_method=method.id, last_refusal=None, succeeded_at=now)
    await keep_books.invoice_paid(
        tx,
        invoice,
        amount=invoice.amounts.remaining,
        processor=method.processor,
        cause=Cause("payment", payment.id),
        now=now,
    )
    await payments.save(tx, paid)
    await payments.save_link(tx, replace(link, status="paid", amount_paid=link.amount_requested, paid_at=now))
    await record_invoice.changed(
        tx, invoice, after, types=("invoice.updated", "invoice.paid", "invoice.payment_succeeded"), now=now
    )
    await _follow(tx, after, standing="paid", now=now)
    return after


async def _missed(
    tx: AsyncConnection,
    invoice: Invoice,
    payment: Payment,
    method: PaymentMethod | None,
    outcome: Refused | ActionNeeded,
    *,
    now: datetime,
    automatic: bool,
) -> Invoice:
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
    await payments.save(
        tx,
        replace(
            payment,
            status=PAYMENT_STATUS[outcome.kind],
            payment_method=method.id if needs_holder and method is not None else None,
            last_refusal=outcome if isinstance(outcome, Refused) else None,
        ),
    )
    if after.next_payment_attempt is not None:
        await record_invoice.plan_collection(tx, after, at=after.next_payment_attempt)
    types = ("invoice.payment_action_required",) if needs_holder else ()
    await record_invoice.changed(
        tx, invoice, after, types=("invoice.updated", *types, "invoice.payment_failed"), now=now
    )
    await _after_failure(tx, after, exhausted=retry.exhausted, now=now)
    return after


async def _after_failure(tx: AsyncConnection, invoice: Invoice, *, exhausted: bool, now: datetime) -> None:
    if invoice.subscription is None:
        return
    if not exhausted:
        await _follow(tx, invoice, standing="failed", now=now)
        return
    outcome = dunning.STANDARD.surrender
    await surrender_collection(
        tx,
        customer_id=invoice.customer_id,
        subscription=invoice.subscription,
        outcome="canceled" if outcome == "cancel" else outcome,
        now=now,
    )


async def _follow(tx: AsyncConnection, invoice: Invoice, *, standing: Standing, now: datetime) -> None:
    if invoice.subscription is not None:
        await follow_invoice(
            tx,
            customer_id=invoice.customer_id,
            subscription=invoice.subscription,
            invoice=invoice.id,
            standing=standing,
            now=now,
        )


async def cancel_payment(tx: AsyncConnection, invoice: Invoice, *, now: datetime) -> None:
    """The invoice will not be collected any more (void, or paid by other means): its payment is called off."""
    found = await payments.of_invoice(tx, invoice)
    if found is None or found[1].status != "open":
        return
    payment, link = found
    await payments.save(tx, replace(payment, status="canceled", canceled_at=now))
    await payments.save_link(tx, replace(link, status="canceled", canceled_at=now))
