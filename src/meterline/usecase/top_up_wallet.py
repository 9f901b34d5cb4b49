"""Buy value for a wallet: asked for, paid at the processor, credited once; by hand, or by the wallet's own rule."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.gateway.processor import Collection
from meterline.ledger.account import Account
from meterline.ledger.posting import units_paid
from meterline.ledger.transaction import Cause
from meterline.money import check_currency, minimum_payment, round_debit, to_major, to_minor
from meterline.payment.payment import Outcome, Succeeded, Unknown
from meterline.payment.payment import Refused as CardRefused
from meterline.refusal import Refusal
from meterline.store import asset as assets
from meterline.store import customer as customers
from meterline.store import due, payment_method
from meterline.store import top_up as store
from meterline.store.identifier import public
from meterline.store.top_up import TopUp
from meterline.usecase.collect_payment import PROCESSORS
from meterline.usecase.move_funds import NewGrant, put_grant
from meterline.usecase.tell_wallet import tell_top_up, tell_wallet
from meterline.usecase.work_wallet import Work, work_on
from meterline.wallet.news import UNREMARKABLE
from meterline.wallet.recharge import NoRecharge, Recharge, RechargeRule, decide

LIFETIME = timedelta(hours=24)
"""How long the hosted page of a top-up can be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a top-up is to be: `amount` in major units of `currency`, for `asset` (None: the currency itself)."""

    amount: Decimal
    currency: str
    asset: str | None = None
    description: str | None = None
    return_url: str | None = None
    failure_url: str | None = None
    credit_expires_at: datetime | None = None


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
        amount = round_debit(await assets.units_for(tx, environment, asset, asked.amount, currency.upper(), at=now))
    new = TopUp(
        environment=environment,
        customer_id=customer_id,
        id=public("top"),
        status="initiated",
        currency=currency,
        price=int(minor),
        asset=asset,
        amount=amount,
        description=asked.description,
        secret=secret,
        return_url=asked.return_url,
        failure_url=asked.failure_url,
        processor="test",
        automatic=automatic,
        credit_expires_at=asked.credit_expires_at,
        metadata=metadata,
        created=now,
        expires_at=now + LIFETIME,
    )
    await store.add(tx, new)
    await tell_top_up(tx, "topup.created", new, now=now)
    return new


async def pay(
    tx: AsyncConnection, *, environment: str, id: str, reference: str, clock: str | None, now: datetime
) -> TopUp:
    """Collect the money with the card behind the processor's `reference`, and credit the wallet.

    A top-up that was paid before is returned as it is: one payment credits once. A refused one can be tried again.
    """
    asked = await store.find(tx, environment, id, lock=True)
    if asked.status == "succeeded":
        return asked
    if asked.status == "expired" or asked.expires_at <= now:
        raise Refusal("The top-up has expired.", code="top_up_expired")
    processor = PROCESSORS[asked.processor]
    assert not processor.networked, "a processor behind a network is asked between transactions"
    outcome = processor.collect(
        Collection(
            # A refused attempt is over; one without an answer is asked for again under its own key.
            key=asked.id if asked.settled_at is None else f"{asked.id}/{asked.settled_at.isoformat()}",
            again=asked.status == "pending",
            reference=reference,
            amount=asked.price,
            currency=asked.currency,
            off_session=asked.automatic,
        )
    )
    return await settle(tx, asked, outcome, clock=clock, now=now)


async def settle(tx: AsyncConnection, asked: TopUp, outcome: Outcome, *, clock: str | None, now: datetime) -> TopUp:
    """Record what the processor said about a locked top-up; money that arrived is credited, once."""
    if asked.status == "succeeded":
        return asked
    if isinstance(outcome, Unknown):
        waiting = replace(asked, status="pending")
        await store.save(tx, waiting)
        return waiting
    if not isinstance(outcome, Succeeded):
        message = outcome.message if isinstance(outcome, CardRefused) else "The card needs its holder's consent."
        refused = replace(asked, status="failed", failure=message, settled_at=now)
        await store.save(tx, refused)
        await tell_top_up(tx, "topup.failed", refused, now=now)
        return refused
    work = await work_on(tx, environment=asked.environment, customer_id=asked.customer_id, now=now, active=False)
    await _credit(work, asked, clock)
    paid = replace(asked, status="succeeded", reference=outcome.reference, failure=None, settled_at=now)
    await store.save(tx, paid)
    await tell_top_up(tx, "topup.succeeded", paid, now=now)
    return paid


async def _credit(work: Work, paid: TopUp, clock: str | None) -> None:
    currency = paid.currency.upper()
    new = NewGrant(
        id=paid.id,
        asset=paid.asset,
        amount=paid.amount,
        funding="paid",
        purpose="top_up",
        effective_at=work.now,
        expires_at=paid.credit_expires_at,
        source=paid.id,
    )
    cause = Cause("top_up", paid.id)
    if paid.asset == currency:
        source = Account("clearing", currency, paid.processor)
        await put_grant(work, new, source=source, cause=cause, clock=clock)
        return
    money = units_paid(
        currency=currency,
        price=to_major(paid.price, paid.currency),
        processor=paid.processor,
        asset=paid.asset,
    )
    source = Account("exchange", paid.asset, currency)
    await put_grant(work, new, source=source, cause=cause, clock=clock, entry=money)


async def plan_recharge(
    tx: AsyncConnection, *, environment: str, customer_id: UUID, asset: str, at: datetime, clock: str | None
) -> None:
    """Look at the wallet again at that instant."""
    await due.add(
        tx,
        environment=environment,
        customer_id=customer_id,
        kind=store.RECHARGE,
        subject=asset,
        boundary=at,
        due_at=at,
        clock=clock,
    )


async def recharge(
    tx: AsyncConnection, *, environment: str, customer_id: UUID, asset: str, clock: str | None, now: datetime
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
    for waiting in [] if rule.payment_method is None else await store.pending(tx, customer_id, asset):
        await _collect(tx, rule, waiting, environment=environment, clock=clock, now=now)
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
            clock=clock,
            now=now,
        )
        return None
    asked = Asked(amount=_whole(decision.amount, asset), currency=asset.lower(), description="Auto-recharge")
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
    paid = await _collect(tx, rule, made, environment=environment, clock=clock, now=now)
    await store.log(
        tx,
        environment=environment,
        customer_id=customer_id,
        asset=asset,
        decision=_DECISION[paid.status],
        available=available,
        amount=asked.amount,
        top_up_id=made.id,
        now=now,
    )
    if paid.status == "failed":
        await tell_top_up(tx, "autotopup.failed", paid, now=now)
    if paid.status != "succeeded":
        soon = now + (_SOON if paid.status == "failed" else _ASK_AGAIN)
        await plan_recharge(tx, environment=environment, customer_id=customer_id, asset=asset, at=soon, clock=clock)
    return paid


_SOON, _ASK_AGAIN = timedelta(seconds=1), timedelta(minutes=1)
_DECISION = {"succeeded": "recharged", "failed": "declined", "pending": "unanswered"}


async def _still_saved(tx: AsyncConnection, environment: str, customer_id: UUID, method: str | None) -> bool:
    """Whether the payment method is (still) the customer's."""
    found = None if method is None else (await payment_method.find(tx, environment, [method])).get(method)
    return found is not None and found.customer_id == customer_id


async def _collect(
    tx: AsyncConnection,
    rule: RechargeRule,
    made: TopUp,
    *,
    environment: str,
    clock: str | None,
    now: datetime,
) -> TopUp:
    assert rule.payment_method is not None
    method = (await payment_method.find(tx, environment, [rule.payment_method])).get(rule.payment_method)
    if method is None or method.customer_id != made.customer_id:
        raise Refusal("The payment method of the auto-recharge is gone.", code="no_payment_method")
    return await pay(tx, environment=environment, id=made.id, reference=method.reference, clock=clock, now=now)


async def _not_now(
    tx: AsyncConnection,
    decision: NoRecharge,
    *,
    environment: str,
    customer_id: UUID,
    asset: str,
    available: Decimal,
    clock: str | None,
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
        await plan_recharge(
            tx, environment=environment, customer_id=customer_id, asset=asset, at=decision.again_at, clock=clock
        )


def _whole(amount: Decimal, asset: str) -> Decimal:
    """The amount in whole minor units, not less than asked, and not less than can be collected."""
    currency = asset.lower()
    minor = max(-int(-to_minor(amount, currency) // 1), minimum_payment(currency))
    return to_major(minor, currency)
