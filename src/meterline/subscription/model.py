"""The subscription as plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID

from meterline.catalog import TaxRate
from meterline.period import Period

Status = Literal["incomplete", "incomplete_expired", "trialing", "active", "past_due", "unpaid", "paused", "canceled"]
CollectionMethod = Literal["charge_automatically", "send_invoice"]
Mode = Literal["flexible", "classic"]
ProrationBehavior = Literal["create_prorations", "always_invoice", "none"]
MissingPaymentMethod = Literal["create_invoice", "cancel", "pause"]

ENDED: frozenset[Status] = frozenset({"canceled", "incomplete_expired"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Billed:
    """The last debit made for a licensed item: what a flexible credit gives back a share of.

    `period` is the span that the debit covered; `price` is the price id it was made at.
    """

    price: str
    quantity: int
    period: Period


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionItem:
    """One price of a subscription.

    `quantity` is null for a metered price. `usage_from` is the start of the usage not billed yet (metered
    only). `billed` is null until a licensed item was debited. `billed_until` is the end of what was debited.
    `discounts` are the ids of the item's own, in their order. `tax_rates`, where there are any, take the place of the
    subscription's.
    """

    id: str
    sequence: UUID
    price: str
    quantity: int | None
    created: datetime
    period_start: datetime
    period_end: datetime
    usage_from: datetime | None = None
    billed: Billed | None = None
    billed_until: datetime | None = None
    discounts: tuple[str, ...] = ()
    tax_rates: tuple[TaxRate, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def period(self) -> Period:
        """The current period."""
        return Period(start=self.period_start, end=self.period_end)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorConfig:
    """The calendar day and time that the anchor was asked to fall on, UTC."""

    day_of_month: int
    month: int | None = None
    hour: int | None = None
    minute: int | None = None
    second: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingMode:
    """How prorations and metered changes are billed, and since when."""

    type: Mode
    proration_discounts: Literal["included", "itemized"] | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancellation:
    """Why a subscription ended or will end."""

    comment: str | None = None
    feedback: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseCollection:
    """Invoices are still made, but not collected, until `resumes_at` (null: until told)."""

    behavior: Literal["keep_as_draft", "mark_uncollectible", "void"]
    resumes_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialEnd:
    """What happens when a trial ends."""

    missing_payment_method: MissingPaymentMethod = "create_invoice"
    billing_cycle_anchor: Literal["now", "unchanged"] = "now"


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceSettings:
    """What invoices of this subscription carry besides their lines."""

    description: str | None = None
    footer: str | None = None
    custom_fields: tuple[Mapping[str, str], ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentSettings:
    """How invoices of this subscription are to be paid."""

    payment_method_types: tuple[str, ...] | None = None
    save_default_payment_method: Literal["off", "on_subscription"] = "off"


@dataclass(frozen=True, slots=True, kw_only=True)
class Paused:
    """Since when and why the subscription is `paused`."""

    transitioned_at: datetime
    type: Literal["trial_end_without_payment_method", "pause_requested"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """What one customer bought: items that share an anchor, a currency and a way of paying.

    `customer` is the public id of `customer_id`. `anchor` is the instant that every period is computed from.
    `start_date` may lie before `created` (backdating). `cancel_prorates` says that the unused rest of the
    period is credited when `cancel_at` comes. `latest_invoice` is an invoice id, `discounts` those of discounts, in
    their order.
    """

    environment: str
    customer_id: UUID
    id: str
    sequence: UUID
    customer: str
    test_clock: str | None
    created: datetime
    start_date: datetime
    status: Status
    currency: str
    anchor: datetime
    items: tuple[SubscriptionItem, ...]
    billing_mode: BillingMode
    anchor_config: AnchorConfig | None = None
    collection_method: CollectionMethod = "charge_automatically"
    days_until_due: int | None = None
    default_payment_method: str | None = None
    default_tax_rates: tuple[TaxRate, ...] = ()
    description: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    trial_start: datetime | None = None
    trial_end: datetime | None = None
    trial_settings: TrialEnd = TrialEnd()
    cancel_at: datetime | None = None
    cancel_at_period_end: bool = False
    cancel_prorates: bool = False
    canceled_at: datetime | None = None
    ended_at: datetime | None = None
    cancellation: Cancellation = Cancellation()
    pause_collection: PauseCollection | None = None
    paused: Paused | None = None
    invoice_settings: InvoiceSettings = InvoiceSettings()
    payment_settings: PaymentSettings = PaymentSettings()
    discounts: tuple[str, ...] = ()
    latest_invoice: str | None = None

    @property
    def ended(self) -> bool:
        """Nothing will be billed for it any more."""
        return self.status in ENDED

    @property
    def next_boundary(self) -> datetime:
        """The earliest end of an item's current period: when the next cycle invoice is due."""
        return min(item.period_end for item in self.items)

    def item(self, id: str) -> SubscriptionItem | None:
        """The item of that id, if it is one of this subscription's."""
        return next((item for item in self.items if item.id == id), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionNotice:
    """What is told of a subscription: itself and its items' prices as they were, as plain data by id."""

    subscription: Subscription
    prices: Mapping[str, Mapping[str, object]]

    @property
    def id(self) -> str:
        """The subscription's id."""
        return self.subscription.id
