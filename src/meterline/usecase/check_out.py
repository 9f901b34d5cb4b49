"""A hosted checkout from its link to its end: opened, paid by whoever has the link, or expired."""

import secrets
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.customer import Customer, prefix_from
from meterline.gateway.processor import CardDetails
from meterline.payment.checkout import Checkout, require_open
from meterline.payment.method import BillingDetails, PaymentMethod
from meterline.payment.payment import Payment, Refused
from meterline.payment.setup import Setup
from meterline.refusal import Declined, Refusal
from meterline.store import checkout as store
from meterline.store import customer as customers
from meterline.store import due
from meterline.store import payment as payments
from meterline.store import setup_intent as setups
from meterline.store.identifier import public, uuid7
from meterline.usecase.attach_payment_method import attach_payment_method
from meterline.usecase.complete_checkout import EXPIRE as EXPIRE
from meterline.usecase.complete_checkout import complete_checkout, tell_checkout
from meterline.usecase.create_customer import create_customer
from meterline.usecase.create_payment_method import create_payment_method
from meterline.usecase.create_subscription import Asked, AskedItem, create_subscription
from meterline.usecase.offer_discount import asked_for, purchase_of
from meterline.usecase.redeem_coupon import redeem
from meterline.usecase.set_up_method import confirm_setup, request_setup
from meterline.usecase.take_payment import confirm_payment, request_payment


@dataclass(frozen=True, slots=True, kw_only=True)
class Payer:
    """Who pays, as they say on the page, and their card; where nothing is to be paid, there is none."""

    card: CardDetails | None
    name: str | None = None
    email: str | None = None


async def open_checkout(tx: AsyncConnection, new: Checkout, *, clock: str | None) -> Checkout:
    """Store a new session and plan its end."""
    await store.add(tx, new)
    await due.add(
        tx,
        environment=new.environment,
        customer_id=new.customer_id,
        kind=EXPIRE,
        subject=new.id,
        boundary=new.expires_at,
        due_at=new.expires_at,
        clock=clock,
    )
    return new


async def pay_checkout(tx: AsyncConnection, seen: Checkout, payer: Payer, *, now: datetime) -> Checkout:
    """What came of the payer's card: the session complete, or open still where its holder has to confirm.

    Raises Refusal when the session is over, Declined when the card is refused; the transaction is to be rolled
    back then. `now` is the customer's time, UTC.
    """
    session = await store.get(tx, seen.environment, seen.id, lock=True)
    require_open(session, now=now, act="paid")
    session = replace(session, payer_name=payer.name, payer_email=payer.email or session.email)
    if session.free:
        return await _give(tx, session, now=now)
    if payer.card is None:
        raise Declined("Enter the card's number.", code="incorrect_number", param="number")
    method = await create_payment_method(
        tx,
        environment=session.environment,
        details=payer.card,
        billing_details=BillingDetails(name=payer.name, email=session.payer_email),
        now=now,
    )
    if session.customer is None and (session.mode == "subscription" or session.make_customer):
        made = await _customer(tx, session, now=now)
        session = replace(session, customer=made.id)
    match session.mode:
        case "payment":
            return await _pay(tx, session, method, now=now)
        case "setup":
            return await _set_up(tx, session, method, now=now)
        case "subscription":
            return await _subscribe(tx, session, method, now=now)


async def _give(tx: AsyncConnection, session: Checkout, *, now: datetime) -> Checkout:
    """A session that a discount made free: its payer is known, and there is nothing to pay."""
    if session.customer is None and session.make_customer:
        session = replace(session, customer=(await _customer(tx, session, now=now)).id)
    session = await _redeemed(tx, session, await _owner(tx, session), now=now)
    return await complete_checkout(tx, session, now=now)


async def _redeemed(tx: AsyncConnection, session: Checkout, owner: Customer | None, *, now: datetime) -> Checkout:
    """The session with its coupon redeemed for what is paid at once, at the first try."""
    if session.coupon is None or session.discount is not None:
        return session
    purchase = purchase_of(session, owner, now=now)
    [made] = await redeem(tx, asked_for(session), purchase)
    return replace(session, discount=made)


async def _customer(tx: AsyncConnection, session: Checkout, *, now: datetime) -> Customer:
    new = Customer(
        environment=session.environment,
        customer_id=uuid7(),
        id=public("cus"),
        created=now,
        name=session.payer_name,
        email=session.payer_email,
        invoice_prefix=prefix_from(secrets.randbits(64)),
    )
    return await create_customer(tx, new=new, now=now)


async def _owner(tx: AsyncConnection, session: Checkout) -> Customer | None:
    return None if session.customer is None else await customers.get(tx, session.environment, session.customer)


