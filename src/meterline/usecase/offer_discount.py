"""Lower what a checkout asks for: by the discount it was opened with, or by a code that the payer types."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.customer import Customer
from meterline.payment.checkout import Checkout, require_open, with_coupon
from meterline.refusal import Refusal
from meterline.store import checkout as store
from meterline.store import customer as customers
from meterline.store import promotion_code as codes
from meterline.usecase.redeem_coupon import AskedDiscount, Purchase, find_wanted


async def offer_discount(
    tx: AsyncConnection, session: Checkout, asked: AskedDiscount, *, owner: Customer | None, now: datetime
) -> Checkout:
    """The session, not stored, with what the coupon or code will take off. Nothing is counted before it is paid.

    `now` is the customer's time, UTC. Raises Missing, and Refusal for what could not be redeemed.
    """
    [wanted] = await find_wanted(tx, [asked], purchase_of(session, owner, now=now))
    assert not isinstance(wanted, str), "a checkout has no discounts that it could name"
    code = None if wanted.code is None else wanted.code.id
    return with_coupon(session, wanted.coupon, promotion_code=code, param=wanted.param)


async def type_code(tx: AsyncConnection, seen: Checkout, typed: str, *, now: datetime) -> Checkout:
    """The session with the code that its payer typed, or with none where they typed nothing; stored.

    `now` is the customer's time, UTC. Raises Refusal for a code that is none, or is not for this purchase.
    """
    session = await store.get(tx, seen.environment, seen.id, lock=True)
    require_open(session, now=now, act="discounted")
    if not session.allow_promotion_codes or session.payment is not None or session.setup is not None:
        raise Refusal("This checkout does not take promotion codes.")
    if not typed:
        after = with_coupon(session, None, promotion_code=None, param="promotion_code")
    else:
        owner = None
        if session.customer is not None:
            owner = await customers.get(tx, session.environment, session.customer)
        asked = AskedDiscount(param="", promotion_code=await _named(tx, session, typed))
        after = await offer_discount(tx, session, asked, owner=owner, now=now)
    await store.save(tx, after)
    return after


async def _named(tx: AsyncConnection, session: Checkout, typed: str) -> str:
    """The id of the active code that reads like that: the customer's own, or one for anybody."""
    found = await codes.reading(tx, session.environment, typed)
    for whose in (session.customer, None):
        for each in found:
            if each.customer == whose:
                return each.id
    raise Refusal("This code is invalid.")


def asked_for(session: Checkout) -> list[AskedDiscount]:
    """What is redeemed when the session is paid."""
    if session.coupon is None:
        return []
    if session.promotion_code is not None:
        return [AskedDiscount(param="discounts[0]", promotion_code=session.promotion_code)]
    return [AskedDiscount(param="discounts[0]", coupon=session.coupon.id)]


def purchase_of(session: Checkout, owner: Customer | None, *, now: datetime) -> Purchase:
    """What the session sells."""
    return Purchase(
        environment=session.environment,
        customer_id=session.customer_id if owner is None else owner.customer_id,
        customer=None if owner is None else owner.id,
        test_clock=None if owner is None else owner.test_clock,
        now=now,
        currency=session.currency,
        amount=session.subtotal,
        checkout_session=session.id,
    )
