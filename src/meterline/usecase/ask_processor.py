"""Ask a processor for money, once per attempt, whatever happens to the answer.

The attempt's id is the processor's idempotency key. A processor that is built in leaves no process and is asked
inside the transaction. One that is reached over a network is asked by the worker: the attempt is recorded as
unanswered together with a due row, and only then is anybody asked; an answer that got lost is asked for again
under the same key. So money is never taken that no record knows of, and never twice for one attempt.
"""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.gateway.processor import Collection, Processor
from meterline.gateway.test_processor import TestProcessor
from meterline.payment.dispute import Dispute
from meterline.payment.method import PaymentMethod
from meterline.payment.payment import ActionNeeded, Attempt, Outcome, Payment, Refused, Unknown, answered
from meterline.payment.refund import Refund
from meterline.store import customer as customers
from meterline.store import due
from meterline.store import payment as payments
from meterline.store.identifier import public

PROCESSORS: dict[str, Processor] = {"test": TestProcessor()}

RESOLVE = "resolve_attempt"
"""The kind of due work that finds out what became of an attempt."""

CAPTURE = "capture_authorization"
"""The kind of due work that takes money which a processor over a network has authorized."""

RELEASE = "release_authorization"
"""The kind of due work that lets go of such money."""

EXPIRED = Refused(code="expired_card", decline_code="expired_card", message="Your card has expired.")

NEEDS_HOLDER = Refused(
    code="authentication_required",
    decline_code="authentication_required",
    message="Your card was declined. This transaction requires authentication.",
)


async def ask(
    tx: AsyncConnection,
    payment: Payment,
    method: PaymentMethod,
    *,
    off_session: bool,
    now: datetime,
    automatic: bool = False,
    authenticated: bool = False,
    refuse_action: bool = False,
) -> tuple[Attempt, Outcome]:
    """Record an attempt on a locked payment and what the processor said to it. `now` is the customer's time, UTC.

    `refuse_action` makes a decline of a card whose holder would have to confirm.
    """
    attempt = Attempt(
        environment=payment.environment,
        customer_id=payment.customer_id,
        id=public("ch"),
        payment=payment.id,
        payment_method=method.id,
        amount=payment.amount,
        currency=payment.currency,
        created=now,
        customer=payment.customer,
        processor=method.processor,
        automatic=automatic,
        off_session=off_session,
        authenticated=authenticated,
        presented=method,
        description=payment.description,
        receipt_email=payment.receipt_email,
        statement_descriptor=payment.statement_descriptor,
        statement_descriptor_suffix=payment.statement_descriptor_suffix,
        shipping=payment.shipping,
        metadata=payment.metadata,
    )
    processor = PROCESSORS[method.processor]
    outcome: Outcome = Unknown()
    if _expired(method, now):
        outcome = EXPIRED
    elif not processor.networked:
        wanted = collection(payment, attempt, method, authenticated=authenticated)
        outcome = processor.collect(wanted)
    if refuse_action and isinstance(outcome, ActionNeeded):
        outcome = NEEDS_HOLDER
    attempt = answered(attempt, outcome, capture=payment.capture_method != "manual")
    await payments.add_attempt(tx, attempt)
    if isinstance(outcome, Unknown):
        await plan(tx, attempt, RESOLVE, now=now)
    return attempt, outcome


def collection(
    payment: Payment, attempt: Attempt, method: PaymentMethod, *, authenticated: bool = False, again: bool = False
) -> Collection:
    """What a processor is asked for in an attempt."""
    return Collection(
        key=attempt.id,
        reference=method.reference,
        amount=attempt.amount,
        currency=attempt.currency,
        off_session=attempt.off_session,
        capture=payment.capture_method != "manual",
        authenticated=authenticated,
        again=again,
        return_url=payment.return_url,
        asked_at=attempt.created,
    )


def _expired(method: PaymentMethod, now: datetime) -> bool:
    return (method.card.exp_year, method.card.exp_month) < (now.year, now.month)


async def plan(tx: AsyncConnection, about: Attempt | Refund | Dispute, kind: str, *, now: datetime) -> None:
    """Have the worker speak with a processor about something, as soon as this transaction is committed."""
    owner = (await customers.find_all(tx, [about.customer_id])).get(about.customer_id)
    await due.add(
        tx,
        environment=about.environment,
        customer_id=about.customer_id,
        kind=kind,
        subject=about.id,
        boundary=now,
        due_at=now,
        clock=None if owner is None else owner.test_clock,
    )
    await due.kick(tx)
