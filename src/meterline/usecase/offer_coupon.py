"""Offer coupons and promotion codes, change what may change of them, and take them back."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.discount import Coupon, PromotionCode
from meterline.discount import coupon as coupon_rules
from meterline.discount import promotion_code as code_rules
from meterline.refusal import Missing, Refusal
from meterline.store import coupon as coupons
from meterline.store import customer as customers
from meterline.store import product
from meterline.store import promotion_code as codes
from meterline.usecase.tell_coupon import tell_code, tell_coupon

Merge = Callable[[Mapping[str, str]], Mapping[str, str]]
"""From the metadata there is to the metadata there shall be."""


async def create_coupon(tx: AsyncConnection, *, new: Coupon, now: datetime) -> Coupon:
    """Store a new coupon and tell it. `now` is the wall clock. Raises Missing for its products, Refusal."""
    coupon_rules.check_terms(new, now=now)
    wanted = new.products or ()
    known = await product.find(tx, new.environment, wanted)
    for place, id in enumerate(wanted):
        if id not in known:
            raise Missing("product", id, param=f"applies_to[products][{place}]")
    await coupons.add(tx, new)
    await tell_coupon(tx, "coupon.created", new, now=now)
    return new


async def change_coupon(
    tx: AsyncConnection,
    *,
    environment: str,
    id: str,
    options: Mapping[str, int],
    name: tuple[str | None, ...],
    metadata: Merge,
    now: datetime,
) -> Coupon:
    """The coupon with another name (where one is said), metadata, and amounts in further currencies (minor units).

    Discounts that were made of it keep what they have. Raises Missing, Refusal.
    """
    before = await coupons.lock(tx, environment, id)
    after = replace(
        before,
        name=name[0] if name else before.name,
        metadata=metadata(before.metadata),
        currency_options={**before.currency_options, **options},
    )
    coupon_rules.check_options(after)
    if after != before:
        await coupons.save(tx, after)
        await tell_coupon(tx, "coupon.updated", after, previous=before, now=now)
    return after


async def delete_coupon(tx: AsyncConnection, *, environment: str, id: str, now: datetime) -> Coupon:
    """The coupon, deleted; its promotion codes are switched off. Raises Missing."""
    gone = replace(await coupons.lock(tx, environment, id), deleted=True)
    await coupons.save(tx, gone)
    await tell_coupon(tx, "coupon.deleted", gone, now=now)
    for code in await codes.active(tx, environment, coupon=id):
        await _switched_off(tx, code, gone, now=now)
    return gone


async def create_code(tx: AsyncConnection, *, new: PromotionCode, now: datetime) -> PromotionCode:
    """Store a new promotion code and tell it. `now` is the wall clock.

    A code of the same words that does not work any more makes room. Raises Missing for coupon and customer, Refusal.
    """
    coupon = (await coupons.find(tx, new.environment, [new.coupon])).get(new.coupon)
    if coupon is None or coupon.deleted:
        raise Missing("coupon", new.coupon, param="promotion[coupon]")
    if new.customer is not None:
        await customers.get(tx, new.environment, new.customer)
    code_rules.check_terms(new, coupon, now=now)
    await _make_room(tx, new, now=now)
    await codes.add(tx, new)
    await tell_code(tx, "promotion_code.created", new, coupon, now=now)
    return new


async def change_code(
    tx: AsyncConnection,
    *,
    environment: str,
    id: str,
    active: bool | None,
    minimum_amounts: Mapping[str, int],
    metadata: Merge,
    now: datetime,
) -> PromotionCode:
    """The promotion code switched on or off, with other metadata or least amounts (minor units) by currency.

    Raises Missing, and Refusal for one that could not be redeemed anyway or whose words another one has now.
    """
    before = await codes.lock(tx, environment, id)
    coupon = (await coupons.find(tx, environment, [before.coupon]))[before.coupon]
    restrictions = before.restrictions
    if restrictions.minimum_currency is None and minimum_amounts:
        raise Refusal(
            "This promotion code has no `minimum_amount` that could be defined in other currencies.",
            param="restrictions[currency_options]",
        )
    if restrictions.minimum_currency in minimum_amounts:
        raise Refusal(
            f"The minimum amount in {restrictions.minimum_currency} cannot be changed.",
            param=f"restrictions[currency_options][{restrictions.minimum_currency}]",
        )
    amounts = {**restrictions.minimum_amounts, **minimum_amounts}
    after = replace(
        before,
        active=before.active if active is None else active,
        restrictions=replace(restrictions, minimum_amounts=amounts),
        metadata=metadata(before.metadata),
    )
    if after.active and not before.active:
        if not after.usable(coupon, now=now):
            raise Refusal("This promotion code cannot be activated: it could not be redeemed.", param="active")
        await _make_room(tx, after, now=now)
    if after != before:
        await codes.save(tx, after)
        await tell_code(tx, "promotion_code.updated", after, coupon, previous=before, now=now)
    return after


async def _make_room(tx: AsyncConnection, new: PromotionCode, *, now: datetime) -> None:
    """Switch off a code of the same words that does not work any more; refuses where one does."""
    if not new.active:
        return
    found = [
        each
        for each in await codes.active(tx, new.environment, code=new.code)
        if each.customer == new.customer and each.id != new.id
    ]
    known = await coupons.find(tx, new.environment, [each.coupon for each in found])
    for each in found:
        if each.usable(known[each.coupon], now=now):
            raise codes.taken(new)
        await _switched_off(tx, each, known[each.coupon], now=now)


async def _switched_off(tx: AsyncConnection, code: PromotionCode, coupon: Coupon, *, now: datetime) -> None:
    after = replace(code, active=False)
    await codes.save(tx, after)
    await tell_code(tx, "promotion_code.updated", after, coupon, previous=code, now=now)
