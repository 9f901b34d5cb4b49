"""Put discounts on subscriptions, their items and their customers, and take them away again."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.catalog import Price
from meterline.customer import Customer
from meterline.discount import Discount
from meterline.rating import billed_total, rate
from meterline.refusal import Missing
from meterline.store import customer as customers
from meterline.store import discount as store
from meterline.store import due
from meterline.store import subscription as subscriptions
from meterline.store.due import Due
from meterline.subscription.model import Subscription, SubscriptionItem
from meterline.usecase.change_customer import change_customer
from meterline.usecase.moment import moment
from meterline.usecase.record_subscription import record_change
from meterline.usecase.redeem_coupon import END, AskedDiscount, Purchase, redeem
from meterline.usecase.tell_coupon import tell_discount
from meterline.usecase.use_discounts import clear_customer, ids_of, without


async def with_asked_discounts(
    tx: AsyncConnection,
    draft: Subscription,
    sold: Mapping[str, Price],
    *,
    customer: Customer,
    discounts: Sequence[AskedDiscount],
    items: Sequence[Sequence[AskedDiscount]],
    now: datetime,
) -> Subscription:
    """A subscription that is being made, with the discounts asked for it and, in their order, for its items."""
    amounts = [_amount(sold[item.price], item.quantity) for item in draft.items]
    reuse = ids_of(customer)
    dressed: list[SubscriptionItem] = []
    for item, asked, amount in zip(draft.items, items, amounts, strict=True):
        mine = await redeem_for_subscription(tx, draft, asked, amount=amount, item=item.id, reuse=reuse, now=now)
        dressed.append(replace(item, discounts=mine))
    own = await redeem_for_subscription(tx, draft, discounts, amount=sum(amounts), reuse=reuse, now=now)
    return replace(draft, discounts=own, items=tuple(dressed))


def _amount(price: Price, quantity: int | None) -> int:
    """What an item costs for a whole interval, in minor units, as far as that is known."""
    return 0 if quantity is None else billed_total(rate(price=price, quantity=Decimal(quantity)))


async def redeem_for_subscription(
    tx: AsyncConnection,
    owner: Subscription,
    asked: Sequence[AskedDiscount],
    *,
    amount: int | None,
    item: str | None = None,
    reuse: Collection[str],
    now: datetime,
) -> tuple[str, ...]:
    """As `redeem`, for a subscription or one of its items. `amount` is null where the subscription exists already."""
    purchase = Purchase(
        environment=owner.environment,
        customer_id=owner.customer_id,
        customer=owner.customer,
        test_clock=owner.test_clock,
        now=now,
        currency=owner.currency,
        amount=amount,
        subscription=owner.id if item is None else None,
        subscription_item=item,
    )
    return await redeem(tx, asked, purchase, reuse=reuse)


def kept_by(owner: Subscription) -> set[str]:
    """The ids of all discounts of a subscription and of its items."""
    return {*owner.discounts, *(id for item in owner.items for id in item.discounts)}


async def forget_dropped(tx: AsyncConnection, before: Subscription, after: Subscription, *, now: datetime) -> None:
    """Tell, and plan no end any more, of the discounts that a change took off a subscription."""
    dropped = await store.of_customer(tx, customer_id=before.customer_id, ids=sorted(kept_by(before) - kept_by(after)))
    for id in sorted(dropped):
        await _forget(tx, dropped[id], now=now)


async def _forget(tx: AsyncConnection, gone: Discount, *, now: datetime) -> None:
    if gone.kept_on == "customer":
        return
    await due.remove(tx, customer_id=gone.customer_id, subject=gone.id, kinds=[END])
    await tell_discount(tx, "customer.discount.deleted", gone, now=now)


async def remove_subscription_discount(tx: AsyncConnection, *, environment: str, id: str, now: datetime) -> Discount:
    """Take the discounts off a subscription; the first of them. `now` is the wall clock.

    Raises Missing, where there is none too.
    """
    before = await subscriptions.lock(tx, environment=environment, id=id)
    now = await moment(tx, environment=environment, test_clock=before.test_clock, now=now)
    if not before.discounts:
        raise Missing("active discount for subscription", id, subject=True)
    after = replace(before, discounts=())
    first = (await store.of_customer(tx, customer_id=before.customer_id, ids=before.discounts))[before.discounts[0]]
    await record_change(tx, before, after, now=now)
    await forget_dropped(tx, before, after, now=now)
    return first


async def discount_customer(
    tx: AsyncConnection, *, environment: str, id: str, asked: AskedDiscount, now: datetime
) -> Customer:
    """The customer with a discount of their own, in the place of the one they had. `now` is the wall clock.

    Raises Missing and Refusal as `redeem` does.
    """
    before = await customers.get(tx, environment, id, subject=True, lock=True)
    now = await moment(tx, environment=environment, test_clock=before.test_clock, now=now)
    purchase = Purchase(
        environment=environment,
        customer_id=before.customer_id,
        customer=before.id,
        test_clock=before.test_clock,
        now=now,
        currency=before.currency,
    )
    [made] = await redeem(tx, [asked], purchase, replaced=before.discount)
    new = (await store.of_customer(tx, customer_id=before.customer_id, ids=[made]))[made]
    if before.discount is not None:
        await due.remove(tx, customer_id=before.customer_id, subject=before.discount.id, kinds=[END])
    return await change_customer(tx, before=before, after=replace(before, discount=new), now=now)


async def remove_customer_discount(tx: AsyncConnection, *, environment: str, id: str, now: datetime) -> Discount:
    """Take a customer's own discount away. `now` is the wall clock. Raises Missing, where there is none too."""
    before = await customers.get(tx, environment, id, subject=True, lock=True)
    now = await moment(tx, environment=environment, test_clock=before.test_clock, now=now)
    gone = before.discount
    if gone is None:
        raise Missing("active discount for customer", id, subject=True)
    await clear_customer(tx, before, now=now)
    await due.remove(tx, customer_id=before.customer_id, subject=gone.id, kinds=[END])
    await tell_discount(tx, "customer.discount.deleted", gone, now=now)
    return gone


async def end_discount(tx: AsyncConnection, row: Due, now: datetime) -> None:
    """The months of a discount are over: take it off what it is on, if it is still there."""
    found = (await store.of_customer(tx, customer_id=row.customer_id, ids=[row.subject])).get(row.subject)
    assert found is not None, "the rows of discounts stay"
    if found.kept_on == "customer":
        customer = await customers.lock(tx, row.customer_id)
        if customer.discount is not None and customer.discount.id == found.id:
            await clear_customer(tx, customer, now=now)
            await tell_discount(tx, "customer.discount.deleted", found, now=now)
        return
    owner = await _owner(tx, found)
    before = None if owner is None else await subscriptions.lock_of(tx, customer_id=row.customer_id, id=owner)
    if before is None or found.id not in kept_by(before):
        return
    await record_change(tx, before, without(before, [found.id]), now=now)
    await tell_discount(tx, "customer.discount.deleted", found, now=now)


async def _owner(tx: AsyncConnection, found: Discount) -> str | None:
    """The subscription that a discount, or its item, belongs to."""
    if found.subscription_item is None:
        return found.subscription
    owner = await subscriptions.item_owner(tx, environment=found.environment, id=found.subscription_item)
    return None if owner is None else owner[1]
