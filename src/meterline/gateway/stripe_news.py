"""What Stripe tells of what we asked there, by webhook or when polled: of payments, refunds and disputes."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeAlias, cast, get_args

import stripe

from meterline.payment.dispute import DisputeStatus
from meterline.payment.payment import ActionNeeded, Outcome, Refused, Succeeded, Unknown

ATTEMPT = "meterline_attempt"
"""The metadata key of a payment at Stripe that names our attempt."""

REFUND = "meterline_refund"
"""The metadata key of a refund at Stripe that names ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of one of our attempts. `captured` is the money that was taken, in minor units."""

    attempt: str
    outcome: Outcome
    captured: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundNews:
    """What became of one of our refunds."""

    refund: str
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeNews:
    """A bank's objection to the payment that Stripe knows as `payment`; `reference` is the dispute's name there."""

    reference: str
    payment: str
    amount: int
    currency: str
    reason: str
    status: DisputeStatus
    created: datetime
    due_by: datetime | None


News: TypeAlias = Answer | RefundNews | DisputeNews

About: TypeAlias = Literal["payments", "refunds", "disputes"]


def news_in(told: object) -> Iterator[News]:
    """What an object of Stripe's says about something of ours; nothing where it is about nothing of ours."""
    match told:
        case stripe.PaymentIntent():
            attempt = told.metadata.to_dict().get(ATTEMPT)
            if attempt is not None:
                captured = told.amount_received if told.status == "succeeded" else 0
                yield Answer(attempt=str(attempt), outcome=outcome_of(told), captured=captured)
        case stripe.Refund():
            refund = None if told.metadata is None else told.metadata.to_dict().get(REFUND)
            if refund is not None:
                yield RefundNews(refund=str(refund), outcome=outcome_of_refund(told))
        case stripe.Dispute() if told.payment_intent is not None:
            intent = told.payment_intent
            due_by = told.evidence_details.due_by
            yield DisputeNews(
                reference=told.id,
                payment=intent if isinstance(intent, str) else intent.id,
                amount=told.amount,
                currency=told.currency,
                reason=told.reason,
                status=status_of(told),
                created=datetime.fromtimestamp(told.created, UTC),
                due_by=None if due_by is None else datetime.fromtimestamp(due_by, UTC),
            )
        case _:
            return


def outcome_of(intent: stripe.PaymentIntent) -> Outcome:
    """What a payment intent as it stands says about the money."""
    match intent.status:
        case "succeeded" | "requires_capture":
            return Succeeded(reference=intent.id)
        case "requires_action":
            step = intent.next_action
            redirect = None if step is None or step.type != "redirect_to_url" else step.redirect_to_url
            return ActionNeeded(reference=intent.id, url=None if redirect is None else redirect.url)
        case "requires_payment_method" if intent.last_payment_error is not None:
            error = intent.last_payment_error
            return Refused(
                code=error.code or "card_declined",
                message=error.message or "The payment failed.",
                decline_code=error.to_dict().get("decline_code"),
            )
        case "canceled":
            return Refused(code=CANCELED, message="The payment was canceled at Stripe.")
        case _:
            return Unknown(reference=intent.id)


def status_of(dispute: stripe.Dispute) -> DisputeStatus:
    """How a dispute stands. A state that is new at Stripe is an error, seen and tried again, not a guess."""
    for known in get_args(DisputeStatus):
        if dispute.status == known:
            return cast("DisputeStatus", known)
    raise ValueError(f"{dispute.id} is {dispute.status!r}, which is no known state of a dispute")


CANCELED = "payment_intent_canceled"
"""The code of a payment that was called off at Stripe."""


def outcome_of_refund(refund: stripe.Refund) -> Outcome:
    """What a refund as it stands says about the money."""
    if refund.status in ("failed", "canceled"):
        return Refused(code=getattr(refund, "failure_reason", None) or "unknown", message="The refund failed.")
    return Succeeded(reference=refund.id) if refund.status == "succeeded" else Unknown(reference=refund.id)
