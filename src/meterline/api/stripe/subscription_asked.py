"""From the parameters of the subscription calls to what the use cases are asked."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from meterline.api.stripe.discount_params import asked_discounts
from meterline.api.stripe.params import merge_metadata
from meterline.api.stripe.price_amount import either, flat_model
from meterline.api.stripe.price_recurring import recurring_of
from meterline.api.stripe.subscription_params import (
    AnchorConfigParams,
    BillingModeParams,
    CancellationParams,
    InvoiceItemParams,
    InvoiceSettingsParams,
    ItemFields,
    ItemParams,
    NewItemParams,
    PauseParams,
    PaymentSettingsParams,
    PriceDataParams,
    SubscriptionCreate,
    SubscriptionTerms,
    SubscriptionUpdate,
    TrialSettingsParams,
)
from meterline.catalog import Price
from meterline.refusal import Refusal
from meterline.store.identifier import public
from meterline.subscription.ending import EndOfPeriod
from meterline.subscription.model import (
    AnchorConfig,
    BillingMode,
    Cancellation,
    InvoiceSettings,
    PauseCollection,
    PaymentSettings,
    TrialEnd,
)
from meterline.usecase import create_invoice_item
from meterline.usecase.bill_once import OneTime
from meterline.usecase.change_subscription import UNSAID, AskedChange, AskedItemChange, Unsaid
from meterline.usecase.create_subscription import FLEXIBLE, Asked, AskedItem


def creation(asked: SubscriptionCreate, *, environment: str, now: datetime) -> Asked:
    """What a create call asks for."""
    config = asked.billing_cycle_anchor_config
    return Asked(
        environment=environment,
        customer=asked.customer,
        items=[asked_item(each, f"items[{place}]", environment, now) for place, each in enumerate(asked.items)],
        currency=asked.currency,
        billing_mode=FLEXIBLE if asked.billing_mode is None else billing_mode(asked.billing_mode),
        billing_cycle_anchor=asked.billing_cycle_anchor,
        anchor_config=None if config is None else _anchor_config(config),
        backdate_start_date=asked.backdate_start_date,
        trial_end=asked.trial_end,
        trial_period_days=asked.trial_period_days,
        trial_from_plan=asked.trial_from_plan,
        trial_settings=_trial_settings(asked.trial_settings) or TrialEnd(),
        cancel_at=_end(asked),
        collection_method=asked.collection_method or "charge_automatically",
        days_until_due=asked.days_until_due,
        default_payment_method=asked.default_payment_method,
        default_tax_rates=asked.default_tax_rates,
        description=asked.description,
        metadata=merge_metadata({}, asked.metadata),
        invoice_settings=_invoice_settings(asked.invoice_settings) or InvoiceSettings(),
        payment_settings=_payment_settings(asked.payment_settings) or PaymentSettings(),
        proration_behavior=asked.proration_behavior,
        payment_behavior=asked.payment_behavior,
        off_session=asked.off_session,
        add_invoice_items=_one_time(asked.add_invoice_items),
        discounts=asked_discounts(asked.discounts),
    )


def change(asked: SubscriptionUpdate, *, environment: str, now: datetime) -> AskedChange:
    """What an update call asks for."""
    anchor = asked.billing_cycle_anchor
    said_end = asked.sent("cancel_at") or asked.cancel_at_period_end is not None
    return AskedChange(
        items=[asked_item_change(each, f"items[{place}]", environment, now) for place, each in enumerate(asked.items)],
        proration_behavior=asked.proration_behavior,
        proration_date=asked.proration_date,
        anchor_now=anchor is not None and anchor.type == "now",
        payment_behavior=asked.payment_behavior,
        off_session=asked.off_session,
        trial_end=asked.trial_end,
        trial_from_plan=asked.trial_from_plan,
        cancel_at=_end(asked) if said_end else UNSAID,
        collection_method=asked.collection_method,
        days_until_due=asked.days_until_due,
        default_payment_method=(asked.default_payment_method if asked.sent("default_payment_method") else UNSAID),
        default_tax_rates=asked.default_tax_rates if asked.sent("default_tax_rates") else UNSAID,
        description=asked.description if asked.sent("description") else UNSAID,
        metadata=asked.metadata if asked.sent("metadata") else UNSAID,
        pause_collection=_pause(asked.pause_collection) if asked.sent("pause_collection") else UNSAID,
        trial_settings=_trial_settings(asked.trial_settings),
        invoice_settings=_invoice_settings(asked.invoice_settings),
        payment_settings=_payment_settings(asked.payment_settings),
        cancellation_details=cancellation_details(asked.cancellation_details),
        add_invoice_items=_one_time(asked.add_invoice_items),
        discounts=asked_discounts(asked.discounts) if asked.sent("discounts") else None,
    )


def item_change(
    asked: ItemFields, *, id: str | None, environment: str, off_session: bool, now: datetime
) -> AskedChange:
    """What a call on one item asks of its subscription."""
    item = AskedItemChange(
        param="",
        id=id,
        price=_price(asked, "", environment, now),
        quantity=asked.quantity,
        tax_rates=asked.tax_rates if asked.sent("tax_rates") else UNSAID,
        discounts=asked_discounts(asked.discounts) if asked.sent("discounts") else None,
        metadata=asked.metadata if asked.sent("metadata") else UNSAID,
    )
    return AskedChange(
        items=[item],
        proration_behavior=asked.proration_behavior,
        proration_date=asked.proration_date,
        payment_behavior=asked.payment_behavior,
        off_session=off_session,
    )


def cancellation_details(asked: CancellationParams | None) -> Mapping[str, str | None]:
    """The details that were said."""
    if asked is None:
        return {}
    said = {"comment": asked.comment, "feedback": asked.feedback}
    return {name: value for name, value in said.items() if asked.sent(name)}


def cancellation(asked: CancellationParams | None) -> Cancellation:
    """The details of an ending."""
    return Cancellation(comment=asked.comment if asked else None, feedback=asked.feedback if asked else None)


def asked_item(asked: NewItemParams, param: str, environment: str, now: datetime) -> AskedItem:
    """An item to begin a subscription with; `param` is where it was said."""
    price = _price(asked, param, environment, now)
    if price is None:
        raise Refusal(f"Missing required param: {param}[price].", code="parameter_missing", param=f"{param}[price]")
    return AskedItem(
        param=param,
        price=price,
        quantity=asked.quantity,
        tax_rates=asked.tax_rates,
        discounts=asked_discounts(asked.discounts, at=f"{param}[discounts]"),
        metadata=merge_metadata({}, asked.metadata),
    )


def asked_item_change(asked: ItemParams, param: str, environment: str, now: datetime) -> AskedItemChange:
    """What is asked of one item of a subscription; `param` is where it was said."""
    metadata: Mapping[str, str] | Unsaid | None = asked.metadata if asked.sent("metadata") else UNSAID
    return AskedItemChange(
        param=param,
        id=asked.id,
        price=_price(asked, param, environment, now),
        quantity=asked.quantity,
        deleted=asked.deleted,
        tax_rates=asked.tax_rates if asked.sent("tax_rates") else UNSAID,
        discounts=asked_discounts(asked.discounts, at=f"{param}[discounts]") if asked.sent("discounts") else None,
        metadata=metadata,
    )


def _price(asked: NewItemParams | ItemFields, param: str, environment: str, now: datetime) -> str | Price | None:
    """The price named (`plan` is its old name), or made up in the call."""
    given = [name for name in ("price", "plan", "price_data") if getattr(asked, name) is not None]
    if len(given) > 1:
        raise Refusal(f"You may only specify one of these parameters: {', '.join(given)}.", param=param)
    if asked.price_data is None:
        return asked.price or asked.plan
    return _made_up(asked.price_data, f"{param}[price_data]" if param else "price_data", environment, now)


def _made_up(asked: PriceDataParams, at: str, environment: str, now: datetime) -> Price:
    unit = either(asked.unit_amount, asked.unit_amount_decimal, "unit_amount", param=f"{at}[unit_amount]")
    return Price(
        environment=environment,
        id=public("price"),
        product=asked.product,
        currency=asked.currency,
        model=flat_model(unit, None, at=at),
        recurring=recurring_of(asked.recurring, at=at),
        tax_behavior=asked.tax_behavior,
        inline=True,
        created=now,
    )


def _end(asked: SubscriptionTerms) -> datetime | EndOfPeriod | None:
    if asked.cancel_at is not None and asked.cancel_at_period_end:
        raise Refusal(
            "You may only specify one of these parameters: cancel_at, cancel_at_period_end.", param="cancel_at"
        )
    return "min_period_end" if asked.cancel_at_period_end else asked.cancel_at


def _one_time(asked: Sequence[InvoiceItemParams]) -> list[OneTime]:
    return [_one(each, f"add_invoice_items[{place}]") for place, each in enumerate(asked)]


def _one(asked: InvoiceItemParams, param: str) -> OneTime:
    if (asked.price is None) == (asked.price_data is None):
        raise Refusal("You must specify exactly one of these parameters: price, price_data.", param=param)
    amount = create_invoice_item.AskedAmount(
        param=param,
        price=asked.price,
        price_data=_one_time_price(asked, param),
        quantity=Decimal(1 if asked.quantity is None else asked.quantity),
    )
    item = create_invoice_item.AskedItem(
        amount=amount,
        discountable=asked.discountable,
        tax_rates=asked.tax_rates,
        discounts=asked_discounts(asked.discounts, at=f"{param}[discounts]"),
        metadata=merge_metadata({}, asked.metadata),
    )
    if asked.period is None:
        return OneTime(item=item)
    start, end = asked.period.start, asked.period.end
    for name, bound in (("start", start), ("end", end)):
        if bound.type == "timestamp" and bound.timestamp is None:
            path = f"{param}[period][{name}][timestamp]"
            raise Refusal(f"Missing required param: {path}.", code="parameter_missing", param=path)
    return OneTime(
        item=item,
        starts=start.timestamp or ("now" if start.type == "timestamp" else start.type),
        ends=end.timestamp or "min_item_period_end",
    )


def _one_time_price(asked: InvoiceItemParams, param: str) -> create_invoice_item.PriceData | None:
    data = asked.price_data
    if data is None:
        return None
    at = f"{param}[price_data]"
    unit = either(data.unit_amount, data.unit_amount_decimal, "unit_amount", param=f"{at}[unit_amount]")
    if unit is None:
        raise Refusal("Prices require an `unit_amount` or `unit_amount_decimal` parameter to be set.", param=at)
    return create_invoice_item.PriceData(
        currency=data.currency, product=data.product, unit_amount=unit, tax_behavior=data.tax_behavior
    )


def billing_mode(asked: BillingModeParams) -> BillingMode:
    """How a subscription is to be billed."""
    if asked.type == "classic":
        if asked.flexible is not None:
            raise Refusal(
                "`billing_mode[flexible]` can only be set when `billing_mode[type]=flexible`.",
                param="billing_mode[flexible]",
            )
        return BillingMode(type="classic")
    shown = asked.flexible and asked.flexible.proration_discounts
    return BillingMode(type="flexible", proration_discounts=shown or "included")


def _anchor_config(asked: AnchorConfigParams) -> AnchorConfig:
    return AnchorConfig(
        day_of_month=asked.day_of_month,
        month=asked.month,
        hour=asked.hour,
        minute=asked.minute,
        second=asked.second,
    )


def _pause(asked: PauseParams | None) -> PauseCollection | None:
    return None if asked is None else PauseCollection(behavior=asked.behavior, resumes_at=asked.resumes_at)


def _trial_settings(asked: TrialSettingsParams | None) -> TrialEnd | None:
    if asked is None:
        return None
    behavior = asked.end_behavior
    return TrialEnd(
        missing_payment_method=behavior.missing_payment_method,
        billing_cycle_anchor=behavior.billing_cycle_anchor,
    )


def _invoice_settings(asked: InvoiceSettingsParams | None) -> InvoiceSettings | None:
    if asked is None:
        return None
    fields = asked.custom_fields
    return InvoiceSettings(
        description=asked.description,
        footer=asked.footer,
        custom_fields=(fields and tuple({"name": each.name, "value": each.value} for each in fields)) or None,
    )


def _payment_settings(asked: PaymentSettingsParams | None) -> PaymentSettings | None:
    if asked is None:
        return None
    return PaymentSettings(
        payment_method_types=tuple(asked.payment_method_types) if asked.payment_method_types else None,
        save_default_payment_method=asked.save_default_payment_method or "off",
    )
