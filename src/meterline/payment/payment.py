"""The payment, of an invoice or by itself, the attempts made on it, and what a processor can answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal, TypeAlias
from uuid import UUID

from meterline.customer import Shipping
from meterline.payment.method import PaymentMethod
from meterline.refusal import Refusal

PaymentStatus = Literal[
    "requires_payment_method",
    "requires_confirmation",
    "requires_action",
    "requires_capture",
    "processing",
    "succeeded",
    "canceled",
]
CaptureMethod = Literal["automatic", "automatic_async", "manual"]
CancellationReason = Literal[
    "abandoned", "automatic", "duplicate", "failed_invoice", "fraudulent", "requested_by_customer", "void_invoice"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Succeeded:
    """The money moved. `reference` is the processor's name for the movement; unless it is `final`, ask once more."""

    reference: str
    final: bool = True
    kind: Literal["succeeded"] = "succeeded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The money did not move. `code` and `decline_code` are Stripe's tokens, `message` is for people."""

    code: str
    message: str
    decline_code: str | None = None
    kind: Literal["refused"] = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionNeeded:
    """The card's holder has to confirm the payment first (3-D Secure).

    A processor over a network names what waits (`reference`) and where the holder is asked (`url`).
    """

    reference: str | None = None
    url: str | None = None
    kind: Literal["action_needed"] = "action_needed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """No answer came, or not yet: the money may have moved. Asking again under the same key will tell.

    With a `reference` the processor knows of it and is busy: it tells by itself.
    """

    reference: str | None = None
    kind: Literal["unknown"] = "unknown"


Outcome: TypeAlias = Succeeded | Refused | ActionNeeded | Unknown
"""Everything that a processor can answer, silence included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """Money to be taken once: for one invoice, for one top-up of a wallet, or for neither.

    `id` is Stripe's PaymentIntent id (`pi_…`). Amounts are minor units; `tax` is the part of the amount that is tax,
    where no invoice says it. `amount_capturable` is what was authorized and waits for its capture. A payment of nobody
    in particular (`customer` null) has books of its own. `latest_charge` is the last attempt that a processor answered
    with a charge. `refused_method` is the method of the last refusal, as it was then.
    """

    environment: str
    customer_id: UUID
    id: str
    customer: str | None
    invoice: str | None
    amount: int
    currency: str
    status: PaymentStatus
    client_secret: str
    created: datetime
    tax: int = 0
    payment_method: str | None = None
    last_refusal: Refused | None = None
    refused_method: PaymentMethod | None = None
    succeeded_at: datetime | None = None
    canceled_at: datetime | None = None
    amount_received: int = 0
    amount_capturable: int = 0
    capture_method: CaptureMethod = "automatic_async"
    setup_future_usage: Literal["off_session", "on_session"] | None = None
    cancellation_reason: CancellationReason | None = None
    latest_charge: str | None = None
    description: str | None = None
    receipt_email: str | None = None
    statement_descriptor: str | None = None
    statement_descriptor_suffix: str | None = None
    shipping: Shipping | None = None
    return_url: str | None = None
    top_up: str | None = None
    action_url: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One time that a processor was asked: Stripe's charge (`ch_…`), once the processor made one of it.

    `outcome` is null while the answer is not known, and never changes afterwards, except that what waits for the
    card's holder comes to an end. `automatic` says that the calendar of retries asked. `captured` money is taken, not
    only authorized; `capturing` is what is being taken of it, `amount_refunded` of it went back. `authenticated` says
    that the card's holder confirmed. `presented` is the method as it was when it was asked, and the description, the
    address for the receipt and the metadata are the payment's of then: a charge does not change when they do.
    """

    environment: str
    customer_id: UUID
    id: str
    payment: str
    payment_method: str
    amount: int
    currency: str
    created: datetime
    outcome: Literal["succeeded", "refused", "action_needed"] | None = None
    code: str | None = None
    decline_code: str | None = None
    message: str | None = None
    reference: str | None = None
    customer: str | None = None
    processor: str = "test"
    automatic: bool = False
    off_session: bool = True
    captured: bool = False
    amount_captured: int = 0
    amount_refunded: int = 0
    disputed: bool = False
    capturing: int | None = None
    balance_transaction: str | None = None
    authenticated: bool = False
    presented: PaymentMethod | None = None
    description: str | None = None
    receipt_email: str | None = None
    statement_descriptor: str | None = None
    statement_descriptor_suffix: str | None = None
    shipping: Shipping | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def refundable(self) -> int:
        """What can still be given back."""
        return self.amount_captured - self.amount_refunded


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoicePayment:
    """The link between an invoice and a payment: how much was asked for and how much came."""

    environment: str
    customer_id: UUID
    id: str
    invoice: str
    payment: str
    amount_requested: int
    amount_paid: int | None
    currency: str
    status: Literal["open", "paid", "canceled"]
    created: datetime
    paid_at: datetime | None = None
    canceled_at: datetime | None = None
    is_default: bool = True


PAYMENT_STATUS: dict[str, PaymentStatus] = {
    "succeeded": "succeeded",
    "refused": "requires_payment_method",
    "action_needed": "requires_action",
    "unknown": "processing",
}
"""What a payment becomes by the outcome of an attempt."""

CONFIRMABLE: tuple[PaymentStatus, ...] = ("requires_payment_method", "requires_confirmation", "requires_action")
CANCELABLE: tuple[PaymentStatus, ...] = (*CONFIRMABLE, "requires_capture")
UNEXPECTED = "payment_intent_unexpected_state"


def require(payment: Payment, allowed: tuple[PaymentStatus, ...], act: str) -> None:
    """Refuses an act that the payment's status does not allow. `act` completes "could not be …"."""
    if payment.status not in allowed:
        raise Refusal(
            f"This PaymentIntent could not be {act} because it has a status of {payment.status}. Only a PaymentIntent"
            f" with one of the following statuses may be {act}: {', '.join(allowed)}.",
            code=UNEXPECTED,
        )


