"""Redeem coupons and promotion codes: each becomes a discount, and is counted once."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.discount import Coupon, Discount, PromotionCode
from meterline.discount import coupon as coupon_rules
from meterline.discount import promotion_code as code_rules
from meterline.discount.discount import MOST, end_of
from meterline.invoice.item import InvoiceItem
from meterline.invoice.model import Invoice
from meterline.refusal import Missing, Refusal
from meterline.store import coupon as coupons
from meterline.store import discount as store
from meterline.store import due, payment
from meterline.store import promotion_code as codes
from meterline.store.identifier import public
from meterline.usecase.find_prices import within
from meterline.usecase.tell_coupon import tell_code, tell_coupon, tell_discount

END = "discount_end"
"""The kind of due work that takes a discount away whose months are over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedDiscount:
    """A discount as the caller asks for it, by one of its three names; `param` is where (`discounts[0]`), empty at
    the top."""

    param: str
    coupon: str | None = None
    promotion_code: str | None = None
    discount: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """What coupons are redeemed for: whose bill, in which currency, and which object gets the discounts.

    `customer` is the public id of `customer_id`, null for a checkout of nobody known. `amount` (minor units) is what
    is bought, null where that may change; `now` is the customer's time, UTC.
    """

    environment: str
    customer_id: UUID
    customer: str | None
    test_clock: str | None
    now: datetime
    currency: str | None = None
    amount: int | None = None
    subscription: str | None = None
    subscription_item: str | None = None
    invoice: str | None = None
    invoice_item: str | None = None
    checkout_session: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A coupon that can be redeemed, by a code where it is asked for by one; `param` is where."""

    param: str
    coupon: Coupon
    code: PromotionCode | None


async def redeem(
    tx: AsyncConnection,
    asked: Sequence[AskedDiscount],
    purchase: Purchase,
    *,
    reuse: Collection[str] = (),
    replaced: Discount | None = None,
) -> tuple[str, ...]:
    """The ids of the discounts, in the order asked for: new ones, and existing ones that are among `reuse`.

    A new one takes the place of the one that is `replaced`, and is told so.
    Raises Missing for what does not exist, Refusal for what cannot be redeemed; then nothing was counted.
    """
    wanted = await find_wanted(tx, asked, purchase, reuse=reuse)
    await _count(tx, [each for each in wanted if isinstance(each, Wanted)], now=purchase.now)
    made = [each if isinstance(each, str) else _discount(each, purchase) for each in wanted]
    new = [each for each in made if isinstance(each, Discount)]
    for each in new:
        await store.add(tx, each)
        await _plan_end(tx, each, clock=purchase.test_clock)
        type = "customer.discount.created" if replaced is None else "customer.discount.updated"
        await tell_discount(tx, type, each, previous=replaced, now=purchase.now)
    return tuple(each if isinstance(each, str) else each.id for each in made)


async def redeem_for(
    tx: AsyncConnection, draft: Invoice, asked: Sequence[AskedDiscount], *, reuse: Collection[str], now: datetime
) -> tuple[str, ...]:
    """As `redeem`, for a draft as a whole."""
    amount = sum(line.amount for line in draft.lines)
    return await redeem(tx, asked, replace(purchase_for(draft, amount=amount, now=now), invoice=draft.id), reuse=reuse)


def purchase_for(draft: Invoice, *, amount: int, now: datetime, invoice_item: str | None = None) -> Purchase:
    """Something on a draft, of that amount."""
    return Purchase(
        environment=draft.environment,
        customer_id=draft.customer_id,
        customer=draft.customer,
        test_clock=draft.test_clock,
        now=now,
        currency=draft.currency,
        amount=amount,
        invoice_item=invoice_item,
    )


async def redeem_for_item(
    tx: AsyncConnection, item: InvoiceItem, asked: Sequence[AskedDiscount], *, reuse: Collection[str], now: datetime
) -> tuple[str, ...]:
    """As `redeem`, for an invoice item, pending or on a draft."""
    purchase = Purchase(
        environment=item.environment,
        customer_id=item.customer_id,
        customer=item.customer,
        test_clock=item.test_clock,
        now=now,
        currency=item.currency,
        amount=item.amount,
        invoice_item=item.id,
    )
    return await redeem(tx, asked, purchase, reuse=reuse)


async def find_wanted(
    tx: AsyncConnection, asked: Sequence[AskedDiscount], purchase: Purchase, *, reuse: Collection[str] = ()
) -> list[Wanted | str]:
    """What is asked for, checked and not yet counted: coupons, or the ids of discounts that are kept."""
    if len(asked) > MOST:
        raise Refusal(f"Invalid array: must contain at most {MOST} elements", param="discounts")
    known_codes = await codes.find(tx, purchase.environment, [each.promotion_code or "" for each in asked])
    named = {each.coupon for each in asked if each.coupon} | {each.coupon for each in known_codes.values()}
    known = await coupons.find(tx, purchase.environment, sorted(named))
    wanted: list[Wanted | str] = []
    for each in asked:
        _require_one_name(each)
        if each.discount is not None:
            if each.discount not in reuse:
                raise Missing("discount", each.discount, param=within(each.param, "discount"))
            wanted.append(each.discount)
        elif each.coupon is not None:
            wanted.append(_of_coupon(each.coupon, known, purchase, param=within(each.param, "coupon")))
        else:
            wanted.append(await _of_code(tx, each, known_codes, known, purchase))
    return wanted


def _require_one_name(asked: AskedDiscount) -> None:
    names = ("coupon", "discount", "promotion_code")
    said = [name for name in names if getattr(asked, name) is not None]
    if len(said) != 1:
        raise Refusal(
            f"You must specify exactly one of these parameters: {', '.join(names)}.", param=asked.param or None
        )


def _of_coupon(id: str, known: Mapping[str, Coupon], purchase: Purchase, *, param: str) -> Wanted:
    found = known.get(id)
    if found is None or found.deleted:
        raise Missing("coupon", id, param=param)
    coupon_rules.require_redeemable(found, currency=purchase.currency, now=purchase.now, param=param)
    return Wanted(param=param, coupon=found, code=None)


async def _of_code(
    tx: AsyncConnection,
    asked: AskedDiscount,
    known_codes: Mapping[str, PromotionCode],
    known: Mapping[str, Coupon],
    purchase: Purchase,
) -> Wanted:
    id, param = asked.promotion_code or "", within(asked.param, "promotion_code")
    code = known_codes.get(id)
    if code is None:
        raise Missing("promotion code", id, param=param)
    new = not code.restrictions.first_time_transaction or not await _paid_before(tx, purchase)
    code_rules.require_redeemable(
        code,
        customer=purchase.customer,
        first_time=new,
        amount=purchase.amount,
        currency=purchase.currency,
        now=purchase.now,
        param=param,
    )
    coupon_rules.require_redeemable(known[code.coupon], currency=purchase.currency, now=purchase.now, param=param)
    return Wanted(param=param, coupon=known[code.coupon], code=code)


async def _paid_before(tx: AsyncConnection, purchase: Purchase) -> bool:
    return purchase.customer is not None and await payment.paid_before(tx, customer_id=purchase.customer_id)


async def _count(tx: AsyncConnection, wanted: Sequence[Wanted], *, now: datetime) -> None:
    """Count each redemption; in one order everywhere, so that two calls never wait for each other."""
    counted: dict[str, Coupon] = {}
    for each in sorted(wanted, key=lambda one: one.coupon.id):
        after = await coupons.redeem(tx, each.coupon)
        if after is None:
            raise Refusal(
                f"Coupon {each.coupon.id} is expired and cannot be applied.", code="coupon_expired", param=each.param
            )
        before = replace(after, times_redeemed=after.times_redeemed - 1)
        await tell_coupon(tx, "coupon.updated", after, previous=before, now=now)
        counted[after.id] = after
    typed = [(each.code, each) for each in wanted if each.code is not None]
    for code, each in sorted(typed, key=lambda one: one[0].id):
        spent = await codes.redeem(tx, code)
        if spent is None:
            raise code_rules.used_up(each.param)
        unspent = replace(spent, times_redeemed=spent.times_redeemed - 1)
        await tell_code(tx, "promotion_code.updated", spent, counted[each.coupon.id], previous=unspent, now=now)


def _discount(wanted: Wanted, purchase: Purchase) -> Discount:
    return Discount(
        environment=purchase.environment,
        customer_id=purchase.customer_id,
        id=public("di"),
        customer=purchase.customer,
        coupon=wanted.coupon,
        start=purchase.now,
        end=end_of(wanted.coupon, start=purchase.now),
        promotion_code=None if wanted.code is None else wanted.code.id,
        subscription=purchase.subscription,
        subscription_item=purchase.subscription_item,
        invoice=purchase.invoice,
        invoice_item=purchase.invoice_item,
        checkout_session=purchase.checkout_session,
    )


async def _plan_end(tx: AsyncConnection, new: Discount, *, clock: str | None) -> None:
    """Plan that a discount which goes from bill to bill is taken away when its months are over."""
    if new.end is not None and new.kept_on in ("customer", "subscription", "subscription_item"):
        await due.add(
            tx,
            environment=new.environment,
            customer_id=new.customer_id,
            kind=END,
            subject=new.id,
            boundary=new.end,
            due_at=new.end,
            clock=clock,
        )
