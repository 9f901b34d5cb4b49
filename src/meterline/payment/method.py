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


def checked(method: PaymentMethod) -> dict[str, str | None]:
    """What a bank said of the details that it was given with a charge: null of what it was not given.

    A processor elsewhere does not tell us; the built-in one finds whatever it is given right.
    """
    address, found = method.billing_details.address, "pass" if method.processor == "test" else "unchecked"
    known = method.card.cvc_check if method.processor != "test" else "pass"
    return {
        "address_line1_check": found if address.get("line1") else None,
        "address_postal_code_check": found if address.get("postal_code") else None,
        "cvc_check": known,
    }


def preferred(*, asked: str | None, invoice: str | None, subscription: str | None, customer: str | None) -> str | None:
    """The id of the method to collect with: what the call names, then the invoice's, the subscription's and the
    customer's own default, in that order; None where there is none."""
    return asked or invoice or subscription or customer


def require_removable(method: PaymentMethod, charged: Iterable[str | None]) -> None:
    """Refuse to let go of a method that running subscriptions are charged with; `charged` names theirs."""
    if method.id in charged:
        raise Refusal("Your subscriptions are paid with this card. Make another one the default first.")
