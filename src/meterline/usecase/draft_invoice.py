"""Make the invoice of a subscription, or keep what it owes for a later one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.customer import Customer
from meterline.invoice import state
from meterline.invoice.compose import billed_lines, invoice_lines, unused
from meterline.invoice.item import InvoiceItem
from meterline.invoice.line import InvoiceLine
from meterline.invoice.model import BillingReason, Invoice
from meterline.period import Period
from meterline.store import customer as customers
from meterline.store import invoice_item, notice
from meterline.store.identifier import public
from meterline.subscription.billable import Billable
from meterline.subscription.model import Subscription
from meterline.usecase import record_invoice
from meterline.usecase.bill_late_usage import bill_late_usage
from meterline.usecase.bill_to import bill_to
from meterline.usecase.change_balance import fix_currency
from meterline.usecase.count_usage import gather
from meterline.usecase.reckon_draft import reckoned
from meterline.usecase.use_discounts import inherited, reduced, use_up

_ONE = Decimal(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drafted:
    """A new draft, and its subscription as that leaves it."""

    invoice: Invoice
    subscription: Subscription


async def draft_invoice(
    tx: AsyncConnection,
    *,
    subscription: Subscription,
    billables: Sequence[Billable],
    reason: BillingReason,
    now: datetime,
    period: Period | None = None,
    omit_unused: bool = False,
    auto_advance: bool = True,
    proration_date: datetime | None = None,
) -> Drafted | None:
    """The subscription's new draft, with the customer's pending items swept onto it, finalization planned.

    The subscription is locked, and stored by the caller as the draft leaves it. `period` bounds what the invoice
    covers, `now` (the customer's time, UTC) by default. `omit_unused` leaves metered billables out of which nothing
    was used; None when nothing is left. Metered lines hold the usage known now and are counted again at finalization;
    so are the corrections of windows that were billed before.
    """
    customer = await _customer(tx, subscription, now=now)
    draft, swept = await compose_draft(
        tx,
        customer=customer,
        subscription=subscription,
        billables=billables,
        reason=reason,
        now=now,
        period=period or Period(start=now, end=now),
        omit_unused=omit_unused,
    )
    if not draft.lines and omit_unused:
        return None
    advances = auto_advance and subscription.status != "unpaid" and not _kept_as_draft(subscription)
    ends = now + state.DRAFT_TIME
    draft = state.scheduled(draft, auto_advance=advances, finalizes_at=ends, collects_at=ends)
    draft = replace(draft, subscription_proration_date=proration_date, id=public("in"), lines=named(draft.lines))
    await record_invoice.created(tx, draft, now=now)
    await invoice_item.assign(tx, swept, draft.id)
    left = (await use_up(tx, draft, customer, subscription, now=now)).subscription
    assert left is not None
    return Drafted(invoice=draft, subscription=replace(left, latest_invoice=draft.id))


async def compose_draft(
    tx: AsyncConnection,
    *,
    customer: Customer,
    subscription: Subscription,
    billables: Sequence[Billable],
    reason: BillingReason,
    now: datetime,
    period: Period,
    omit_unused: bool = False,
    extra: Sequence[InvoiceItem] = (),
    sweep: bool = True,
    discounts: tuple[str, ...] | None = None,
) -> tuple[Invoice, list[InvoiceItem]]:
    """The draft as it would be at `now`, nothing stored, and the pending items on it.

    Previews and invoices both come from here. Items of a subscription are listed newest first, after the
    pending items (`extra` ones that only a preview knows, then the stored ones), newest first. Without `sweep`
    the stored ones are left out. `discounts` take the place of those that the invoice would have by itself.
    """
    swept: list[InvoiceItem] = []
    if sweep:
        swept = await invoice_item.pending(
            tx, customer_id=customer.customer_id, currency=subscription.currency, subscription=subscription.id
        )
    gathered = await gather(
        tx,
        environment=customer.environment,
        customer_id=customer.customer_id,
        billables=list(reversed(billables)),
    )
    gathered = await reduced(tx, subscription, gathered, pending=False, now=now)
    if omit_unused:
        gathered = [one for one in gathered if not unused(one)]
    lines = invoice_lines(pending=[*extra, *swept], gathered=gathered)
    draft = Invoice(
        environment=customer.environment,
        customer_id=customer.customer_id,
        id="",
        customer=customer.id,
        test_clock=customer.test_clock,
        created=now,
        currency=subscription.currency,
        status="draft",
        billing_reason=reason,
        collection_method=subscription.collection_method,
        auto_advance=False,
        period_start=period.start,
        period_end=period.end,
        lines=lines,
        discounts=await inherited(tx, customer, subscription, now=now) if discounts is None else discounts,
        bill_to=bill_to(customer),
        subscription=subscription.id,
        subscription_metadata=subscription.metadata,
        days_until_due=subscription.days_until_due,
        due_date=_due_date(subscription, now),
        description=subscription.invoice_settings.description,
        footer=subscription.invoice_settings.footer or customer.invoice_settings.footer,
        custom_fields=customer.invoice_settings.custom_fields,
        payment_method_types=subscription.payment_settings.payment_method_types,
        default_tax_rates=subscription.default_tax_rates,
    )
    lines = await bill_late_usage(tx, draft, lines)
    return await reckoned(tx, draft, lines, customer=customer), swept


async def pend_billables(
    tx: AsyncConnection, *, subscription: Subscription, billables: Sequence[Billable], now: datetime
) -> list[InvoiceItem]:
    """Keep what these billables come to as pending items, for the subscription's next invoice.

    The subscription is locked; `now` is the customer's time, UTC. Usage of which there was none leaves nothing.
    """
    customer = await _customer(tx, subscription, now=now)
    gathered = await gather(tx, environment=customer.environment, customer_id=customer.customer_id, billables=billables)
    gathered = await reduced(tx, subscription, gathered, pending=True, now=now)
    items = [
        _item(customer, subscription, line, now=now)
        for one in gathered
        if not unused(one)
        for line in billed_lines(one)
    ]
    await invoice_item.add(tx, items)
    for item in items:
        await notice.add(
            tx,
            environment=item.environment,
            customer_id=item.customer_id,
            type="invoiceitem.created",
            subject=item,
            now=now,
        )
    return items


def _item(customer: Customer, subscription: Subscription, line: InvoiceLine, *, now: datetime) -> InvoiceItem:
    return InvoiceItem(
        environment=customer.environment,
        customer_id=customer.customer_id,
        id=public("ii"),
        customer=customer.id,
        test_clock=customer.test_clock,
        date=now,
        amount=line.amount,
        currency=line.currency,
        quantity=line.quantity if line.quantity is not None else _ONE,
        period=line.period,
        description=line.description,
        discountable=line.discountable,
        discounts=line.discounts,
        price=line.price,
        product=line.product,
        unit_amount=line.unit_amount,
        subscription=subscription.id,
        subscription_item=line.subscription_item,
        proration=line.proration,
        credited=line.credited,
        tax_rates=line.tax_rates,
    )


async def _customer(tx: AsyncConnection, subscription: Subscription, *, now: datetime) -> Customer:
    customer = await customers.lock(tx, subscription.customer_id)
    return await fix_currency(tx, customer, subscription.currency, now=now)


def named(lines: Sequence[InvoiceLine]) -> tuple[InvoiceLine, ...]:
    """The lines with an id each."""
    return tuple(line if line.id else replace(line, id=public("il")) for line in lines)


def _due_date(subscription: Subscription, now: datetime) -> datetime | None:
    if subscription.collection_method != "send_invoice":
        return None
    return now + timedelta(days=subscription.days_until_due or 0)


def _kept_as_draft(subscription: Subscription) -> bool:
    pause = subscription.pause_collection
    return pause is not None and pause.behavior == "keep_as_draft"