def answered(attempt: Attempt, outcome: Outcome, *, capture: bool) -> Attempt:
    """The attempt with what the processor said."""
    match outcome:
        case Succeeded():
            taken = attempt.amount if capture else 0
            return replace(
                attempt,
                outcome=outcome.kind,
                reference=outcome.reference,
                captured=capture,
                amount_captured=taken,
                authenticated=attempt.authenticated or attempt.outcome == "action_needed",
            )
        case Refused():
            return replace(
                attempt,
                outcome=outcome.kind,
                code=outcome.code,
                decline_code=outcome.decline_code,
                message=outcome.message,
            )
        case ActionNeeded():
            return replace(attempt, outcome=outcome.kind, reference=outcome.reference)
        case Unknown():
            return attempt


def after_attempt(payment: Payment, attempt: Attempt, outcome: Outcome, *, now: datetime) -> Payment:
    """The payment after an attempt with that outcome."""
    asked = replace(payment, payment_method=attempt.payment_method)
    match outcome:
        case Succeeded() if payment.capture_method == "manual":
            return replace(
                asked,
                status="requires_capture",
                amount_capturable=attempt.amount,
                last_refusal=None,
                refused_method=None,
                latest_charge=attempt.id,
            )
        case Succeeded():
            return replace(
                asked,
                status="succeeded",
                amount_received=attempt.amount,
                last_refusal=None,
                refused_method=None,
                latest_charge=attempt.id,
                succeeded_at=now,
            )
        case Refused():
            return replace(
                payment,
                status="requires_payment_method",
                payment_method=None,
                last_refusal=outcome,
                refused_method=attempt.presented,
                latest_charge=attempt.id,
            )
        case ActionNeeded():
            return replace(
                asked, status="requires_action", last_refusal=None, refused_method=None, action_url=outcome.url
            )
        case Unknown():
            return replace(asked, status="processing", last_refusal=None, refused_method=None, latest_charge=attempt.id)


def captured(payment: Payment, *, amount: int | None, now: datetime) -> tuple[Payment, int]:
    """The authorized payment with `amount` of it taken (all of it where null), and how much that is."""
    require(payment, ("requires_capture",), "captured")
    taken = payment.amount_capturable if amount is None else amount
    if taken > payment.amount_capturable:
        raise Refusal(
            f"The amount to capture ({taken}) is greater than the amount that was authorized"
            f" ({payment.amount_capturable}).",
            code="amount_too_large",
            param="amount_to_capture",
        )
    after = replace(payment, status="succeeded", amount_received=taken, amount_capturable=0, succeeded_at=now)
    return after, taken


def repriced(payment: Payment, *, amount: int) -> Payment:
    """The payment of an invoice, not taken yet, about another amount; a holder who was asked is asked again."""
    require(payment, CONFIRMABLE, "updated")
    status = "requires_confirmation" if payment.status == "requires_action" else payment.status
    return replace(payment, amount=amount, status=status)


def canceled(payment: Payment, *, reason: CancellationReason | None, now: datetime) -> Payment:
    """The payment called off; what was authorized is let go."""
    require(payment, CANCELABLE, "canceled")
    return replace(payment, status="canceled", amount_capturable=0, canceled_at=now, cancellation_reason=reason)
