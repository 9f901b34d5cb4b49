"""Subscribe a customer to offers: what usage is debited by, what comes with it, what falls due every span."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.catalog.offer import Entitlement, OfferPrice, OfferVersion
from meterline.ledger.account import Account
from meterline.ledger.transaction import Cause
from meterline.money import round_debit, to_major
from meterline.period import Cycle, Interval
from meterline.rating.line import exact_total
from meterline.rating.rate import rate
from meterline.refusal import Missing, Refusal
from meterline.store import due, meter, offer, price, wallet
from meterline.store.database import driver
from meterline.store.identifier import public
from meterline.store.offer import Subscribed, Tariff, WalletSubscription
from meterline.store.wallet import Wallet
from meterline.usecase.move_funds import NewGrant, put_grant
from meterline.usecase.work_wallet import Work, work_on
from meterline.wallet.pocket import InsufficientFunds, spend

RENEW_FEE = "renew_wallet_fee"
REFRESH = "refresh_entitlement"
"""The kinds of due work that a subscription has: fixed fees, and value that comes with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A product to subscribe to, by id or code; without a version, the default one."""

    key: str
    version: int | None = None


async def open_wallet(tx: AsyncConnection, *, environment: str, customer_id: UUID, now: datetime) -> None:
    """Give the customer a wallet, if there is none yet."""
    await wallet.open_(await driver(tx), Wallet(environment=environment, customer_id=customer_id, created=now))


async def subscribe(
    tx: AsyncConnection,
    *,
    environment: str,
    customer_id: UUID,
    chosen: Sequence[Chosen],
    starts_at: datetime | None,
    clock: str | None,
    now: datetime,
) -> WalletSubscription:
    """Subscribe a customer who has a wallet. Usage from `starts_at` (now) on is debited.

    A fixed fee that the wallet cannot pay now leaves the subscription waiting for it (`action_required`), and no
    usage is debited until it is paid.
    """
    versions = [await _version(tx, environment, each) for each in chosen]
    if not versions:
        raise Refusal("A subscription is to one product at least.", code="required", param="products")
    starts = max(starts_at or now, now)
    new = WalletSubscription(
        environment=environment,
        customer_id=customer_id,
        id=public("sub"),
        status="active" if starts <= now else "scheduled",
        products=tuple(Subscribed(product=v.product, code=code, version=v.version) for code, v in versions),
        starts_at=starts,
        created=now,
    )
    work = await work_on(tx, environment=environment, customer_id=customer_id, now=now)
    paid = True
    for _, version in versions:
        paid = paid and await _begin(work, new, version, clock)
    if not paid:
        new = replace(new, status="action_required")
    await offer.subscribe(tx, new)
    if paid:
        for _, version in versions:
            await _debit_by(tx, new, version, at=starts)
    return new


async def _version(tx: AsyncConnection, environment: str, chosen: Chosen) -> tuple[str, OfferVersion]:
    found = await offer.find(tx, environment, chosen.key)
    number = chosen.version if chosen.version is not None else found.default_version
    if number is None:
        raise Refusal(f"The product '{chosen.key}' has no published version.", code="not_published")
    version = await offer.version(tx, environment, found.product, number)
    if version.status != "published":
        raise Refusal(f"Version {number} of '{chosen.key}' is {version.status}.", code="not_published")
    return found.code, version


async def _debit_by(
    tx: AsyncConnection, subscription: WalletSubscription, version: OfferVersion, *, at: datetime
) -> None:
    metered = [each for each in version.prices if each.meter is not None]
    meters = await meter.find(tx, version.environment, [each.meter for each in metered if each.meter])
    await offer.add_tariffs(
        tx,
        [
            Tariff(
                environment=version.environment,
                customer_id=subscription.customer_id,
                subscription=subscription.id,
                price=each.price,
                product=version.product,
                version=version.version,
                meter=each.meter,
                formula=meters[each.meter].formula,
                asset=each.asset,
                cadence=each.cadence,
                minimum=each.minimum,
                maximum=each.maximum,
                starts_at=at,
            )
            for each in metered
            if each.meter is not None
        ],
    )


async def _begin(work: Work, new: WalletSubscription, version: OfferVersion, clock: str | None) -> bool:
    """Debit the fixed fees and give what comes with the version; False where a fee cannot be paid."""
    for each in version.prices:
        if each.meter is None and not await _fixed_fee(work, new, each, at=new.starts_at, clock=clock):
            return False
    for entitlement in version.entitlements:
        await _entitle(work, new, entitlement, at=new.starts_at, clock=clock)
    return True


async def _fixed_fee(
    work: Work, subscription: WalletSubscription, of: OfferPrice, *, at: datetime, clock: str | None
) -> bool:
    found = await price.get(work.tx, work.environment, of.price)
    amount = round_debit(to_major(exact_total(rate(price=found, quantity=Decimal(1))), found.currency))
    if amount:
        try:
            pocket, debit = spend(work.pocket(of.asset), amount, at=work.now, marks=(of.price, found.product))
        except InsufficientFunds:
            return False
        cause = Cause("subscription_fee", f"{subscription.id}:{of.price}:{at.isoformat()}")
        await work.book(cause=cause, transfers=debit.transfers, pocket=pocket)
    if of.interval is not None:
        await _again(work, RENEW_FEE, f"{subscription.id}:{of.price}", subscription, of.interval, at, clock)
    return True


async def _entitle(
    work: Work, subscription: WalletSubscription, of: Entitlement, *, at: datetime, clock: str | None
) -> None:
    expires = None
    if of.every is not None:
        cycle = Cycle(anchor=subscription.starts_at, interval=of.every)
        spans = 2 if of.rollover else 1
        expires = cycle.boundary(cycle.index(at) + spans)
    new = NewGrant(
        id=f"grant_{subscription.id}_{of.name}_{at:%Y%m%dT%H%M%S}",
        asset=of.asset,
        amount=of.amount,
        funding="promotional",
        purpose=of.purpose,
        effective_at=at,
        expires_at=expires,
        priority=of.priority,
        source=subscription.id,
    )
    house = Account("promo_expense", of.asset)
    await put_grant(work, new, source=house, cause=Cause("entitlement", new.id), clock=clock)
    if of.every is not None and of.refreshed:
        await _again(work, REFRESH, f"{subscription.id}:{of.name}", subscription, of.every, at, clock)


async def _again(
    work: Work,
    kind: str,
    subject: str,
    subscription: WalletSubscription,
    every: Interval,
    after: datetime,
    clock: str | None,
) -> None:
    boundary = Cycle(anchor=subscription.starts_at, interval=every).next_boundary(after)
    await due.add(
        work.tx,
        environment=work.environment,
        customer_id=work.customer_id,
        kind=kind,
        subject=subject,
        boundary=boundary,
        due_at=boundary,
        clock=clock,
    )


async def recur(
    tx: AsyncConnection,
    *,
    environment: str,
    customer_id: UUID,
    kind: str,
    subject: str,
    boundary: datetime,
    clock: str | None,
    now: datetime,
) -> None:
    """A span of a subscription is over: debit its fixed fee, or give what comes with it, for the next span.

    A fee that cannot be paid suspends the subscription: usage is no longer debited until somebody subscribes anew.
    """
    id, _, name = subject.partition(":")
    found = await offer.subscriptions(tx, customer_id, id=id)
    if not found or found[0].status != "active":
        return
    subscription = found[0]
    work = await work_on(tx, environment=environment, customer_id=customer_id, now=now, active=False)
    for each in subscription.products:
        version = await offer.version(tx, environment, each.product, each.version)
        if kind == REFRESH:
            for entitlement in version.entitlements:
                if entitlement.name == name:
                    await _entitle(work, subscription, entitlement, at=boundary, clock=clock)
        for fixed in version.prices if kind == RENEW_FEE else ():
            if fixed.price == name and not await _fixed_fee(work, subscription, fixed, at=boundary, clock=clock):
                await offer.end_tariffs(tx, customer_id=customer_id, subscription=id, at=now)
                await offer.save_subscription(tx, replace(subscription, status="action_required"))


async def migrate(
    tx: AsyncConnection,
    *,
    customer_id: UUID,
    id: str,
    key: str,
    version: int | None,
    now: datetime,
) -> WalletSubscription:
    """Move one product of a subscription to another version (None: the default): usage from now on is debited by it."""
    subscription = await one(tx, customer_id, id)
    code, to = await _version(tx, subscription.environment, Chosen(key=key, version=version))
    if to.product not in [each.product for each in subscription.products]:
        raise Missing("product of the subscription", key, subject=True)
    products = tuple(
        Subscribed(product=to.product, code=code, version=to.version) if each.product == to.product else each
        for each in subscription.products
    )
    if products == subscription.products:
        return subscription
    changed = replace(subscription, products=products)
    await offer.save_subscription(tx, changed)
    if changed.status in ("active", "scheduled"):
        at = max(now, changed.starts_at)
        await offer.end_tariffs(tx, customer_id=customer_id, subscription=id, product=to.product, at=at)
        await _debit_by(tx, changed, to, at=at)
    return changed


async def set_status(
    tx: AsyncConnection, *, customer_id: UUID, id: str, active: bool, clock: str | None, now: datetime
) -> WalletSubscription:
    """End a subscription, or begin an ended or waiting one again, with its fixed fees."""
    subscription = await one(tx, customer_id, id)
    if not active:
        await offer.end_tariffs(tx, customer_id=customer_id, subscription=id, at=now)
        changed = replace(subscription, status="inactive")
        await offer.save_subscription(tx, changed)
        return changed
    if subscription.status in ("active", "scheduled"):
        return subscription
    again = replace(subscription, status="active", starts_at=now)
    work = await work_on(tx, environment=again.environment, customer_id=customer_id, now=now)
    versions = [await offer.version(tx, again.environment, each.product, each.version) for each in again.products]
    for version in versions:
        if not await _begin(work, again, version, clock):
            raise Refusal("The wallet cannot pay the fixed fees.", code="insufficient_funds")
    await offer.save_subscription(tx, again)
    for version in versions:
        await _debit_by(tx, again, version, at=now)
    return again


async def one(tx: AsyncConnection, customer_id: UUID, id: str) -> WalletSubscription:
    """The customer's subscription of that id. Raises Missing."""
    found = await offer.subscriptions(tx, customer_id, id=id)
    if not found:
        raise Missing("subscription", id, subject=True)
    return found[0]
