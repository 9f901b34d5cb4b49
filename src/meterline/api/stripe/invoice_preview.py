"""`/v1/invoices/create_preview`."""

import secrets
from dataclasses import replace
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field

from meterline.api.stripe.call import Call
from meterline.api.stripe.customer_params import AddressParams, ShippingParams, TaxExempt, TaxIdDatum, TaxParams
from meterline.api.stripe.discount_params import Discounts, asked_discounts
from meterline.api.stripe.invoice_body import render
from meterline.api.stripe.invoice_params import (
    Amount,
    Description,
    IssuerParams,
    ItemFields,
    OneTimePriceData,
    PeriodParams,
    PricingParams,
    Quantity,
    QuantityDecimal,
    TaxBehavior,
    UnitAmount,
    asked_item,
)
from meterline.api.stripe.json import Json
from meterline.api.stripe.neutral import AutomaticTaxParams, NoAccount, Off
from meterline.api.stripe.params import (
    Bool,
    Currency,
    Hash,
    Instant,
    List,
    Metadata,
    Params,
    Text,
    Unset,
    merge_metadata,
)
from meterline.api.stripe.route import Routes
from meterline.api.stripe.subscription_asked import asked_item as subscription_item
from meterline.api.stripe.subscription_asked import asked_item_change, billing_mode
from meterline.api.stripe.subscription_params import (
    BillingModeParams,
    CancelAt,
    ItemParams,
    NewItemParams,
    ProrationBehavior,
    TrialEndParam,
)
from meterline.api.stripe.version import accepted_before
from meterline.customer import Customer, prefix_from
from meterline.refusal import Refusal
from meterline.store.identifier import public, uuid7
from meterline.subscription.model import BillingMode
from meterline.usecase.change_subscription import UNSAID, AskedChange
from meterline.usecase.create_subscription import FLEXIBLE, Asked
from meterline.usecase.preview_invoice import AskedPreview, AskedPreviewItem, preview_invoice

routes = Routes("invoices")


class CustomerDetailsParams(Hash):
    address: Unset[AddressParams] = None
    shipping: Unset[ShippingParams] = None
    tax: TaxParams | None = None
    tax_exempt: Unset[TaxExempt] = None
    tax_ids: List[TaxIdDatum] = []


class PreviewItem(Hash):
    amount: Amount | None = None
    currency: Currency | None = None
    description: Unset[Description] = None
    discountable: Bool | None = None
    discounts: Discounts = []
    invoiceitem: Text | None = None
    metadata: Metadata = {}
    period: PeriodParams | None = None
    price: Text | None = None
    price_data: OneTimePriceData | None = None
    quantity: Quantity | None = None
    quantity_decimal: QuantityDecimal | None = None
    tax_behavior: TaxBehavior | None = None
    tax_code: Off = None
    tax_rates: List[Text] | None = None
    unit_amount: Amount | None = None
    unit_amount_decimal: UnitAmount | None = None


class AnchorParams(Hash):
    timestamp: Instant | None = None
    type: Literal["now", "timestamp", "unchanged"]


class SubscriptionDetails(Hash):
    billing_cycle_anchor: AnchorParams | None = None
    billing_mode: BillingModeParams | None = None
    billing_schedules: Off = None
    cancel_at: CancelAt = None
    cancel_at_period_end: Bool | None = None
    cancel_now: Bool = False
    default_tax_rates: List[Text] = []
    items: Annotated[List[ItemParams], Field(max_length=20)] = []
    metadata: Metadata = {}
    pause: Off = None
    proration_behavior: ProrationBehavior = "create_prorations"
    proration_date: Instant | None = None
    resume_at: Off = None
    start_date: Instant | None = None
    trial_end: TrialEndParam | None = None


class CreatePreview(Params):
    automatic_tax: AutomaticTaxParams | None = None
    currency: Currency | None = None
    customer: Text | None = None
    customer_account: NoAccount = None
    customer_details: CustomerDetailsParams | None = None
    discounts: Discounts = []
    invoice_items: Annotated[List[PreviewItem], Field(max_length=250)] = []
    issuer: IssuerParams | None = None
    on_behalf_of: NoAccount = None
    preview_mode: Literal["next", "recurring"] = "next"
    schedule: Off = None
    schedule_details: Off = None
    subscription: Text | None = None
    subscription_details: SubscriptionDetails | None = None


@accepted_before("2025-09-30", CreatePreview)
def previewed_classic_unless_said(raw: dict[str, Any]) -> None:
    """The subscription that a preview would begin is meant as one that a call would create."""
    details = raw.get("subscription_details")
    if isinstance(details, dict) and details.get("items") and "subscription" not in raw:
        details.setdefault("billing_mode", {"type": "classic"})


@accepted_before("2026-09-30", CreatePreview)
def previewed_anchor_as_word(raw: dict[str, Any]) -> None:
    """Before endive the anchor of a previewed change was a word or an instant."""
    details = raw.get("subscription_details")
    said = details.get("billing_cycle_anchor") if isinstance(details, dict) else None
    if isinstance(details, dict) and isinstance(said, str):
        moved = {"type": said} if said in ("now", "unchanged") else {"type": "timestamp", "timestamp": said}
        details["billing_cycle_anchor"] = moved


