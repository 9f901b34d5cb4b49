"""What the subscription calls accept.

Parameters of features that are not offered are accepted in their neutral form (empty, off) and refused
otherwise, as Stripe refuses what an account has not got; nothing is ignored.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from meterline.api.stripe.discount_params import Discounts
from meterline.api.stripe.neutral import (
    AutomaticTaxParams,
    NoAccount,
    NoSource,
    NoTaxId,
    Off,
)
from meterline.api.stripe.params import (
    Bool,
    Currency,
    Hash,
    Instant,
    InstantFilter,
    Int,
    List,
    ListParams,
    Metadata,
    Natural,
    Params,
    Text,
    Unset,
)
from meterline.api.stripe.price_amount import Amount, AmountDecimal, TaxBehavior
from meterline.api.stripe.price_recurring import RecurringParams

Quantity = Annotated[Natural, Field(le=999_999_999_999)]
"""Units of a licensed price."""
ProrationBehavior = Literal["create_prorations", "always_invoice", "none"]
PaymentBehavior = Literal["allow_incomplete", "default_incomplete", "error_if_incomplete", "pending_if_incomplete"]
CollectionMethod = Literal["charge_automatically", "send_invoice"]
Days = Annotated[Natural, Field(le=3650)]


def _now_or_instant(value: Any) -> Any:
    return value if value == "now" else _as_instant(value)


def _end_or_instant(value: Any) -> Any:
    words = ("", "min_period_end", "max_period_end")
    if value == "max_billed_until":
        return "max_period_end"
    return (value or None) if value in words else _as_instant(value)


def _as_instant(value: Any) -> Any:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str | int) or isinstance(value, bool) or not str(value).isdigit():
        raise PydanticCustomError("timestamp", "Invalid timestamp: {value}", {"value": str(value)[:100]})
    return value


TrialEndParam = Annotated[Literal["now"] | Instant, BeforeValidator(_now_or_instant)]
"""Unix seconds, or `now`."""
CancelAt = Annotated[Literal["min_period_end", "max_period_end"] | Instant | None, BeforeValidator(_end_or_instant)]
"""Unix seconds, or the earliest or latest end of the items' periods; empty calls it off."""


class PriceDataParams(Hash):
    currency: Currency
    product: Text
    recurring: RecurringParams
    tax_behavior: TaxBehavior = "unspecified"
    unit_amount: Amount | None = None
    unit_amount_decimal: AmountDecimal | None = None


class NewItemParams(Hash):
    """An item to create."""

    billing_thresholds: Off = None
    current_trial: Off = None
    discounts: Discounts = []
    metadata: Metadata = {}
    plan: Text | None = None
    price: Text | None = None
    price_data: PriceDataParams | None = None
    quantity: Quantity | None = None
    tax_rates: List[Text] = []


class ItemParams(NewItemParams):
    """An item to change (`id`), or to add."""

    clear_usage: Bool = False
    deleted: Bool = False
    id: Text | None = None


class PeriodStartParams(Hash):
    timestamp: Instant | None = None
    type: Literal["max_item_period_start", "now", "timestamp"]


class PeriodEndParams(Hash):
    timestamp: Instant | None = None
    type: Literal["min_item_period_end", "timestamp"]


class PeriodParams(Hash):
    end: PeriodEndParams
    start: PeriodStartParams


class OneTimePriceData(Hash):
    currency: Currency
    product: Text
    tax_behavior: TaxBehavior = "unspecified"
    unit_amount: Amount | None = None
    unit_amount_decimal: AmountDecimal | None = None


class InvoiceItemParams(Hash):
    """Something billed once, along with the subscription."""

    discountable: Bool | None = None
    discounts: Discounts = []
    metadata: Metadata = {}
    period: PeriodParams | None = None
    price: Text | None = None
    price_data: OneTimePriceData | None = None
    quantity: Quantity | None = None
    tax_rates: List[Text] = []


class AnchorConfigParams(Hash):
    day_of_month: Annotated[Int, Field(ge=1, le=31)]
    hour: Annotated[Int, Field(ge=0, le=23)] | None = None
    minute: Annotated[Int, Field(ge=0, le=59)] | None = None
    month: Annotated[Int, Field(ge=1, le=12)] | None = None
    second: Annotated[Int, Field(ge=0, le=59)] | None = None


class AnchorParams(Hash):
    type: Literal["now", "unchanged"]


class FlexibleParams(Hash):
    proration_discounts: Literal["included", "itemized"] | None = None


class BillingModeParams(Hash):
    flexible: FlexibleParams | None = None
    type: Literal["classic", "flexible"]


class CancellationParams(Hash):
    comment: Unset[Text] = None
    feedback: Unset[
        Literal[
            "customer_service",
            "low_quality",
            "missing_features",
            "other",
            "switched_service",
            "too_complex",
            "too_expensive",
            "unused",
        ]
    ] = None
    feedback_option: Off = None


class CustomFieldParams(Hash):
    name: Annotated[Text, Field(max_length=40)]
    value: Annotated[Text, Field(max_length=140)]


class IssuerParams(Hash):
    account: NoAccount = None
    type: Literal["account", "self"]


