"""Buy value for a wallet: asked for, paid at the processor, credited once; by hand, or by the wallet's own rule."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.money import check_currency, minimum_payment, to_major, to_minor
from meterline.payment.payment import Payment
from meterline.refusal import Refusal
from meterline.store import asset as assets
from meterline.store import customer as customers
from meterline.store import payment as payments
from meterline.store import payment_method
from meterline.store import top_up as store
from meterline.store.identifier import public
from meterline.store.top_up import TopUp
from meterline.usecase.credit_top_up import plan_recharge
from meterline.usecase.take_payment import confirm_payment, request_payment
from meterline.usecase.tell_wallet import tell_top_up, tell_wallet
from meterline.usecase.work_wallet import work_on
from meterline.wallet.news import UNREMARKABLE
from meterline.wallet.recharge import NoRecharge, Recharge, decide

LIFETIME = timedelta(hours=24)
"""How long the hosted page of a top-up can be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a top-up is to be: `amount` in major units of `currency`, for `asset` (None: the currency itself).

    `exchange_rate` is what one unit costs (None: as the asset's rate says).
    """

    amount: Decimal
    currency: str
    asset: str | None = None
    exchange_rate: Decimal | None = None
    description: str | None = None
    return_url: str | None = None
    failure_url: str | None = None
    credit_expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Paid:
    """The top-up after somebody tried to pay it, and its payment; null where nobody was asked."""

    top_up: TopUp
    payment: Payment | None = None


async def begin(
    tx: AsyncConnection,
    *,
    environment: str,
    customer_id: UUID,
    asked: Asked,
    secret: str,
    metadata: dict[str, Any],
    automatic: bool = False,
    now: datetime,
) -> TopUp:
    """Ask for money; nothing is credited before it arrived. Refuses amounts that cannot be collected.

    A custom unit is bought at the rate of now, which is kept with the top-up.
    """
    currency = check_currency(asked.currency)
    minor = to_minor(asked.amount, currency)
    if minor != int(minor) or minor < minimum_payment(currency):
        raise Refusal(
            f"A top-up is {minimum_payment(currency)} or more whole minor units of {currency}.",
            code="amount_invalid",
            param="amount",
        )
    asset = asked.asset or currency.upper()
    amount = asked.amount
    if asset != currency.upper():
        amount = await _bought(tx, environment, asked, asset, currency.upper(), now)
    owner = (await customers.find_all(tx, [customer_id]))[customer_id]
    id, payment = public("top"), public("pi")
    new = TopUp(
        environment=environment,
        customer_id=customer_id,
        id=id,
        status="initiated",
        currency=currency,
        price=int(minor),
        asset=asset,
        amount=amount,
        description=asked.description,
        secret=secret,
        return_url=asked.return_url,
        failure_url=asked.failure_url,
        payment=payment,
        automatic=automatic,
        credit_expires_at=asked.credit_expires_at,
        metadata=metadata,
        created=now,
        expires_at=now + LIFETIME,
    )
    await store.add(tx, new)
    await tell_top_up(tx, "topup.created", new, now=now)
    await request_payment(
        tx,
        Payment(
            environment=environment,
            customer_id=customer_id,
            id=payment,
            customer=owner.id,
            invoice=None,
            amount=new.price,
            currency=currency,
            status="requires_payment_method",
            client_secret=f"{payment}_{public('secret')}",
            created=now,
            description=asked.description,
            top_up=id,
        ),
        now=now,
    )
    return new


async def _bought(
    tx: AsyncConnection, environment: str, asked: Asked, asset: str, currency: str, now: datetime
) -> Decimal:
    """How much of a unit the money buys: at the rate asked for, or at that of the day."""
    if asked.exchange_rate is None:
        return await assets.units_for(tx, environment, asset, asked.amount, currency, at=now)
    return assets.units_at(asked.amount, asked.exchange_rate, await assets.precision(tx, environment, asset))


async def pay(
    tx: AsyncConnection, *, environment: str, id: str, method: str, now: datetime, off_session: bool = False
) -> Paid:
    """Collect the money with a payment method; the wallet is credited once it is known to have arrived.

    A top-up that was paid before is returned as it is: one payment credits once. A refused one can be tried again.
    """
    asked = await store.find(tx, environment, id)
    if asked.status == "succeeded":
        return Paid(top_up=asked)
    if asked.status == "expired" or asked.expires_at <= now:
        raise Refusal("The top-up has expired.", code="top_up_expired")
    payment = await payments.get(tx, environment, asked.payment)
    taken = await confirm_payment(
        tx, payment, method=method, off_session=off_session, refuse_action=off_session, now=now
    )
    return Paid(top_up=await store.find(tx, environment, id), payment=taken.payment)


async def recharge(
    tx: AsyncConnection, *, environment: str, customer_id: UUID, asset: str, now: datetime
) -> TopUp | None:
    """Buy value by the wallet's own rule, if the rule says so now; what was decided is kept, and why.

    A customer who was deleted is never charged.
    """
    rule = await store.rule(tx, customer_id, asset)
    owner = (await customers.find_all(tx, [customer_id])).get(customer_id)
    if rule is None or owner is None or owner.deleted:
        return None
    if not await _still_saved(tx, environment, customer_id, rule.payment_method):
        rule = replace(rule, payment_method=None)
    work = await work_on(tx, environment=environment, customer_id=customer_id, now=now, active=False)
    available = work.pocket(asset).available(now)
    history = await store.history(tx, customer_id, asset, now=now)
    decision = decide(rule, available=available, history=history, now=now)
    if not isinstance(decision, Recharge):
        await _not_now(
            tx,
            decision,
            environment=environment,
            customer_id=customer_id,
            asset=asset,
            available=available,
            now=now,
        )
        return None
    asked = Asked(
        amount=collectable(decision.amount, asset.lower()), currency=asset.lower(), description="Auto-recharge"
    )
    made = await begin(
        tx,
        environment=environment,
        customer_id=customer_id,
        asked=asked,
        secret=public("secret"),
        metadata={},
        automatic=True,
        now=now,
    )
    await tell_top_up(tx, "autotopup.attempted", made, now=now)
    assert rule.payment_method is not None, "who has no way to pay is not charged"
    paid = await pay(tx, environment=environment, id=made.id, method=rule.payment_method, off_session=True, now=now)
    await store.log(
        tx,
        environment=environment,
        customer_id=customer_id,
        asset=asset,
        decision=_DECISION[paid.top_up.status],
        available=available,
        amount=asked.amount,
        top_up_id=made.id,
        now=now,
    )
    return paid.top_up


_DECISION = {"succeeded": "recharged", "failed": "declined", "pending": "unanswered"}


async def _still_saved(tx: AsyncConnection, environment: str, customer_id: UUID, method: str | None) -> bool:
    """Whether the payment method is (still) the customer's."""
    found = None if method is None else (await payment_method.find(tx, environment, [method])).get(method)
    return found is not None and found.customer_id == customer_id


async def _not_now(
    tx: AsyncConnection,
    decision: NoRecharge,
    *,
    environment: str,
    customer_id: UUID,
    asset: str,
    available: Decimal,
    now: datetime,
) -> None:
    """Keep why nothing is bought, tell what somebody should hear of, and look again when that is worth it."""
    await store.log(
        tx,
        environment=environment,
        customer_id=customer_id,
        asset=asset,
        decision=decision.reason,
        available=available,
        again_at=decision.again_at,
        now=now,
    )
    if decision.reason not in UNREMARKABLE:
        await tell_wallet(
            tx,
            environment=environment,
            customer_id=customer_id,
            topic="autotopup.blocked",
            about=asset,
            asset=asset,
            reason=decision.reason,
            again_at=decision.again_at,
            now=now,
        )
    if decision.again_at is not None:
        await plan_recharge(tx, environment=environment, customer_id=customer_id, asset=asset, at=decision.again_at)


def collectable(amount: Decimal, currency: str) -> Decimal:
    """The amount in whole minor units, not less than asked, and not less than can be collected."""
    minor = max(-int(-to_minor(amount, currency) // 1), minimum_payment(currency))
    return to_major(minor, currency)
