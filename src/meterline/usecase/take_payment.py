"""Take a payment step by step: asked for, confirmed with a card, authenticated, captured or called off."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.ledger.transaction import Cause
from meterline.money import allocate
from meterline.payment.method import PaymentMethod
from meterline.payment.payment import (
    CONFIRMABLE,
    UNEXPECTED,
    Attempt,
    CancellationReason,
    Outcome,
    Payment,
    Refused,
    Succeeded,
    after_attempt,
    canceled,
    captured,
    require,
)
from meterline.refusal import Missing, Refusal
from meterline.store import checkout as checkouts
from meterline.store import customer as customers
from meterline.store import invoice as invoices
from meterline.store import payment as payments
from meterline.store import payment_method
from meterline.usecase import keep_books, record_payment
from meterline.usecase.ask_processor import CAPTURE, PROCESSORS, RELEASE, ask, plan
from meterline.usecase.attach_payment_method import attach_payment_method, usable_method
from meterline.usecase.collect_payment import collect_payment, conclude
from meterline.usecase.complete_checkout import complete_for_payment
from meterline.usecase.credit_top_up import settle_top_up
from meterline.usecase.dispute_payment import dispute_at_once
from meterline.usecase.lock_invoice import lock_invoice


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """The payment after a step, and what the processor said; null where nobody was asked."""

    payment: Payment
    outcome: Outcome | None


async def request_payment(tx: AsyncConnection, new: Payment, *, now: datetime) -> Payment:
    """Store a new payment and tell it. A method that is named has to be usable by its customer."""
    if new.payment_method is not None:
        method = await chosen_method(tx, new, new.payment_method, now=now)
        new = replace(new, payment_method=method.id, status="requires_confirmation")
    await payments.add_payment(tx, new)
    await record_payment.tell(tx, "payment_intent.created", new, now=now)
    return new


async def chosen_method(tx: AsyncConnection, payment: Payment, id: str, *, now: datetime) -> PaymentMethod:
    """The method a payment is made with: its customer's, or one that is nobody's yet. Raises Missing, Refusal."""
    method = await usable_method(tx, payment.environment, id, now=now)
    if method is None:
        raise Missing("PaymentMethod", id, param="payment_method")
    if method.customer is not None and method.customer != payment.customer:
        raise Refusal(
            "The provided PaymentMethod belongs to another Customer. To use it, provide that customer in the"
            " PaymentIntent.",
            param="payment_method",
        )
    if method.customer is None and method.used:
        raise Refusal("The provided PaymentMethod was detached from a Customer and may not be used again.")
    return method


async def change_payment(
    tx: AsyncConnection, seen: Payment, changes: Mapping[str, object], *, now: datetime
) -> Payment:
    """The payment with `changes`, fields of `Payment` by name, while it still waits for its confirmation.

    A card's holder who was asked about another amount is asked again.
    """
    before = await payments.lock(tx, customer_id=seen.customer_id, id=seen.id)
    if changes.keys() - {"metadata", "description", "receipt_email"}:
        require(before, CONFIRMABLE, "updated")
        if before.invoice is not None and changes.keys() & {"amount", "currency", "customer"}:
            raise Refusal("The amount and the customer of an invoice's payment are the invoice's own.")
        if before.top_up is not None and changes.keys() & {"amount", "currency", "customer", "capture_method"}:
            raise Refusal("What a top-up asks for is the top-up's own.")
    after = replace(before, **changes)  # type: ignore[arg-type]
    if before.status == "requires_action" and (after.amount, after.currency) != (before.amount, before.currency):
        after = replace(after, status="requires_confirmation")
    if isinstance(method := changes.get("payment_method"), str):
        found = await chosen_method(tx, after, method, now=now)
        after = replace(after, payment_method=found.id, status="requires_confirmation")
    if after != before:
        await payments.save(tx, after)
    return after


async def confirm_payment(
    tx: AsyncConnection,
    seen: Payment,
    *,
    method: str | None,
    off_session: bool,
    now: datetime,
    authenticated: bool = False,
    refuse_action: bool = False,
) -> Taken:
    """Ask for the money of a payment. A decline is recorded, not raised. `now` is the customer's time, UTC."""
    if seen.invoice is not None:
        return await _confirm_for_invoice(
            tx, seen, method=method, off_session=off_session, authenticated=authenticated, now=now
        )
    await checkouts.of_result(tx, seen.environment, seen.id, lock=True)
    payment = await payments.lock(tx, customer_id=seen.customer_id, id=seen.id)
    if payment.status == "succeeded":
        raise Refusal(
            "You cannot confirm this PaymentIntent because it has already succeeded after being previously confirmed.",
            code=UNEXPECTED,
        )
    require(payment, CONFIRMABLE, "confirmed")
    wanted = method or payment.payment_method
    if wanted is None:
        raise Refusal(
            "You cannot confirm this PaymentIntent because it's missing a payment method. Update the PaymentIntent"
            " with a payment method or provide one when confirming.",
            code=UNEXPECTED,
        )
    found = await chosen_method(tx, payment, wanted, now=now)
    attempt, outcome = await ask(
        tx,
        payment,
        found,
        off_session=off_session,
        authenticated=authenticated,
        refuse_action=refuse_action or off_session,
        now=now,
    )
    return Taken(payment=await settle_payment(tx, payment, attempt, outcome, now=now), outcome=outcome)


