"""The payment of an invoice, the attempts made on it, and what a processor can answer."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias
from uuid import UUID

PaymentStatus = Literal["requires_payment_method", "requires_action", "processing", "succeeded", "canceled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Succeeded:
    """The money moved. `reference` is the processor's name for the movement."""

    reference: str
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
    """The card's holder has to confirm the payment first (3-D Secure)."""

    kind: Literal["action_needed"] = "action_needed"


Outcome: TypeAlias = Succeeded | Refused | ActionNeeded
"""Everything that a processor can answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """What is to be collected for one invoice. `id` is Stripe's PaymentIntent id (`pi_…`)."""

    environment: str
    customer_id: UUID
    id: str
    customer: str
    invoice: str | None
    amount: int
    currency: str
    status: PaymentStatus
    client_secret: str
    created: datetime
    payment_method: str | None = None
    last_refusal: Refused | None = None
    succeeded_at: datetime | None = None
    canceled_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One time that a processor was asked. `outcome` is null while the answer is not known."""

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
}
"""What a payment becomes by the outcome of an attempt."""
