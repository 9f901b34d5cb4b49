"""A hosted checkout: what a customer is shown, what they pay or agree to, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from meterline.refusal import Refusal

CheckoutMode = Literal["payment", "setup", "subscription"]
CheckoutStatus = Literal["open", "complete", "expired"]
PaymentState = Literal["paid", "unpaid", "no_payment_required"]

LIFETIME = timedelta(hours=24)
SHORTEST = timedelta(minutes=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckoutLine:
    """One thing sold. `quantity` is null for usage; `amount` (minor units) is what it costs today."""

    id: str
    price: str
    product: str
    description: str
    quantity: int | None
    amount: int
    recurring: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """A checkout session (`cs_…`). Without a `customer` it has books of its own until it makes one.

    `amount` is what is paid today, in minor units. `payment`, `setup`, `subscription` and `invoice` name what the
    session made.
    """

    environment: str
    customer_id: UUID
    id: str
    customer: str | None
    mode: CheckoutMode
    status: CheckoutStatus
    payment_status: PaymentState
    created: datetime
    expires_at: datetime
    currency: str | None = None
    amount: int = 0
    lines: tuple[CheckoutLine, ...] = ()
    success_url: str | None = None
    cancel_url: str | None = None
    client_reference_id: str | None = None
    email: str | None = None
    make_customer: bool = False
    trial_days: int | None = None
    description: str | None = None
    setup_future_usage: Literal["off_session", "on_session"] | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    result_metadata: Mapping[str, str] = field(default_factory=dict)
    payment: str | None = None
    setup: str | None = None
    subscription: str | None = None
    invoice: str | None = None
    payer_name: str | None = None
    payer_email: str | None = None


def require_open(session: Checkout, *, now: datetime, act: str) -> None:
    """Refuses what can be done with an open session only."""
    if session.status != "open" or session.expires_at <= now:
        state = "complete" if session.status == "complete" else "expired"
        raise Refusal(f'Only Checkout Sessions with a status in ["open"] can be {act}. This one is {state}.')


def completed(session: Checkout) -> Checkout:
    """The session once the customer has done their part and the money, if any, was taken."""
    state: PaymentState = "paid" if session.amount > 0 else "no_payment_required"
    return replace(session, status="complete", payment_status=state)
