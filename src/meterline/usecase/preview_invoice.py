"""Show an invoice before it is made.

A preview takes the very steps that a real change and a real invoice take, inside a savepoint that is rolled
back: so it cannot differ from them, and nothing of it stays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.customer import Customer
from meterline.invoice import state
from meterline.invoice.item import InvoiceItem, line_of
from meterline.invoice.model import PREVIEW, BillingReason, Invoice
from meterline.period import Period
from meterline.refusal import Missing, Refusal
from meterline.store import customer as customers
from meterline.store import invoice_item
from meterline.store import subscription as subscriptions
from meterline.store.identifier import public
from meterline.subscription.billable import Billable
from meterline.subscription.ending import cancel
from meterline.subscription.model import Subscription
from meterline.subscription.renewal import renew
from meterline.usecase.bill_to import bill_to
from meterline.usecase.change_subscription import AskedChange, plan_change
from meterline.usecase.create_customer import create_customer
from meterline.usecase.create_invoice_item import AskedItem, new_item
from meterline.usecase.create_subscription import Asked, plan_subscription
from meterline.usecase.draft_invoice import compose_draft, pend_billables
from meterline.usecase.find_prices import find_prices
from meterline.usecase.moment import moment
from meterline.usecase.reckon_draft import reckoned
from meterline.usecase.redeem_coupon import AskedDiscount, redeem_for
from meterline.usecase.update_invoice_item import changed_item
from meterline.usecase.use_discounts import ids_of, inherited

_DEFAULT_CURRENCY = "usd"


class NothingUpcoming(Missing):
    """There is nothing that an invoice would be made of."""

    def __init__(self, customer: str) -> None:
        super().__init__("upcoming invoice", customer, subject=True)
        self.message = f"No upcoming invoices for customer: '{customer}'"
        self.code = "invoice_upcoming_none"


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedPreviewItem:
    """An item that only the preview has, or (with `id`) a pending one as it might be."""

    asked: AskedItem
    id: str | None = None
    described: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedPreview:
    """What is to be previewed. Null is "not said".

    Of a customer (an existing one, or one that only the preview has): the next invoice of `subscription`, or of
    the subscription whose next invoice comes first, after `change` or after cancelling it now; or the first
    invoice of a subscription that `begin` describes; or, without any subscription, what waits for an invoice.
    `discounts` take the place of those that the invoice would have by itself; empty, it has none. `seen_as` are fields
    of a known customer, by name, as the preview supposes them.
    """

    environment: str
    customer: str | None = None
    stranger: Customer | None = None
    seen_as: Mapping[str, object] = field(default_factory=dict)
    subscription: str | None = None
    change: AskedChange | None = None
    begin: Asked | None = None
    cancel_now: bool = False
    currency: str | None = None
    discounts: Sequence[AskedDiscount] | None = None
    items: Sequence[AskedPreviewItem] = field(default_factory=tuple)
    mode: Literal["next", "recurring"] = "next"


async def preview_invoice(tx: AsyncConnection, asked: AskedPreview, *, now: datetime) -> Invoice:
    """The invoice as it would be, with ids that name nothing. `now` is the wall clock.

    Usage is what is known now. Raises Missing for what does not exist, NothingUpcoming where no invoice would
    be made, and whatever the change or the creation that it asks for would raise.
    """
    point = await tx.begin_nested()
    try:
        customer, subscription = await _subject(tx, asked, now=now)
        if asked.seen_as:
            customer = replace(await customers.lock(tx, customer.customer_id), **asked.seen_as)  # type: ignore[arg-type]
            await customers.save(tx, customer)
        now = await moment(tx, environment=asked.environment, test_clock=customer.test_clock, now=now)
        draft = await _composed(tx, asked, customer, subscription, now=now)
    finally:
        await point.rollback()
    return _shown(draft, stranger=asked.stranger is not None)


async def _subject(tx: AsyncConnection, asked: AskedPreview, *, now: datetime) -> tuple[Customer, Subscription | None]:
    """Whose invoice, and of which subscription (none: of a new one, or of none)."""
    if asked.stranger is not None:
        return await create_customer(tx, new=asked.stranger, now=now), None
    if asked.subscription is not None:
        found = (await subscriptions.find(tx, asked.environment, [asked.subscription])).get(asked.subscription)
        if found is None:
            raise Missing("subscription", asked.subscription, param="subscription")
        owner = (await customers.find_all(tx, [found.customer_id]))[found.customer_id]
        if asked.customer not in (None, owner.id):
            raise Refusal("The subscription does not belong to the customer.", param="subscription")
        return owner, found
    assert asked.customer is not None, "a preview is of a customer or of a subscription"
    owner = await customers.get(tx, asked.environment, asked.customer)
    if asked.begin is not None:
        return owner, None
    living = await subscriptions.of_customer(tx, customer_id=owner.customer_id)
    billed = [each for each in living if each.status not in ("paused", "incomplete")]
    return owner, min(billed, key=lambda each: each.next_boundary, default=None)


async def _composed(
    tx: AsyncConnection, asked: AskedPreview, customer: Customer, subscription: Subscription | None, *, now: datetime
) -> Invoice:
    if asked.begin is not None:
        opening = await plan_subscription(tx, replace(asked.begin, customer=customer.id), now=now)
        return await _compose(
            tx, asked, customer, opening.subscription, opening.billables, "subscription_create", now=opening.at
        )
    if subscription is None:
        return await _of_items(tx, asked, customer, now=now)
    if subscription.ended or subscription.status == "paused":
        raise NothingUpcoming(customer.id)
    if asked.cancel_now:
        return await _of_ending(tx, asked, customer, subscription, at=now)
    if asked.change is not None:
        change = await plan_change(tx, subscription, asked.change, now=now)
        at_once = asked.change.proration_behavior == "always_invoice" and change.prorations
        if asked.mode == "next" and (change.charges or at_once):
            billables = (*change.prorations, *change.charges)
            start = min(item.period_start for item in subscription.items)
            period = Period(start=min(start, now), end=now)
            return await _compose(
                tx, asked, customer, change.subscription, billables, "subscription_update", now=now, period=period
            )
        subscription = change.subscription
        await pend_billables(tx, subscription=subscription, billables=change.prorations, now=now)
    return await _of_cycle(tx, asked, customer, subscription)


async def _of_cycle(
    tx: AsyncConnection, asked: AskedPreview, customer: Customer, subscription: Subscription
) -> Invoice:
    """The invoice at the end of the period that ends first; the last one where the subscription ends then."""
    at = subscription.next_boundary
    if subscription.cancel_at is not None and subscription.cancel_at <= at:
        return await _of_ending(tx, asked, customer, subscription, at=subscription.cancel_at)
    renewal = renew(subscription, await find_prices(tx, subscription), at=at, payable=True)
    ended = [item.period_start for item in subscription.items if item.period_end == at]
    return await _compose(
        tx,
        asked,
        customer,
        renewal.subscription,
        renewal.billables,
        "subscription_cycle",
        now=at,
        period=Period(start=min(ended), end=at),
    )


async def _of_ending(
    tx: AsyncConnection, asked: AskedPreview, customer: Customer, subscription: Subscription, *, at: datetime
) -> Invoice:
    prorates = subscription.cancel_prorates
    if asked.cancel_now:
        prorates = asked.change is None or asked.change.proration_behavior != "none"
    ending = cancel(subscription, await find_prices(tx, subscription), usage=True, prorate=prorates, now=at)
    start = min(item.period_start for item in subscription.items)
    return await _compose(
        tx,
        asked,
        customer,
        subscription,
        (*ending.usage, *ending.credits),
        "subscription_cycle",
        now=at,
        period=Period(start=min(start, at), end=at),
    )


async def _compose(
    tx: AsyncConnection,
    asked: AskedPreview,
    customer: Customer,
    subscription: Subscription,
    billables: Sequence[Billable],
    reason: BillingReason,
    *,
    now: datetime,
    period: Period | None = None,
) -> Invoice:
    extra = await _extra(tx, asked, customer, currency=subscription.currency, now=now)
    made_now = reason in ("subscription_create", "subscription_update")
    draft, _ = await compose_draft(
        tx,
        customer=customer,
        subscription=subscription,
        billables=billables,
        reason=reason,
        now=now,
        period=period or Period(start=now, end=now),
        omit_unused=made_now and subscription.billing_mode.type == "flexible",
        extra=extra,
        sweep=asked.mode == "next",
    )
    return await _as_asked(tx, asked, draft, customer, subscription, now=now)


async def _as_asked(
    tx: AsyncConnection,
    asked: AskedPreview,
    draft: Invoice,
    customer: Customer,
    subscription: Subscription | None,
    *,
    now: datetime,
) -> Invoice:
    """The draft with the discounts asked for, where some were."""
    if asked.discounts is None:
        return draft
    reuse = {*ids_of(customer), *(() if subscription is None else subscription.discounts)}
    discounts = await redeem_for(tx, draft, asked.discounts, reuse=reuse, now=now)
    return await reckoned(tx, replace(draft, discounts=discounts), draft.lines, customer=customer)


async def _extra(
    tx: AsyncConnection, asked: AskedPreview, customer: Customer, *, currency: str, now: datetime
) -> list[InvoiceItem]:
    """The items that only the preview has, newest first; pending ones are changed where they wait."""
    made: list[InvoiceItem] = []
    for each in asked.items:
        if each.id is None:
            made.append(await new_item(tx, customer, each.asked, currency=currency, now=now))
            continue
        seen = (await invoice_item.find(tx, asked.environment, [each.id])).get(each.id)
        if seen is None or seen.customer_id != customer.customer_id or seen.invoice is not None:
            raise Missing("invoiceitem", each.id, param=each.asked.amount.at("invoiceitem"))
        after = await changed_item(tx, seen, each.asked, described=each.described, now=now)
        await invoice_item.save(tx, replace(after, metadata={**seen.metadata, **each.asked.metadata}))
    return made[::-1]


async def _of_items(tx: AsyncConnection, asked: AskedPreview, customer: Customer, *, now: datetime) -> Invoice:
    """An invoice of what waits for one, without a subscription."""
    currency = asked.currency or customer.currency or _first_currency(asked) or _DEFAULT_CURRENCY
    extra = await _extra(tx, asked, customer, currency=currency, now=now)
    waiting = await invoice_item.pending(tx, customer_id=customer.customer_id, currency=currency)
    if not extra and not waiting:
        raise NothingUpcoming(customer.id)
    lines = tuple(line_of(item) for item in (*extra, *waiting))
    draft = Invoice(
        environment=customer.environment,
        customer_id=customer.customer_id,
        id="",
        customer=customer.id,
        test_clock=customer.test_clock,
        created=now,
        currency=currency,
        status="draft",
        billing_reason="manual",
        collection_method="charge_automatically",
        auto_advance=False,
        period_start=now,
        period_end=now,
        discounts=await inherited(tx, customer, None, now=now),
        bill_to=bill_to(customer),
    )
    draft = await reckoned(tx, draft, lines, customer=customer)
    return await _as_asked(tx, asked, draft, customer, None, now=now)


def _first_currency(asked: AskedPreview) -> str | None:
    return next((each.asked.currency for each in asked.items if each.asked.currency is not None), None)


def _shown(draft: Invoice, *, stranger: bool) -> Invoice:
    """The draft under names that name nothing, with the balance as finalization would leave it."""
    amounts = draft.amounts
    left = amounts.total + amounts.starting_balance - amounts.due
    lines = tuple(replace(line, id=f"il_tmp_{public('il')[3:]}") for line in draft.lines)
    charged = draft.collection_method == "charge_automatically"
    return replace(
        draft,
        id=f"{PREVIEW}{public('in')[3:]}",
        customer="" if stranger else draft.customer,
        billing_reason="upcoming" if draft.billing_reason == "subscription_cycle" else draft.billing_reason,
        lines=lines,
        amounts=replace(amounts, ending_balance=left),
        next_payment_attempt=draft.created + state.DRAFT_TIME if charged else None,
    )