async def _confirm_for_invoice(
    tx: AsyncConnection, seen: Payment, *, method: str | None, off_session: bool, authenticated: bool, now: datetime
) -> Taken:
    """An invoice's own payment is collected the way invoices are."""
    invoice = (await invoices.find(tx, seen.environment, [seen.invoice or ""]))[seen.invoice or ""]
    require(seen, CONFIRMABLE, "confirmed")
    wanted = method or (seen.payment_method if authenticated else None)
    if wanted is not None and seen.customer is not None:
        wanted = (await _attached(tx, seen, wanted, now=now)).id
    collected = await collect_payment(
        tx,
        invoice=invoice,
        automatic=False,
        method=wanted,
        off_session=off_session,
        authenticated=authenticated,
        now=now,
    )
    after = await payments.lock(tx, customer_id=seen.customer_id, id=seen.id)
    return Taken(payment=after, outcome=collected.outcome)


async def _attached(tx: AsyncConnection, payment: Payment, id: str, *, now: datetime) -> PaymentMethod:
    """The method as the customer's own."""
    method = await chosen_method(tx, payment, id, now=now)
    if method.customer is not None:
        return method
    owner = await customers.lock(tx, payment.customer_id)
    return await attach_payment_method(tx, customer=owner, id=method.id, now=now)


async def settle_payment(
    tx: AsyncConnection, payment: Payment, attempt: Attempt, outcome: Outcome, *, now: datetime
) -> Payment:
    """Record what an attempt on a locked payment came to, in the books too; the payment after it."""
    if payment.invoice is not None:
        locked = await lock_invoice(tx, environment=payment.environment, id=payment.invoice)
        found = await payments.of_invoice(tx, locked.invoice)
        assert found is not None, "the payment is the invoice's"
        await conclude(tx, locked, found[0], found[1], attempt, outcome, now=now)
        return await payments.lock(tx, customer_id=payment.customer_id, id=payment.id)
    after = after_attempt(payment, attempt, outcome, now=now)
    await record_payment.tell_attempt(tx, attempt, outcome, now=now)
    await record_payment.became(tx, after, now=now)
    if after.top_up is not None:
        await settle_top_up(tx, after, attempt, outcome, now=now)
        if isinstance(outcome, Succeeded):
            await dispute_at_once(tx, attempt, now=now)
    elif after.status == "succeeded":
        await _received(tx, after, attempt.amount, attempt, now=now)
        await complete_for_payment(tx, after, now=now)
    if isinstance(outcome, Succeeded):
        await _keep_method(tx, after, attempt, now=now)
    return after


async def _received(tx: AsyncConnection, payment: Payment, amount: int, attempt: Attempt, *, now: datetime) -> None:
    await keep_books.money_received(
        tx,
        environment=payment.environment,
        customer_id=payment.customer_id,
        amount=amount,
        tax=payment.tax if amount == payment.amount else allocate(payment.tax, [amount, payment.amount - amount])[0],
        currency=payment.currency,
        processor=attempt.processor,
        settles="revenue",
        cause=Cause("payment", payment.id),
        now=now,
    )
    await dispute_at_once(tx, attempt, now=now)


async def _keep_method(tx: AsyncConnection, payment: Payment, attempt: Attempt, *, now: datetime) -> None:
    """A payment that sets up later ones leaves its method with the customer."""
    if payment.setup_future_usage is None or payment.customer is None:
        return
    methods = await payment_method.find(tx, payment.environment, [attempt.payment_method])
    if methods[attempt.payment_method].customer is None:
        owner = await customers.lock(tx, payment.customer_id)
        await attach_payment_method(tx, customer=owner, id=attempt.payment_method, now=now)


