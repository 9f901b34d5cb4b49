"""The invoice as plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID

from meterline.catalog import TaxRate
from meterline.customer import Address, CustomField, Shipping
from meterline.customer.model import TaxExemption
from meterline.invoice.line import InvoiceLine, LineTax

Status = Literal["draft", "open", "paid", "uncollectible", "void"]
CollectionMethod = Literal["charge_automatically", "send_invoice"]
BillingReason = Literal[
    "automatic_pending_invoice_item_invoice",
    "manual",
    "quote_accept",
    "subscription",
    "subscription_create",
    "subscription_cycle",
    "subscription_threshold",
    "subscription_update",
    "upcoming",
]
UncollectibleReason = Literal[
    "max_payment_attempts",
    "payment_not_received",
    "subscription_canceled",
    "subscription_paused",
    "user_forgiven",
]

PREVIEW = "upcoming_in_"
"""What the id of an invoice begins with that is only a preview."""

MAX_LINES = 250
"""Stripe's bound on the lines of one invoice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BillTo:
    """The customer as the invoice shows them: kept up to date while draft, fixed at finalization."""

    name: str | None = None
    email: str | None = None
    phone: str | None = None
    address: Address | None = None
    shipping: Shipping | None = None
    tax_exempt: TaxExemption = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendering:
    """How the invoice is to be drawn."""

    amount_tax_display: str | None = None
    page_size: Literal["a4", "auto", "letter"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """Every amount of an invoice, in minor units of its currency.

    `ending_balance` is null while draft. `due` is after the credit notes that lowered it before it was paid.
    `paid_off_platform` is the part of `paid` that was received by other means and only recorded here.
    """

    subtotal: int = 0
    subtotal_excluding_tax: int = 0
    total: int = 0
    total_excluding_tax: int = 0
    due: int = 0
    paid: int = 0
    overpaid: int = 0
    paid_off_platform: int = 0
    starting_balance: int = 0
    ending_balance: int | None = None
    pre_payment_credit_notes: int = 0
    post_payment_credit_notes: int = 0
    discounts: tuple[tuple[str, int], ...] = ()
    credits: tuple[tuple[str | None, int], ...] = ()
    taxes: tuple[LineTax, ...] = ()

    @property
    def remaining(self) -> int:
        """What is still to be paid."""
        return max(self.due - self.paid, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoice:
    """What one customer is asked to pay, with all its lines.

    `customer` is the public id of `customer_id`. `auto_advance` says that it finalizes and collects by itself;
    `automatically_finalizes_at` and `next_payment_attempt` say when. `attempt_count` counts the first attempt
    and then only automatic ones. `days_until_due` fixes `due_date` at finalization where that was not given.
    `usage_counted_at` is when the usage on its lines was counted for good: wall clock, also for customers on a
    test clock. `discounts` are the ids of those on the whole invoice, in their order. `default_tax_rates` tax the lines
    that have no rates of their own.
    """

    environment: str
    customer_id: UUID
    id: str
    customer: str
    test_clock: str | None
    created: datetime
    currency: str
    status: Status
    billing_reason: BillingReason
    collection_method: CollectionMethod
    auto_advance: bool
    period_start: datetime
    period_end: datetime
    lines: tuple[InvoiceLine, ...] = ()
    discounts: tuple[str, ...] = ()
    amounts: Amounts = Amounts()
    bill_to: BillTo = BillTo()
    number: str | None = None
    subscription: str | None = None
    subscription_metadata: Mapping[str, str] = field(default_factory=dict)
    subscription_proration_date: datetime | None = None
    default_payment_method: str | None = None
    default_tax_rates: tuple[TaxRate, ...] = ()
    days_until_due: int | None = None
    due_date: datetime | None = None
    effective_at: datetime | None = None
    automatically_finalizes_at: datetime | None = None
    next_payment_attempt: datetime | None = None
    attempted: bool = False
    attempt_count: int = 0
    finalized_at: datetime | None = None
    usage_counted_at: datetime | None = None
    paid_at: datetime | None = None
    voided_at: datetime | None = None
    marked_uncollectible_at: datetime | None = None
    uncollectible_reason: UncollectibleReason | None = None
    description: str | None = None
    footer: str | None = None
    statement_descriptor: str | None = None
    custom_fields: tuple[CustomField, ...] | None = None
    rendering: Rendering | None = None
    payment_method_types: tuple[str, ...] | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def rates(self) -> dict[str, TaxRate]:
        """Every tax rate of the invoice and its lines, by id."""
        own = [rate for line in self.lines for rate in line.tax_rates or ()]
        return {rate.id: rate for rate in (*self.default_tax_rates, *own)}

    @property
    def editable(self) -> bool:
        """Lines and amounts may still change."""
        return self.status == "draft"
