"""Saving a card for later without taking money."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID

from meterline.payment.method import PaymentMethod
from meterline.payment.payment import Refused
from meterline.refusal import Refusal

SetupStatus = Literal[
    "requires_payment_method", "requires_confirmation", "requires_action", "processing", "succeeded", "canceled"
]

CONFIRMABLE: tuple[SetupStatus, ...] = ("requires_payment_method", "requires_confirmation", "requires_action")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """An intent to save a card (`seti_…`). Once it succeeded the method is the customer's.

    `refused_method` is the method of the last refusal, as it was then.
    """

    environment: str
    customer_id: UUID
    id: str
    customer: str | None
    status: SetupStatus
    client_secret: str
    created: datetime
    usage: Literal["off_session", "on_session"] = "off_session"
    payment_method: str | None = None
    last_refusal: Refused | None = None
    refused_method: PaymentMethod | None = None
    cancellation_reason: Literal["abandoned", "duplicate", "requested_by_customer"] | None = None
    description: str | None = None
    return_url: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


def require(setup: Setup, act: str) -> None:
    """Refuses an act on what has ended. `act` completes "cannot be …"."""
    if setup.status not in CONFIRMABLE:
        raise Refusal(
            f"This SetupIntent cannot be {act} because it has a status of {setup.status}.",
            code="setup_intent_unexpected_state",
        )