async def _pay(tx: AsyncConnection, session: Checkout, method: PaymentMethod, *, now: datetime) -> Checkout:
    owner = await _owner(tx, session)
    session = await _redeemed(tx, session, owner, now=now)
    payment = await _payment(tx, session, owner, now=now)
    await store.save(tx, replace(session, payment=payment.id))
    taken = await confirm_payment(tx, payment, method=method.id, off_session=False, now=now)
    if isinstance(taken.outcome, Refused):
        refused = taken.outcome
        raise Declined(refused.message, code=refused.code, decline_code=refused.decline_code)
    return await store.get(tx, session.environment, session.id)


async def _payment(tx: AsyncConnection, session: Checkout, owner: Customer | None, *, now: datetime) -> Payment:
    """The payment of the session, made at the first try."""
    if session.payment is not None:
        return await payments.get(tx, session.environment, session.payment)
    assert session.currency is not None, "what is paid has a currency"
    id = public("pi")
    new = Payment(
        environment=session.environment,
        customer_id=session.customer_id if owner is None else owner.customer_id,
        id=id,
        customer=None if owner is None else owner.id,
        invoice=None,
        amount=session.amount,
        tax=session.tax,
        currency=session.currency,
        status="requires_payment_method",
        client_secret=f"{id}_{public('secret')}",
        created=now,
        setup_future_usage=session.setup_future_usage,
        description=session.description,
        metadata=session.result_metadata,
    )
    return await request_payment(tx, new, now=now)


async def _set_up(tx: AsyncConnection, session: Checkout, method: PaymentMethod, *, now: datetime) -> Checkout:
    owner = await _owner(tx, session)
    id = public("seti")
    new = Setup(
        environment=session.environment,
        customer_id=session.customer_id if owner is None else owner.customer_id,
        id=id,
        customer=None if owner is None else owner.id,
        status="requires_payment_method",
        client_secret=f"{id}_{public('secret')}",
        created=now,
        metadata=session.result_metadata,
    )
    done = await confirm_setup(tx, await request_setup(tx, new, now=now), method=method.id, now=now)
    if done.refused is not None:
        raise Declined(done.refused.message, code=done.refused.code, decline_code=done.refused.decline_code)
    session = replace(session, setup=id)
    if done.setup.status == "succeeded":
        return await complete_checkout(tx, session, now=now)
    await store.save(tx, session)
    return session


async def _subscribe(tx: AsyncConnection, session: Checkout, method: PaymentMethod, *, now: datetime) -> Checkout:
    assert session.customer is not None, "a subscription has a customer"
    owner = await customers.get(tx, session.environment, session.customer, lock=True)
    attached = await attach_payment_method(tx, customer=owner, id=method.id, now=now)
    asked = Asked(
        environment=session.environment,
        customer=owner.id,
        items=[
            AskedItem(
                param=f"line_items[{place}]",
                price=line.price,
                quantity=line.quantity,
                tax_rates=[rate.id for rate in line.tax_rates],
            )
            for place, line in enumerate(session.lines)
        ],
        default_tax_rates=[rate.id for rate in session.default_tax_rates],
        agreed_rates=list(session.rates.values()),
        trial_period_days=session.trial_days,
        default_payment_method=attached.id,
        description=session.description,
        metadata=session.result_metadata,
        payment_behavior="error_if_incomplete",
        discounts=asked_for(session),
    )
    made = await create_subscription(tx, asked, now=now)
    return await complete_checkout(tx, replace(session, subscription=made.id, invoice=made.latest_invoice), now=now)


async def finish_checkout(tx: AsyncConnection, seen: Checkout, *, now: datetime) -> Checkout:
    """Close a session whose card's holder has confirmed meanwhile; unchanged as long as nothing was taken."""
    session = await store.get(tx, seen.environment, seen.id, lock=True)
    if session.status != "open":
        return session
    if session.payment is not None:
        payment = await payments.get(tx, session.environment, session.payment)
        if payment.status == "succeeded":
            return await complete_checkout(tx, session, now=now)
    if session.setup is not None:
        setup = await setups.get(tx, session.environment, session.setup)
        if setup.status == "succeeded":
            return await complete_checkout(tx, session, now=now)
    return session


async def expire_checkout(tx: AsyncConnection, seen: Checkout, *, now: datetime) -> Checkout:
    """Close a session nobody finished. Refuses one that is over, or whose money is on its way."""
    session = await finish_checkout(tx, seen, now=now)
    if session.status != "open":
        raise Refusal(f'Only Checkout Sessions with a status in ["open"] can be expired. This one is {session.status}.')
    after = replace(session, status="expired")
    await store.save(tx, after)
    await due.remove(tx, customer_id=after.customer_id, subject=after.id, kinds=[EXPIRE])
    await tell_checkout(tx, "checkout.session.expired", after, now=now)
    return after


async def expire_due(tx: AsyncConnection, *, environment: str, id: str, now: datetime) -> None:
    """The time of a session is over."""
    found = (await store.find(tx, environment, [id])).get(id)
    if found is not None and (await finish_checkout(tx, found, now=now)).status == "open":
        await expire_checkout(tx, found, now=now)
