"""Create a subscription: agree on its terms, begin its periods, bill and collect what is due at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.catalog import Price, TaxRate
from meterline.catalog.tax_rate import check_behavior
from meterline.customer import Customer
from meterline.refusal import Missing, Refusal
from meterline.store import customer as customers
from meterline.store import payment_method
from meterline.store import subscription as store
from meterline.store.identifier import public, uuid7
from meterline.subscription import terms
from meterline.subscription.billable import Billable
from meterline.subscription.clock import SUBSCRIPTIONS_PER_CUSTOMER
from meterline.subscription.ending import EndOfPeriod, plan_end
from meterline.subscription.item import check_price, check_together, settle_quantity
from meterline.subscription.model import (
    AnchorConfig,
    BillingMode,
    CollectionMethod,
    InvoiceSettings,
    PaymentSettings,
    ProrationBehavior,
    Subscription,
    SubscriptionItem,
    TrialEnd,
)
from meterline.subscription.opening import open_subscription
from meterline.usecase.bill_once import OneTime, bill_once
from meterline.usecase.bill_subscription import PaymentBehavior, bill_at_once
from meterline.usecase.discount_subscription import with_asked_discounts
from meterline.usecase.find_prices import find_asked_prices
from meterline.usecase.find_tax_rates import find_tax_rates
from meterline.usecase.moment import moment
from meterline.usecase.record_subscription import record_new
from meterline.usecase.redeem_coupon import AskedDiscount

MAX_SUBSCRIPTIONS = 500
FLEXIBLE = BillingMode(type="flexible", proration_discounts="included")


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedItem:
    """An item as the caller asks for it; `param` is where (`items[0]`). A price is named, or made up in the call."""

    param: str
    price: str | Price
    quantity: int | None = None
    tax_rates: Sequence[str] = ()
    discounts: Sequence[AskedDiscount] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A subscription as the caller asks for it. Null is "not said". Instants are UTC.

    `agreed_rates` are tax rates that were agreed on before, and may be inactive by now.
    """

    environment: str
    customer: str
    items: Sequence[AskedItem]
    currency: str | None = None
    billing_mode: BillingMode = FLEXIBLE
    billing_cycle_anchor: datetime | None = None
    anchor_config: AnchorConfig | None = None
    backdate_start_date: datetime | None = None
    trial_end: datetime | Literal["now"] | None = None
    trial_period_days: int | None = None
    trial_from_plan: bool = False
    trial_settings: TrialEnd = field(default_factory=TrialEnd)
    cancel_at: datetime | EndOfPeriod | None = None
    collection_method: CollectionMethod = "charge_automatically"
    days_until_due: int | None = None
    default_payment_method: str | None = None
    default_tax_rates: Sequence[str] = ()
    agreed_rates: Sequence[TaxRate] = ()
    description: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    invoice_settings: InvoiceSettings = field(default_factory=InvoiceSettings)
    payment_settings: PaymentSettings = field(default_factory=PaymentSettings)
    proration_behavior: ProrationBehavior = "create_prorations"
    payment_behavior: PaymentBehavior = "allow_incomplete"
    off_session: bool = False
    add_invoice_items: Sequence[OneTime] = ()
    discounts: Sequence[AskedDiscount] = ()


