"""Change a subscription: its items, its trial, its end, its terms; bill what the change makes due."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum, auto
from typing import Final, Literal, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.catalog import Price, TaxRate
from meterline.catalog.tax_rate import check_behavior
from meterline.period import Period
from meterline.refusal import Refusal
from meterline.store import customer as customers
from meterline.store import subscription as store
from meterline.store.identifier import public, uuid7
from meterline.subscription import terms
from meterline.subscription.change import Added, Altered, Change, ItemChange, Removed, change_items
from meterline.subscription.ending import EndOfPeriod, forget_end, plan_end
from meterline.subscription.item import check_price, settle_quantity
from meterline.subscription.model import (
    Cancellation,
    CollectionMethod,
    InvoiceSettings,
    PauseCollection,
    PaymentSettings,
    ProrationBehavior,
    Subscription,
    TrialEnd,
)
from meterline.subscription.trial import begin_trial, end_trial
from meterline.usecase.bill_once import OneTime, bill_once
from meterline.usecase.bill_subscription import PaymentBehavior, bill_at_once, payable
from meterline.usecase.create_subscription import require_own_method
from meterline.usecase.discount_subscription import forget_dropped, kept_by, redeem_for_subscription
from meterline.usecase.draft_invoice import pend_billables
from meterline.usecase.find_prices import find_asked_prices, find_prices, within
from meterline.usecase.find_tax_rates import find_tax_rates
from meterline.usecase.moment import moment
from meterline.usecase.record_subscription import record_change
from meterline.usecase.redeem_coupon import AskedDiscount
from meterline.usecase.use_discounts import ids_of

T = TypeVar("T")


class Unsaid(Enum):
    """The caller did not mention it: it stays as it is."""

    UNSAID = auto()


UNSAID: Final = Unsaid.UNSAID


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedItemChange:
    """What is asked of one item: of `id`, or of a new one where that is null. `param` is where (`items[0]`).

    `discounts` are all that it is to have, null is "not said". `metadata` merges: an empty value deletes its key, null
    deletes all.
    """

    param: str
    id: str | None = None
    price: str | Price | None = None
    quantity: int | None = None
    deleted: bool = False
    tax_rates: Sequence[str] | Unsaid = UNSAID
    discounts: Sequence[AskedDiscount] | None = None
    metadata: Mapping[str, str] | Unsaid | None = UNSAID


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedChange:
    """What is asked of a subscription. Null unsets, except for what cannot be unset. Instants are UTC.

    `discounts` are all that it is to have; null leaves those it has.
    """

    items: Sequence[AskedItemChange] = ()
    proration_behavior: ProrationBehavior = "create_prorations"
    proration_date: datetime | None = None
    anchor_now: bool = False
    payment_behavior: PaymentBehavior = "allow_incomplete"
    off_session: bool = False
    trial_end: datetime | Literal["now"] | None = None
    trial_from_plan: bool = False
    cancel_at: datetime | EndOfPeriod | Unsaid | None = UNSAID
    collection_method: CollectionMethod | None = None
    days_until_due: int | None = None
    default_payment_method: str | Unsaid | None = UNSAID
    default_tax_rates: Sequence[str] | Unsaid = UNSAID
    description: str | Unsaid | None = UNSAID
    metadata: Mapping[str, str] | Unsaid | None = UNSAID
    pause_collection: PauseCollection | Unsaid | None = UNSAID
    trial_settings: TrialEnd | None = None
    invoice_settings: InvoiceSettings | None = None
    payment_settings: PaymentSettings | None = None
    cancellation_details: Mapping[str, str | None] = field(default_factory=dict)
    add_invoice_items: Sequence[OneTime] = ()
    discounts: Sequence[AskedDiscount] | None = None


async def change_subscription(
    tx: AsyncConnection, asked: AskedChange, *, environment: str, id: str, now: datetime
) -> Subscription:
    """The changed subscription. `now` is the wall clock.

    Raises Missing (subscription, price, payment method), Refusal for what cannot be, and Declined under
    `error_if_incomplete`; then nothing was written.
    """
    before = await store.lock(tx, environment=environment, id=id)
    now = await moment(tx, environment=environment, test_clock=before.test_clock, now=now)
    change = await plan_change(tx, before, asked, now=now)
    await record_change(tx, before, change.subscription, now=now)
    await forget_dropped(tx, before, change.subscription, now=now)
    await bill_once(tx, change.subscription, asked.add_invoice_items, now=now)
    return await _bill(tx, before, change, asked, now=now)


async def plan_change(tx: AsyncConnection, before: Subscription, asked: AskedChange, *, now: datetime) -> Change:
    """What the change makes of the subscription, and what it makes due; nothing of it is recorded.

    Previews and changes both come from here. `now` is the customer's time, UTC. Raises as `change_subscription`.
    """
    _check_allowed(before, asked)
    agreed = await _agree(tx, before, asked, now=now)
    if asked.discounts is not None:
        reuse = await _reusable(tx, before)
        own = await redeem_for_subscription(tx, before, asked.discounts, amount=None, reuse=reuse, now=now)
        agreed = replace(agreed, discounts=own)
    change = await _carry_out(tx, agreed, asked, now=now)
    return replace(change, subscription=_settle_end(change.subscription, asked, now=now))


async def _reusable(tx: AsyncConnection, before: Subscription) -> set[str]:
    """The discounts that a change may name: those of the subscription, of its items and of its customer."""
    owner = (await customers.find_all(tx, [before.customer_id]))[before.customer_id]
    return {*kept_by(before), *ids_of(owner)}


def _check_allowed(subscription: Subscription, asked: AskedChange) -> None:
    bare = replace(
        asked,
        metadata=UNSAID,
        cancellation_details={},
        items=tuple(asked.items),
        add_invoice_items=tuple(asked.add_invoice_items),
    )
    if subscription.ended and bare != AskedChange():
        raise Refusal(
            "A canceled subscription can only update its cancellation_details and metadata.",
            code="invalid_canceled_subscription_fields",
        )
    if asked.payment_behavior == "pending_if_incomplete":
        raise Refusal(
            "Changes that wait for their payment are not available. Use `error_if_incomplete` to change nothing"
            " unless it is paid.",
            param="payment_behavior",
        )
    billed = asked.items or asked.anchor_now or asked.trial_end is not None or asked.trial_from_plan
    if subscription.status == "incomplete" and billed:
        raise Refusal(
            "This subscription waits for its first payment: until then only its metadata and payment method can be"
            " updated."
        )


async def _agree(tx: AsyncConnection, before: Subscription, asked: AskedChange, *, now: datetime) -> Subscription:
    """The subscription with the terms that bill nothing by themselves."""
    method = asked.collection_method or before.collection_method
    days = asked.days_until_due
    if days is None and method == "send_invoice":
        days = before.days_until_due
    terms.check_collection(method, days)
    default_method = _said(asked.default_payment_method, before.default_payment_method)
    if default_method != before.default_payment_method:
        owner = (await customers.find_all(tx, [before.customer_id]))[before.customer_id]
        await require_own_method(tx, owner, default_method, param="default_payment_method")
    pause = _said(asked.pause_collection, before.pause_collection)
    if pause is not None and pause.resumes_at is not None and pause.resumes_at <= now:
        raise Refusal("`resumes_at` must be in the future.", param="pause_collection[resumes_at]")
    return replace(
        before,
        collection_method=method,
        days_until_due=days,
        default_payment_method=default_method,
        default_tax_rates=await _rates(
            tx, before.environment, asked.default_tax_rates, before.default_tax_rates, param="default_tax_rates"
        ),
        description=_said(asked.description, before.description),
        metadata=_merged(before.metadata, asked.metadata),
        pause_collection=pause,
        trial_settings=asked.trial_settings or before.trial_settings,
        invoice_settings=asked.invoice_settings or before.invoice_settings,
        payment_settings=asked.payment_settings or before.payment_settings,
        cancellation=_detailed(before.cancellation, asked.cancellation_details),
    )


async def _carry_out(tx: AsyncConnection, agreed: Subscription, asked: AskedChange, *, now: datetime) -> Change:
    """The change of items, anchor and trial, and what it makes due."""
    changes, prices = await _item_changes(tx, agreed, asked, now=now)
    change = Change(subscription=agreed, prorations=(), charges=())
    if changes or asked.anchor_now:
        change = change_items(
            agreed,
            prices,
            changes,
            behavior=asked.proration_behavior,
            since=asked.proration_date or now,
            anchor_now=asked.anchor_now,
            now=now,
        )
    changed = change.subscription
    if asked.trial_end == "now":
        if changed.status != "trialing":
            return change
        ended = end_trial(changed, prices, payable=await payable(tx, changed), now=now)
        return replace(change, subscription=ended.subscription, charges=ended.billables)
    until = terms.trial_end(
        asked=asked.trial_end,
        days=None,
        from_plan=asked.trial_from_plan,
        prices=[prices[item.price] for item in changed.items],
        now=now,
    )
    if until is None:
        return change
    begun = begin_trial(changed, prices, until=until, behavior=asked.proration_behavior, now=now)
    return replace(begun, prorations=(*change.prorations, *begun.prorations))


async def _item_changes(
    tx: AsyncConnection, agreed: Subscription, asked: AskedChange, *, now: datetime
) -> tuple[list[ItemChange], Mapping[str, Price]]:
    """The changes of items with everything said, and all prices that play a part."""
    wanted = {item.param: item.price for item in asked.items if item.price is not None}
    found = await find_asked_prices(tx, environment=agreed.environment, asked=wanted, now=now)
    for param, price in found.items():
        check_price(price, currency=agreed.currency, param=within(param, "price"))
    prices = await find_prices(tx, agreed, also={price.id for price in found.values()})
    changes = [await _item_change(tx, agreed, item, found.get(item.param), prices) for item in asked.items]
    for place, item in enumerate(asked.items):
        change = changes[place]
        if item.discounts is not None and not isinstance(change, Removed):
            reuse = await _reusable(tx, agreed)
            own = await redeem_for_subscription(
                tx, agreed, item.discounts, amount=None, item=change.id, reuse=reuse, now=now
            )
            changes[place] = replace(change, discounts=own)
    _check_behaviors(agreed, asked, changes, prices)
    return changes, prices


async def _rates(
    tx: AsyncConnection,
    environment: str,
    asked: Sequence[str] | Unsaid,
    current: tuple[TaxRate, ...],
    *,
    param: str,
) -> tuple[TaxRate, ...]:
    if isinstance(asked, Unsaid):
        return current
    return await find_tax_rates(tx, environment, asked, already=current, param=param)


def _check_behaviors(
    agreed: Subscription, asked: AskedChange, changes: Sequence[ItemChange], prices: Mapping[str, Price]
) -> None:
    """Refuse tax rates, as far as they or their prices are new, that contradict what a price says of tax."""
    said = {change.id: change for change in changes if not isinstance(change, Removed)}
    params = {change.id: within(item.param, "tax_rates") for change, item in zip(changes, asked.items, strict=True)}
    removed = {change.id for change in changes if isinstance(change, Removed)}
    stay = [] if asked.default_tax_rates is UNSAID else [item for item in agreed.items if item.id not in removed]
    for item in {**{item.id: item for item in stay}, **said}.values():
        param = params[item.id] if item.tax_rates else "default_tax_rates"
        behavior = prices[item.price].tax_behavior
        check_behavior(behavior, item.tax_rates or agreed.default_tax_rates, param=param)


async def _item_change(
    tx: AsyncConnection,
    agreed: Subscription,
    asked: AskedItemChange,
    wanted: Price | None,
    prices: Mapping[str, Price],
) -> ItemChange:
    taxes, environment = within(asked.param, "tax_rates"), agreed.environment
    param = within(asked.param, "quantity")
    if asked.id is None:
        if wanted is None:
            path = within(asked.param, "price")
            raise Refusal(f"Missing required param: {path}.", code="parameter_missing", param=path)
        return Added(
            id=public("si"),
            sequence=uuid7(),
            price=wanted.id,
            quantity=settle_quantity(wanted, asked.quantity, param=param),
            tax_rates=await _rates(tx, environment, asked.tax_rates, (), param=taxes),
            metadata=_merged({}, asked.metadata),
        )
    if asked.deleted:
        return Removed(id=asked.id)
    item = agreed.item(asked.id)
    if item is None:
        raise Refusal(f"Invalid subscription_item id: {asked.id}")
    price = wanted or prices[item.price]
    unsaid = asked.quantity is None and price.id == item.price
    quantity = item.quantity if unsaid else settle_quantity(price, asked.quantity, param=param)
    return Altered(
        id=item.id,
        price=price.id,
        quantity=quantity,
        tax_rates=await _rates(tx, environment, asked.tax_rates, item.tax_rates, param=taxes),
        discounts=item.discounts,
        metadata=_merged(item.metadata, asked.metadata),
    )


def _settle_end(changed: Subscription, asked: AskedChange, *, now: datetime) -> Subscription:
    if asked.cancel_at is UNSAID or changed.ended:
        return changed
    if asked.cancel_at is None:
        return forget_end(changed) if changed.cancel_at is not None else changed
    prorates = asked.proration_behavior != "none" and isinstance(asked.cancel_at, datetime)
    return plan_end(changed, at=asked.cancel_at, prorates=prorates, now=now)


async def _bill(
    tx: AsyncConnection, before: Subscription, change: Change, asked: AskedChange, *, now: datetime
) -> Subscription:
    after = change.subscription
    waiting = bool(change.prorations) or bool(asked.add_invoice_items)
    at_once = asked.proration_behavior == "always_invoice" and waiting
    if not change.charges and not at_once:
        await pend_billables(tx, subscription=after, billables=change.prorations, now=now)
        return after
    start = min(item.period_start for item in before.items)
    return await bill_at_once(
        tx,
        after,
        (*change.prorations, *change.charges),
        reason="subscription_update",
        payment_behavior=asked.payment_behavior,
        off_session=asked.off_session,
        now=now,
        period=Period(start=min(start, now), end=now),
        proration_date=asked.proration_date,
    )


def _said(asked: T | Unsaid, current: T) -> T:
    return current if isinstance(asked, Unsaid) else asked


def _merged(current: Mapping[str, str], change: Mapping[str, str] | Unsaid | None) -> Mapping[str, str]:
    """Keys merge, an empty value deletes its key, null deletes all."""
    if isinstance(change, Unsaid):
        return current
    if change is None:
        return {}
    return {key: text for key, text in {**current, **change}.items() if text != ""}


def _detailed(current: Cancellation, change: Mapping[str, str | None]) -> Cancellation:
    return replace(
        current,
        comment=change.get("comment", current.comment),
        feedback=change.get("feedback", current.feedback),
    )
