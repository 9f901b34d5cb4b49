"""Which discounts a bill has, what they take off its lines, and which of them it uses up."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.customer import Customer
from meterline.discount import Discount
from meterline.invoice.discount import discounted, own_discounts, own_of, uses_up_once
from meterline.invoice.gathered import Gathered, PricedItem
from meterline.invoice.line import InvoiceLine
from meterline.invoice.model import Invoice
from meterline.rating import exact_total, rate
from meterline.store import discount as store
from meterline.subscription.model import Subscription
from meterline.usecase.change_customer import change_customer
from meterline.usecase.find_prices import find_prices
from meterline.usecase.tell_coupon import tell_discount


async def with_discounts(tx: AsyncConnection, draft: Invoice, lines: Sequence[InvoiceLine]) -> tuple[InvoiceLine, ...]:
    """The lines of a draft or a preview with what its discounts and their own take off them."""
    known = await store.of_customer(tx, customer_id=draft.customer_id, ids={*draft.discounts, *own_discounts(lines)})
    on_invoice = [known[id] for id in draft.discounts]
    return discounted(lines, on_invoice=on_invoice, on_lines=known, currency=draft.currency)


async def inherited(
    tx: AsyncConnection, customer: Customer, subscription: Subscription | None, *, now: datetime
) -> tuple[str, ...]:
    """The discounts that a bill made at `now` begins with: its subscription's, else its customer's."""
    if subscription is not None:
        found = await in_force(tx, subscription, subscription.discounts, now=now)
        if found:
            return tuple(each.id for each in found)
    of_customer = customer.discount
    return () if of_customer is None or not of_customer.in_force(now) else (of_customer.id,)


def ids_of(customer: Customer) -> tuple[str, ...]:
    """The id of the customer's own discount, which bills may name too."""
    return () if customer.discount is None else (customer.discount.id,)


async def in_force(
    tx: AsyncConnection, owner: Subscription, ids: Sequence[str], *, now: datetime
) -> tuple[Discount, ...]:
    """Those of a subscription's discounts that are in force at `now`, in their order."""
    known = await store.of_customer(tx, customer_id=owner.customer_id, ids=ids)
    return tuple(known[id] for id in ids if known[id].in_force(now))


async def reduced(
    tx: AsyncConnection, subscription: Subscription, gathered: Sequence[Gathered], *, pending: bool, now: datetime
) -> list[Gathered]:
    """What was gathered of a subscription as it is after a change, with the discounts that its lines are to have.

    A discount for one invoice is not in a proration that waits (`pending`), nor in one that gives back a price: the
    invoice that comes next uses it.
    """
    ids = {id for one in gathered for id in one.billable.discounts} | set(subscription.discounts)
    ids |= {id for item in subscription.items for id in item.discounts}
    known = await store.of_customer(tx, customer_id=subscription.customer_id, ids=ids)
    if not known:
        return list(gathered)
    living = {id: each for id, each in known.items() if each.in_force(now)}
    items = await _priced_items(tx, subscription, living)
    return [_with(one, subscription, living, items, pending=pending) for one in gathered]


async def _priced_items(
    tx: AsyncConnection, subscription: Subscription, living: Mapping[str, Discount]
) -> list[PricedItem]:
    prices = await find_prices(tx, subscription)
    return [
        PricedItem(
            item=item.id,
            product=prices[item.price].product,
            amount=Fraction(exact_total(rate(price=prices[item.price], quantity=Decimal(item.quantity)))),
            discounts=_among(item.discounts, living),
        )
        for item in subscription.items
        if item.quantity is not None
    ]


def _with(
    one: Gathered,
    subscription: Subscription,
    living: Mapping[str, Discount],
    items: Sequence[PricedItem],
    *,
    pending: bool,
) -> Gathered:
    own = _among(one.billable.discounts, living)
    proration = one.billable.proration
    if proration is None:
        return replace(one, own=own)
    whole = _among(subscription.discounts, living)
    if pending or proration.direction == "credit":
        own, whole = _lasting(own), _lasting(whole)
    mode = subscription.billing_mode
    beside = [each for each in items if each.item != one.billable.item] if mode.type == "flexible" else []
    return replace(one, own=own, whole=whole, beside=tuple(beside), itemized=mode.proration_discounts == "itemized")


def _among(ids: Iterable[str], living: Mapping[str, Discount]) -> tuple[Discount, ...]:
    return tuple(living[id] for id in ids if id in living)


def _lasting(discounts: Iterable[Discount]) -> tuple[Discount, ...]:
    return tuple(each for each in discounts if not each.once)


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A customer and a subscription as an invoice leaves them that uses up their discounts for one invoice."""

    customer: Customer
    subscription: Subscription | None


async def use_up(
    tx: AsyncConnection, draft: Invoice, customer: Customer, subscription: Subscription | None, *, now: datetime
) -> Left:
    """Take away the discounts for one invoice that this new draft has; its subscription is stored by the caller.

    The customer is locked. A subscription's draft that has nothing to discount leaves them for the next one.
    """
    named = _named(draft)
    if not named or (draft.billing_reason != "manual" and not uses_up_once(draft.lines)):
        return Left(customer=customer, subscription=subscription)
    known = await store.of_customer(tx, customer_id=draft.customer_id, ids=named)
    spent = {each.id: each for each in known.values() if each.once}
    for id in sorted(spent):
        await tell_discount(tx, "customer.discount.deleted", spent[id], now=now)
    after = None if subscription is None else without(subscription, spent)
    if customer.discount is None or customer.discount.id not in spent:
        return Left(customer=customer, subscription=after)
    return Left(customer=await clear_customer(tx, customer, now=now), subscription=after)


async def use_up_added(
    tx: AsyncConnection, before: Invoice, after: Invoice, customer: Customer, *, now: datetime
) -> None:
    """Take away the locked customer's own discount for one invoice, where a change has put it on this draft."""
    mine = customer.discount
    if mine is not None and mine.once and mine.id in _named(after) - _named(before):
        await tell_discount(tx, "customer.discount.deleted", mine, now=now)
        await clear_customer(tx, customer, now=now)


def _named(draft: Invoice) -> set[str]:
    return {*draft.discounts, *(id for line in draft.lines for id in own_of(line))}


def without(subscription: Subscription, ids: Iterable[str]) -> Subscription:
    """The subscription, and its items, without these discounts."""
    gone = set(ids)
    items = tuple(
        replace(item, discounts=tuple(id for id in item.discounts if id not in gone)) for item in subscription.items
    )
    return replace(subscription, discounts=tuple(id for id in subscription.discounts if id not in gone), items=items)


async def clear_customer(tx: AsyncConnection, customer: Customer, *, now: datetime) -> Customer:
    """The locked customer without its discount, stored and told."""
    return await change_customer(tx, before=customer, after=replace(customer, discount=None), now=now)