@routes.post("/v1/invoices/create_preview", CreatePreview)
async def create_preview(call: Call[CreatePreview]) -> Json:
    """Show the invoice that would be made, without making it."""
    asked = call.params
    if asked.customer is None and asked.subscription is None and asked.customer_details is None:
        raise Refusal(
            "You must specify one of `customer`, `customer_details` or `subscription`.",
            code="parameter_missing",
            param="customer",
        )
    details = asked.subscription_details
    begins = details is not None and asked.subscription is None and bool(details.items)
    preview = await preview_invoice(
        call.tx,
        AskedPreview(
            environment=call.environment,
            customer=asked.customer,
            stranger=_stranger(call) if asked.customer is None and asked.subscription is None else None,
            seen_as=_seen_as(asked.customer_details or CustomerDetailsParams()),
            subscription=asked.subscription,
            change=None if details is None or begins else _change(details, call),
            begin=_begin(details, call) if details is not None and begins else None,
            cancel_now=details is not None and details.cancel_now,
            currency=asked.currency,
            discounts=asked_discounts(asked.discounts) if asked.sent("discounts") else None,
            items=[_item(each, f"invoice_items[{place}]") for place, each in enumerate(asked.invoice_items)],
            mode=asked.preview_mode,
        ),
        now=call.now,
    )
    return render(preview)


def _stranger(call: Call[CreatePreview]) -> Customer:
    """A customer that only the preview has, before anything is said of them."""
    return Customer(
        environment=call.environment,
        customer_id=uuid7(),
        id=public("cus"),
        created=call.now,
        invoice_prefix=prefix_from(secrets.randbits(64)),
    )


def _seen_as(said: CustomerDetailsParams) -> dict[str, object]:
    """What the preview supposes of the customer."""
    supposed: dict[str, object] = {}
    if said.sent("address"):
        supposed["address"] = None if said.address is None else said.address.address()
    if said.sent("shipping"):
        supposed["shipping"] = None if said.shipping is None else said.shipping.shipping()
    if said.sent("tax_exempt"):
        supposed["tax_exempt"] = said.tax_exempt or "none"
    return supposed


def _change(details: SubscriptionDetails, call: Call[CreatePreview]) -> AskedChange:
    """What the preview supposes to be changed."""
    anchor = details.billing_cycle_anchor
    if anchor is not None and anchor.type == "timestamp":
        raise Refusal(
            "An existing subscription's anchor can only be previewed as `now` or `unchanged`.",
            param="subscription_details[billing_cycle_anchor][type]",
        )
    said_end = details.sent("cancel_at") or details.cancel_at_period_end is not None
    at_end = "min_period_end" if details.cancel_at_period_end else details.cancel_at
    return AskedChange(
        items=[
            asked_item_change(each, f"subscription_details[items][{place}]", call.environment, call.now)
            for place, each in enumerate(details.items)
        ],
        proration_behavior=details.proration_behavior,
        proration_date=details.proration_date,
        anchor_now=anchor is not None and anchor.type == "now",
        trial_end=details.trial_end,
        cancel_at=at_end if said_end else UNSAID,
        default_tax_rates=details.default_tax_rates if details.sent("default_tax_rates") else UNSAID,
    )


def _begin(details: SubscriptionDetails, call: Call[CreatePreview]) -> Asked:
    """The subscription that the preview supposes to be created."""
    anchor = details.billing_cycle_anchor
    mode: BillingMode = FLEXIBLE if details.billing_mode is None else billing_mode(details.billing_mode)
    return Asked(
        environment=call.environment,
        customer="",
        items=[
            subscription_item(_new(each), f"subscription_details[items][{place}]", call.environment, call.now)
            for place, each in enumerate(details.items)
            if not each.deleted
        ],
        currency=call.params.currency,
        billing_mode=mode,
        billing_cycle_anchor=None if anchor is None else anchor.timestamp,
        backdate_start_date=details.start_date,
        trial_end=details.trial_end,
        cancel_at="min_period_end" if details.cancel_at_period_end else details.cancel_at,
        metadata=merge_metadata({}, details.metadata),
        default_tax_rates=details.default_tax_rates,
        proration_behavior=details.proration_behavior,
    )


def _new(item: ItemParams) -> NewItemParams:
    if item.id is not None:
        raise Refusal(f"Invalid subscription_item id: {item.id}")
    return item


def _item(said: PreviewItem, at: str) -> AskedPreviewItem:
    unit = said.unit_amount_decimal if said.unit_amount is None else Decimal(said.unit_amount)
    fields = ItemFields.model_construct(
        amount=said.amount,
        description=said.description,
        discountable=said.discountable,
        period=said.period,
        price_data=said.price_data,
        pricing=None if said.price is None else PricingParams(price=said.price),
        quantity=said.quantity,
        quantity_decimal=said.quantity_decimal,
        tax_behavior=said.tax_behavior,
        tax_rates=said.tax_rates,
    )
    asked = asked_item(fields, merge_metadata({}, said.metadata), at=at, currency=said.currency, unit=unit)
    if said.sent("discounts"):
        asked = replace(asked, discounts=asked_discounts(said.discounts, at=f"{at}[discounts]"))
    return AskedPreviewItem(asked=asked, id=said.invoiceitem, described=said.sent("description"))
