"""Make an invoice by hand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.catalog import TaxRate
from meterline.customer import Customer, CustomField
from meterline.invoice import state
from meterline.invoice.item import line_of
from meterline.invoice.line import InvoiceLine
from meterline.invoice.model import CollectionMethod, Invoice, Rendering
from meterline.refusal import Missing, Refusal
from meterline.store import customer as customers
from meterline.store import invoice as invoices
from meterline.store import invoice_item
from meterline.store import subscription as subscriptions
from meterline.store.identifier import public
from meterline.subscription.model import Subscription
from meterline.usecase import record_invoice
from meterline.usecase.bill_to import bill_to
from meterline.usecase.change_balance import fix_currency
from meterline.usecase.create_subscription import require_own_method
from meterline.usecase.draft_invoice import named
from meterline.usecase.find_tax_rates import find_tax_rates, require_agreement
from meterline.usecase.moment import moment
from meterline.usecase.reckon_draft import reckoned
from meterline.usecase.redeem_coupon import AskedDiscount, redeem_for
from meterline.usecase.use_discounts import ids_of, inherited, use_up

_DEFAULT_CURRENCY = "usd"


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedInvoice:
    """An invoice as the caller asks for it. Null is "not said"; empty `discounts` are none, not the customer's.

    Instants are UTC.
    """

    environment: str
    customer: str
    subscription: str | None = None
    currency: str | None = None
    auto_advance: bool | None = None
    automatically_finalizes_at: datetime | None = None
    collection_method: CollectionMethod = "charge_automatically"
    days_until_due: int | None = None
    due_date: datetime | None = None
    effective_at: datetime | None = None
    number: str | None = None
    include_pending: bool = False
    discounts: Sequence[AskedDiscount] | None = None
    default_payment_method: str | None = None
    default_tax_rates: Sequence[str] | None = None
    description: str | None = None
    footer: str | None = None
    statement_descriptor: str | None = None
    custom_fields: tuple[CustomField, ...] | None = None
    rendering: Rendering | None = None
    payment_method_types: tuple[str, ...] | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


async def create_invoice(tx: AsyncConnection, asked: AskedInvoice, *, now: datetime) -> Invoice:
    """The new draft. `now` is the wall clock; a customer on a test clock has another now.

    Raises Missing for the customer or subscription, Refusal for terms that contradict each other.
    """
    state.check_terms(
        collection_method=asked.collection_method, days_until_due=asked.days_until_due, due_date=asked.due_date
    )
    seen = await customers.get(tx, asked.environment, asked.customer)
    now = await moment(tx, environment=asked.environment, test_clock=seen.test_clock, now=now)
    state.check_schedule(finalizes_at=asked.automatically_finalizes_at, due_date=asked.due_date, now=now)
    await require_own_method(tx, seen, asked.default_payment_method, param="default_payment_method")
    subscription = await _subscription(tx, seen, asked.subscription)
    customer = await customers.lock(tx, seen.customer_id)
    currency = asked.currency or customer.currency or _DEFAULT_CURRENCY
    if asked.number is not None and await invoices.number_taken(
        tx, customer_id=customer.customer_id, number=asked.number
    ):
        raise Refusal(f"The invoice number {asked.number} is already in use.", param="number")
    swept = (
        await invoice_item.pending(
            tx, customer_id=customer.customer_id, currency=currency, subscription=asked.subscription
        )
        if asked.include_pending
        else []
    )
    customer = await fix_currency(tx, customer, currency, now=now)
    lines = named([line_of(item) for item in swept])
    draft = replace(
        _draft(asked, customer, currency=currency, now=now),
        subscription_metadata={} if subscription is None else subscription.metadata,
        default_tax_rates=await _rates(tx, asked, subscription, lines),
    )
    drawn = replace(draft, lines=lines)
    draft = replace(draft, discounts=await _discounts(tx, asked, drawn, customer, now=now))
    draft = await reckoned(tx, draft, lines, customer=customer)
    ends = asked.automatically_finalizes_at or now + state.DRAFT_TIME + _MARGIN
    collects = asked.automatically_finalizes_at or now + state.DRAFT_TIME
    draft = state.scheduled(draft, auto_advance=_advances(asked), finalizes_at=ends, collects_at=collects)
    await record_invoice.created(tx, draft, now=now)
    await invoice_item.assign(tx, swept, draft.id)
    await use_up(tx, draft, customer, None, now=now)
    return draft


async def _discounts(
    tx: AsyncConnection, asked: AskedInvoice, draft: Invoice, customer: Customer, *, now: datetime
) -> tuple[str, ...]:
    """Those asked for, or the customer's."""
    if asked.discounts is None:
        return await inherited(tx, customer, None, now=now)
    return await redeem_for(tx, draft, asked.discounts, reuse=ids_of(customer), now=now)


def _advances(asked: AskedInvoice) -> bool:
    """Whether the draft finalizes by itself: when that was said, or when the time for it was."""
    if asked.auto_advance is False and asked.automatically_finalizes_at is not None:
        raise Refusal(
            "An invoice with `automatically_finalizes_at` advances by itself: `auto_advance` cannot be false.",
            param="auto_advance",
        )
    return bool(asked.auto_advance) or asked.automatically_finalizes_at is not None


_MARGIN = timedelta(seconds=1)
"""Stripe finalizes an invoice made by hand a second after the hour at which it would collect it."""


def _draft(asked: AskedInvoice, customer: Customer, *, currency: str, now: datetime) -> Invoice:
    by_mail = asked.collection_method == "send_invoice"
    due_date = asked.due_date
    if by_mail and due_date is None:
        due_date = now + timedelta(days=asked.days_until_due or 0)
    settings = customer.invoice_settings
    return Invoice(
        environment=asked.environment,
        customer_id=customer.customer_id,
        id=public("in"),
        customer=customer.id,
        test_clock=customer.test_clock,
        created=now,
        currency=currency,
        status="draft",
        billing_reason="manual",
        collection_method=asked.collection_method,
        auto_advance=False,
        period_start=now,
        period_end=now,
        bill_to=bill_to(customer),
        number=asked.number,
        subscription=asked.subscription,
        default_payment_method=asked.default_payment_method,
        days_until_due=asked.days_until_due,
        due_date=due_date,
        effective_at=asked.effective_at,
        description=asked.description,
        footer=asked.footer or settings.footer,
        statement_descriptor=asked.statement_descriptor,
        custom_fields=asked.custom_fields or settings.custom_fields,
        rendering=asked.rendering,
        payment_method_types=asked.payment_method_types,
        metadata=asked.metadata,
    )


async def _rates(
    tx: AsyncConnection, asked: AskedInvoice, subscription: Subscription | None, lines: Sequence[InvoiceLine]
) -> tuple[TaxRate, ...]:
    """The default rates asked for; the subscription's where nothing was said of them."""
    if asked.default_tax_rates is None:
        return () if subscription is None else subscription.default_tax_rates
    param = "default_tax_rates"
    rates = await find_tax_rates(tx, asked.environment, asked.default_tax_rates, param=param)
    await require_agreement(tx, asked.environment, lines, rates, param=param)
    return rates


async def _subscription(tx: AsyncConnection, customer: Customer, subscription: str | None) -> Subscription | None:
    if subscription is None:
        return None
    found = (await subscriptions.find(tx, customer.environment, [subscription])).get(subscription)
    if found is None or found.customer_id != customer.customer_id:
        raise Missing("subscription", subscription, param="subscription")
    return found