async def create_subscription(tx: AsyncConnection, asked: Asked, *, now: datetime) -> Subscription:
    """The new subscription. `now` is the wall clock; a customer on a test clock has another now.

    Raises Missing (customer, price, payment method), Refusal for terms that cannot be agreed on, and Declined
    under `error_if_incomplete`; then nothing was written.
    """
    planned = await plan_subscription(tx, asked, now=now)
    opened = planned.subscription
    await record_new(tx, opened, now=planned.at)
    await bill_once(tx, opened, asked.add_invoice_items, now=planned.at)
    return await bill_at_once(
        tx,
        opened,
        planned.billables,
        reason="subscription_create",
        payment_behavior=asked.payment_behavior,
        off_session=asked.off_session,
        now=planned.at,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """A subscription as it would begin `at` an instant of its customer's time, and what it bills then."""

    subscription: Subscription
    billables: Sequence[Billable]
    at: datetime


async def plan_subscription(tx: AsyncConnection, asked: Asked, *, now: datetime) -> Opening:
    """The subscription as it would begin, with its customer locked; nothing of it is recorded.

    Previews and creations both come from here. `now` is the wall clock. Raises as `create_subscription`.
    """
    _check_payment_behavior(asked)
    terms.check_collection(asked.collection_method, asked.days_until_due)
    customer = await customers.get(tx, asked.environment, asked.customer, subject=True, lock=True)
    now = await moment(tx, environment=asked.environment, test_clock=customer.test_clock, now=now)
    await _check_room(tx, customer)
    wanted = {item.param: item.price for item in asked.items}
    prices = await find_asked_prices(tx, environment=asked.environment, asked=wanted, now=now)
    currency = _settle_currency(asked, customer, list(prices.values()))
    await require_own_method(tx, customer, asked.default_payment_method, param="default_payment_method")
    sold = {price.id: price.in_currency(currency) for price in prices.values()}
    draft = await _taxed(tx, _draft(asked, customer, prices, currency=currency, now=now), asked, sold)
    draft = await with_asked_discounts(
        tx,
        draft,
        sold,
        customer=customer,
        discounts=asked.discounts,
        items=[item.discounts for item in asked.items],
        now=now,
    )
    opened, billables = open_subscription(draft, sold, proration_behavior=asked.proration_behavior, now=now)
    if asked.cancel_at is not None:
        prorates = asked.proration_behavior != "none"
        opened = plan_end(opened, at=asked.cancel_at, prorates=prorates, now=now)
    return Opening(subscription=opened, billables=billables, at=now)


async def _taxed(tx: AsyncConnection, draft: Subscription, asked: Asked, sold: Mapping[str, Price]) -> Subscription:
    """The draft with the tax rates that are asked for. Raises Missing, or Refusal for rates that it cannot have."""

    async def found(ids: Sequence[str], param: str) -> tuple[TaxRate, ...]:
        return await find_tax_rates(tx, asked.environment, ids, already=asked.agreed_rates, param=param)

    default = await found(asked.default_tax_rates, "default_tax_rates")
    items = [
        replace(item, tax_rates=await found(each.tax_rates, f"{each.param}[tax_rates]"))
        for item, each in zip(draft.items, asked.items, strict=True)
    ]
    for item, each in zip(items, asked.items, strict=True):
        param = f"{each.param}[tax_rates]" if item.tax_rates else "default_tax_rates"
        check_behavior(sold[item.price].tax_behavior, item.tax_rates or default, param=param)
    return replace(draft, items=tuple(items), default_tax_rates=default)


def _check_payment_behavior(asked: Asked) -> None:
    if asked.payment_behavior == "pending_if_incomplete":
        raise Refusal(
            "Setting `payment_behavior` to `pending_if_incomplete` has no effect when creating a subscription.",
            param="payment_behavior",
        )


async def _check_room(tx: AsyncConnection, customer: Customer) -> None:
    living = len(await store.of_customer(tx, customer_id=customer.customer_id))
    if customer.test_clock is not None and living >= SUBSCRIPTIONS_PER_CUSTOMER:
        raise Refusal(
            f"A customer on a test clock can have at most {SUBSCRIPTIONS_PER_CUSTOMER} subscriptions.",
            param="customer",
        )
    if living >= MAX_SUBSCRIPTIONS:
        raise Refusal(
            f"Customer {customer.id} already has the maximum {MAX_SUBSCRIPTIONS} current subscriptions.",
            code="customer_max_subscriptions",
            param="customer",
        )


def _settle_currency(asked: Asked, customer: Customer, prices: Sequence[Price]) -> str:
    """The one currency of the subscription: the customer's once they were billed, else the first price's."""
    wanted = asked.currency or (prices[0].currency if prices else None)
    if customer.currency is not None and wanted is not None and wanted != customer.currency:
        if asked.currency is not None or not prices[0].sold_in(customer.currency):
            raise Refusal(
                "You cannot combine currencies on a single customer. This customer has an active subscription,"
                " subscription schedule, discount, quote, or invoice item with currency"
                f" {customer.currency}"
            )
        wanted = customer.currency
    if wanted is None:
        raise Refusal("Missing required param: items.", code="parameter_missing", param="items")
    for item, price in zip(asked.items, prices, strict=True):
        check_price(price, currency=wanted, param=f"{item.param}[price]")
    return wanted


async def require_own_method(tx: AsyncConnection, customer: Customer, method: str | None, *, param: str) -> None:
    """Refuse a payment method that does not exist or is not attached to the customer."""
    if method is None:
        return
    found = (await payment_method.find(tx, customer.environment, [method])).get(method)
    if found is None:
        raise Missing("PaymentMethod", method, param=param)
    if found.customer_id != customer.customer_id or found.customer is None:
        raise Refusal(
            f"The customer does not have a payment method with the ID {method}. The payment method must be attached"
            " to the customer.",
            code="resource_missing",
            param=param,
        )


def _draft(
    asked: Asked, customer: Customer, prices: Mapping[str, Price], *, currency: str, now: datetime
) -> Subscription:
    """What was asked for, as a subscription whose periods have not begun."""
    sold = list(prices.values())
    check_together(sold, mode=asked.billing_mode.type)
    trial_end = terms.trial_end(
        asked=asked.trial_end,
        days=asked.trial_period_days,
        from_plan=asked.trial_from_plan,
        prices=sold,
        now=now,
    )
    terms.check_backdate(asked.backdate_start_date, trial_end=trial_end, now=now)
    anchor = terms.anchor(
        asked=asked.billing_cycle_anchor,
        config=asked.anchor_config,
        prices=sold,
        trial_end=trial_end,
        now=now,
    )
    return Subscription(
        environment=asked.environment,
        customer_id=customer.customer_id,
        id=public("sub"),
        sequence=uuid7(),
        customer=customer.id,
        test_clock=customer.test_clock,
        created=now,
        start_date=asked.backdate_start_date or now,
        status="incomplete",
        currency=currency,
        anchor=anchor,
        anchor_config=asked.anchor_config,
        items=tuple(new_item(item, price, now=now) for item, price in zip(asked.items, sold, strict=True)),
        billing_mode=replace(asked.billing_mode, updated_at=now),
        collection_method=asked.collection_method,
        days_until_due=asked.days_until_due,
        default_payment_method=asked.default_payment_method,
        description=asked.description,
        metadata=asked.metadata,
        trial_end=trial_end,
        trial_settings=asked.trial_settings,
        invoice_settings=asked.invoice_settings,
        payment_settings=asked.payment_settings,
    )


def new_item(asked: AskedItem, price: Price, *, now: datetime) -> SubscriptionItem:
    """An item asked for, with a fresh id; its period is settled when it begins."""
    return SubscriptionItem(
        id=public("si"),
        sequence=uuid7(),
        price=price.id,
        quantity=settle_quantity(price, asked.quantity, param=f"{asked.param}[quantity]"),
        metadata=asked.metadata,
        created=now,
        period_start=now,
        period_end=now,
    )
