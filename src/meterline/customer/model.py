"""A customer as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID

from meterline.discount import Discount

TaxExemption = Literal["none", "exempt", "reverse"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A postal address; `country` is an ISO 3166 two-letter code where the caller keeps to that."""

    city: str | None = None
    country: str | None = None
    line1: str | None = None
    line2: str | None = None
    postal_code: str | None = None
    state: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipping:
    """Where goods go, and to whom."""

    address: Address
    name: str
    phone: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomField:
    """A line of the customer's own on every invoice: a purchase order, a cost centre."""

    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceRendering:
    """How invoices look by default."""

    amount_tax_display: Literal["exclude_tax", "include_inclusive_tax"] | None = None
    template: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceSettings:
    """What invoices of this customer begin with. `default_payment_method` is the id of an attached method."""

    custom_fields: tuple[CustomField, ...] | None = None
    default_payment_method: str | None = None
    footer: str | None = None
    rendering_options: InvoiceRendering | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """Who pays. README.md says what each amount and instant means.

    `timezone` is an IANA name: the zone in which calendar periods of this customer begin. `delinquent` says that
    the newest invoice is past its payment. `extra` holds what is only echoed to API clients.
    """

    environment: str
    customer_id: UUID
    id: str
    created: datetime
    invoice_prefix: str
    next_invoice_sequence: int = 1
    name: str | None = None
    email: str | None = None
    phone: str | None = None
    description: str | None = None
    address: Address | None = None
    shipping: Shipping | None = None
    currency: str | None = None
    balance: int = 0
    discount: Discount | None = None
    delinquent: bool = False
    tax_exempt: TaxExemption = "none"
    timezone: str = "UTC"
    invoice_settings: InvoiceSettings = InvoiceSettings()
    preferred_locales: tuple[str, ...] = ()
    test_clock: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, object] = field(default_factory=dict)
    deleted: bool = False
