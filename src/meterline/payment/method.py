"""Payment methods: a card as a processor keeps it for us, and which of several an invoice is paid with."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID

from meterline.refusal import Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What may be shown of a card. Numbers and security codes are never kept."""

    brand: str
    last4: str
    exp_month: int
    exp_year: int
    funding: Literal["credit", "debit", "prepaid", "unknown"] = "credit"
    country: str | None = "US"
    fingerprint: str | None = None
    networks: tuple[str, ...] = ()
    preferred_network: str | None = None
    cvc_check: Literal["pass", "fail", "unavailable", "unchecked"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingDetails:
    """Who holds the method."""

    name: str | None = None
    email: str | None = None
    phone: str | None = None
    tax_id: str | None = None
    address: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentMethod:
    """A card that can be charged. `customer` is null until it is attached and again once it was detached.

    `processor` names who holds the card and `reference` is their name for it. `used` says that it was attached
    before, so that a detached method is not attached again.
    """

    environment: str
    customer_id: UUID
    id: str
    customer: str | None
    created: datetime
    type: Literal["card"]
    card: Card
    processor: str
    reference: str
    billing_details: BillingDetails = BillingDetails()
    allow_redisplay: Literal["always", "limited", "unspecified"] = "unspecified"
    used: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)


def preferred(*, asked: str | None, invoice: str | None, subscription: str | None, customer: str | None) -> str | None:
    """The id of the method to collect with: what the call names, then the invoice's, the subscription's and the
    customer's own default, in that order; None where there is none."""
    return asked or invoice or subscription or customer


def require_removable(method: PaymentMethod, charged: Iterable[str | None]) -> None:
    """Refuse to let go of a method that running subscriptions are charged with; `charged` names theirs."""
    if method.id in charged:
        raise Refusal("Your subscriptions are paid with this card. Make another one the default first.")