class InvoiceSettingsParams(Hash):
    account_tax_ids: NoTaxId = None
    custom_fields: Annotated[List[CustomFieldParams], Field(max_length=4)] | None = None
    description: Unset[Text] = None
    footer: Unset[Text] = None
    issuer: IssuerParams | None = None


class PauseParams(Hash):
    behavior: Literal["keep_as_draft", "mark_uncollectible", "void"]
    resumes_at: Instant | None = None


class PaymentSettingsParams(Hash):
    payment_method_options: Off = None
    payment_method_types: List[Literal["card"]] | None = None
    save_default_payment_method: Literal["off", "on_subscription"] | None = None


class TrialEndBehaviorParams(Hash):
    billing_cycle_anchor: Literal["now", "unchanged"] = "now"
    missing_payment_method: Literal["cancel", "create_invoice", "pause"] = "create_invoice"


class TrialSettingsParams(Hash):
    end_behavior: TrialEndBehaviorParams


class SubscriptionTerms(Params):
    """What both creating and changing accept."""

    add_invoice_items: Annotated[List[InvoiceItemParams], Field(max_length=20)] = []
    application_fee_percent: Off = None
    automatic_tax: AutomaticTaxParams | None = None
    billing_schedules: Off = None
    billing_thresholds: Off = None
    cancel_at: CancelAt = None
    cancel_at_period_end: Bool | None = None
    collection_method: CollectionMethod | None = None
    days_until_due: Days | None = None
    default_payment_method: Unset[Text] = None
    default_source: NoSource = None
    default_tax_rates: List[Text] = []
    description: Unset[Annotated[Text, Field(max_length=500)]] = None
    discounts: Discounts = []
    invoice_settings: InvoiceSettingsParams | None = None
    metadata: Metadata = {}
    off_session: Bool = False
    on_behalf_of: NoAccount = None
    payment_behavior: PaymentBehavior = "allow_incomplete"
    payment_settings: PaymentSettingsParams | None = None
    pending_invoice_item_interval: Off = None
    proration_behavior: ProrationBehavior = "create_prorations"
    transfer_data: Off = None
    trial_end: TrialEndParam | None = None
    trial_from_plan: Bool = False
    trial_settings: TrialSettingsParams | None = None


class SubscriptionCreate(SubscriptionTerms):
    customer: Text
    items: List[NewItemParams]
    backdate_start_date: Instant | None = None
    billing_cycle_anchor: Instant | None = None
    billing_cycle_anchor_config: AnchorConfigParams | None = None
    billing_mode: BillingModeParams | None = None
    currency: Currency | None = None
    customer_account: NoAccount = None
    trial_period_days: Natural | None = None


class SubscriptionUpdate(SubscriptionTerms):
    items: List[ItemParams] = []
    billing_cycle_anchor: AnchorParams | None = None
    cancellation_details: CancellationParams | None = None
    pause_collection: Unset[PauseParams] = None
    proration_date: Instant | None = None


class SubscriptionCancel(Params):
    cancellation_details: CancellationParams | None = None
    invoice_now: Bool = False
    prorate: Bool = False


class SubscriptionResume(Params):
    billing_cycle_anchor: AnchorParams | None = None
    payment_behavior: Literal["resume_on_payment_attempt", "resume_on_payment_success"] | None = None
    proration_behavior: ProrationBehavior = "create_prorations"
    proration_date: Off = None


class MigratedMode(Hash):
    flexible: FlexibleParams | None = None
    type: Literal["flexible"]


class SubscriptionMigrate(Params):
    billing_mode: MigratedMode


class TaxFilter(Hash):
    enabled: Bool


Status = Literal[
    "active",
    "past_due",
    "unpaid",
    "canceled",
    "incomplete",
    "incomplete_expired",
    "trialing",
    "paused",
    "all",
    "ended",
]


class SubscriptionList(ListParams):
    automatic_tax: TaxFilter | None = None
    collection_method: CollectionMethod | None = None
    created: InstantFilter | None = None
    current_period_end: InstantFilter | None = None
    current_period_start: InstantFilter | None = None
    customer: Text | None = None
    customer_account: NoAccount = None
    plan: Text | None = None
    price: Text | None = None
    status: Status | None = None
    test_clock: Text | None = None


class ProrationParams(Params):
    """How a change of one item is billed."""

    payment_behavior: PaymentBehavior = "allow_incomplete"
    proration_behavior: ProrationBehavior = "create_prorations"
    proration_date: Instant | None = None


class ItemFields(ProrationParams):
    """What an item has."""

    billing_thresholds: Off = None
    current_trial: Off = None
    discounts: Discounts = []
    metadata: Metadata = {}
    plan: Text | None = None
    price: Text | None = None
    price_data: PriceDataParams | None = None
    quantity: Quantity | None = None
    tax_rates: List[Text] = []


class ItemCreate(ItemFields):
    subscription: Text


class ItemUpdate(ItemFields):
    off_session: Bool = False


class ItemDelete(ProrationParams):
    clear_usage: Bool = False


class ItemList(ListParams):
    subscription: Text