async def fail_authentication(tx: AsyncConnection, seen: Payment, *, now: datetime) -> Payment:
    """The card's holder did not confirm: the payment needs another method."""
    payment = await payments.lock(tx, customer_id=seen.customer_id, id=seen.id)
    require(payment, ("requires_action",), "refused by its card's holder")
    refused = Refused(
        code="payment_intent_authentication_failure",
        message="The provided PaymentMethod has failed authentication. You can provide payment_method_data or a new"
        " PaymentMethod to attempt to fulfill this PaymentIntent again.",
    )
    asked = (await payments.attempts(tx, payment))[-1].presented
    after = replace(
        payment,
        status="requires_payment_method",
        payment_method=None,
        last_refusal=refused,
        refused_method=asked,
    )
    await record_payment.became(tx, after, now=now)
    if after.top_up is not None:
        await settle_top_up(tx, after, None, refused, now=now)
    return after


async def capture_payment(tx: AsyncConnection, seen: Payment, *, amount: int | None, now: datetime) -> Payment:
    """Take what was authorized, or `amount` (minor units) of it; the rest is let go. Refuses a second time."""
    payment = await payments.lock(tx, customer_id=seen.customer_id, id=seen.id)
    _, taken = captured(payment, amount=amount, now=now)
    assert payment.latest_charge is not None, "what was authorized is a charge"
    charge = await payments.lock_attempt(tx, customer_id=payment.customer_id, id=payment.latest_charge)
    processor = PROCESSORS[charge.processor]
    assert charge.reference is not None, "what was authorized has a name at its processor"
    if processor.networked:
        await payments.save_attempt(tx, replace(charge, capturing=taken))
        await plan(tx, charge, CAPTURE, now=now)
        waiting = replace(payment, status="processing")
        await record_payment.became(tx, waiting, now=now)
        return waiting
    refused = processor.capture(charge.reference, amount=taken, key=f"{charge.id}-capture")
    if refused is not None:
        raise Refusal(refused.message, code=refused.code)
    return await settle_capture(tx, payment, charge, taken, now=now)


async def settle_capture(
    tx: AsyncConnection, payment: Payment, charge: Attempt, taken: int, *, now: datetime
) -> Payment:
    """Record that `taken` (minor units) of what a locked payment had authorized was taken."""
    after, _ = captured(replace(payment, status="requires_capture"), amount=taken, now=now)
    charge = replace(charge, captured=True, amount_captured=taken, capturing=None)
    charge = await record_payment.stated(tx, charge, now=now)
    await record_payment.tell(tx, "charge.captured", charge, now=now)
    await record_payment.became(tx, after, now=now)
    await _received(tx, after, taken, charge, now=now)
    return after


async def cancel_payment(
    tx: AsyncConnection, seen: Payment, *, reason: CancellationReason | None, now: datetime
) -> Payment:
    """Call a payment off. An invoice's payment ends with its invoice, which is voided instead."""
    payment = await payments.lock(tx, customer_id=seen.customer_id, id=seen.id)
    after = canceled(payment, reason=reason, now=now)
    if payment.invoice is not None:
        raise Refusal(
            "You cannot cancel a PaymentIntent that an invoice created; void the invoice instead.", code=UNEXPECTED
        )
    if payment.top_up is not None:
        raise Refusal("You cannot cancel the PaymentIntent of a top-up; it expires with it.", code=UNEXPECTED)
    if payment.status == "requires_capture" and payment.latest_charge is not None:
        charge = await payments.lock_attempt(tx, customer_id=payment.customer_id, id=payment.latest_charge)
        assert charge.reference is not None, "what was authorized has a name at its processor"
        processor = PROCESSORS[charge.processor]
        if processor.networked:
            await plan(tx, charge, RELEASE, now=now)
        else:
            processor.release(charge.reference, key=f"{charge.id}-release")
    if payment.status == "requires_action":
        await _let_go_of_what_waits(tx, payment, now=now)
    await record_payment.became(tx, after, now=now)
    return after


async def _let_go_of_what_waits(tx: AsyncConnection, payment: Payment, *, now: datetime) -> None:
    """What waits for the card's holder at a processor over a network could still be confirmed there."""
    for attempt in await payments.attempts(tx, payment):
        if attempt.outcome == "action_needed" and PROCESSORS[attempt.processor].networked:
            await plan(tx, attempt, RELEASE, now=now)
