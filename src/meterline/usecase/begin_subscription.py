"""Begin a subscription of a wallet, or let it go on: pay what it owes, debit usage by it, give what comes with it.

A subscription owes its fixed fees: those it begins with, and later those of spans that the wallet could not pay. While
it owes anything, usage is not debited by it, and the customer is asked for what is missing by a top-up; value that
comes into the wallet, by whatever way, plans another try.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.catalog.offer import Entitlement, OfferPrice, OfferVersion
from meterline.ledger.account import Account
from meterline.ledger.transaction import Cause
from meterline.money import CURRENCIES, multiply, round_debit, to_major
from meterline.period import Cycle, Interval
from meterline.rating.line import exact_total
from meterline.rating.rate import rate
from meterline.refusal import Refusal
from meterline.store import asset as assets
from meterline.store import due, meter, offer, price, top_up, wallet
from meterline.store.database import driver
from meterline.store.identifier import public
from meterline.store.offer import Owed, Tariff, WalletSubscription
from meterline.store.top_up import TopUp
from meterline.usecase.debit_stored import plan_debits
from meterline.usecase.move_funds import NewGrant, put_grant
from meterline.usecase.tell_subscription import tell_subscription
from meterline.usecase.top_up_wallet import Asked, begin, collectable
from meterline.usecase.work_wallet import Work
from meterline.wallet.term import FixedFee, Shortage, Way, following, pay_all, span_end, span_of

RENEW_FEE = "renew_wallet_fee"
REFRESH = "refresh_entitlement"
"""The kinds of due work that a subscription has: fixed fees, and value that comes with it."""

_AFRESH = timedelta(hours=1)
"""A link to pay with that is over sooner than that is replaced by a new one."""


async def versions_of(tx: AsyncConnection, subscription: WalletSubscription) -> list[OfferVersion]:
    """The versions that it is to."""
    return [
        await offer.version(tx, subscription.environment, each.product, each.version) for each in subscription.products
    ]


def fixed_prices(versions: Iterable[OfferVersion], *, recurring: bool = False) -> dict[str, list[OfferPrice]]:
    """The fixed prices by what they are sold as, each with its ways to pay; or only those that recur."""
    found: dict[str, list[OfferPrice]] = {}
    for version in versions:
        for each in version.prices:
            if each.meter is None and (each.interval is not None or not recurring):
                found.setdefault(each.id, []).append(each)
    return found


def owed_by(versions: Iterable[OfferVersion], at: datetime, *, recurring: bool = False) -> tuple[Owed, ...]:
    """Every fixed fee, for the span that begins at an instant; or only those that recur."""
    return tuple(Owed(sold=sold, at=at) for sold in fixed_prices(versions, recurring=recurring))


async def start(work: Work, subscription: WalletSubscription, *, clock: str | None) -> WalletSubscription:
    """Pay what it owes and let it be active, or let it wait for what is missing. The caller has stored it before.

    One that waited from the beginning begins when it is paid.
    """
    scheduled, now = subscription.status == "scheduled", work.now
    if subscription.status == "action_required" and not subscription.begun:
        anchor = max(now, subscription.anchor)
        owed = tuple(replace(each, at=now) for each in subscription.owed)
        subscription = replace(subscription, starts_at=now, anchor=anchor, owed=owed)
    versions = await versions_of(work.tx, subscription)
    missing = await pay(work, subscription, versions)
    if missing is not None:
        return await wait(work, subscription, missing)
    since = now if subscription.begun else subscription.starts_at
    if not scheduled or subscription.owed:
        await debit_by(work.tx, subscription, versions, at=since)
    if any(each.meter is not None for version in versions for each in version.prices):
        await plan_debits(work.tx, subscription, since=since, clock=clock, now=now)
    active = replace(subscription, status="active", begun=True, owed=(), top_up=None)
    await _give_all(work, active, versions, first=not subscription.begun, clock=clock)
    await plan_renewals(work, active, versions, after=now, clock=clock)
    active = replace(active, renews_at=renewal(active, versions, after=now))
    await offer.save_subscription(work.tx, active)
    await tell_subscription(work.tx, "subscription.activated", active, now=now)
    return active


async def pay(work: Work, subscription: WalletSubscription, versions: Sequence[OfferVersion]) -> Shortage | None:
    """Debit everything that it owes, or nothing; what is missing."""
    paid = pay_all(await _fees(work, versions, subscription.owed), work.pocket, at=work.now)
    if isinstance(paid, Shortage):
        return paid
    for each in paid:
        if each.debit is not None and each.pocket is not None:
            cause = Cause("subscription_fee", f"{subscription.id}:{each.way.price}:{each.fee.at.isoformat()}")
            await work.book(cause=cause, transfers=each.debit.transfers, pocket=each.pocket)
    return None


async def wait(work: Work, subscription: WalletSubscription, missing: Shortage) -> WalletSubscription:
    """Stop debiting by it, and ask the customer for what is missing: by the link they have, while that can be used."""
    asked = await _ask(work, subscription, missing)
    waiting = replace(subscription, status="action_required", top_up=asked.id)
    await offer.end_tariffs(work.tx, customer_id=work.customer_id, subscription=subscription.id, at=work.now)
    await offer.save_subscription(work.tx, waiting)
    if subscription.status != "action_required":
        await tell_subscription(work.tx, "subscription.action_required", waiting, now=work.now)
    return waiting


async def _ask(work: Work, subscription: WalletSubscription, missing: Shortage) -> TopUp:
    currency, amount = missing.asset.lower(), missing.amount
    if currency not in CURRENCIES:
        currency = "usd"
        rate_now = await assets.rate_at(work.tx, work.environment, missing.asset, "USD", work.now)
        amount = round_debit(multiply(missing.amount, rate_now.rate))
    amount = collectable(amount, currency)
    if subscription.top_up is not None:
        open_now = await top_up.find(work.tx, work.environment, subscription.top_up)
        usable = open_now.status in ("initiated", "failed") and open_now.expires_at > work.now + _AFRESH
        if usable and to_major(open_now.price, open_now.currency) == amount and open_now.currency == currency:
            return open_now
    return await begin(
        work.tx,
        environment=work.environment,
        customer_id=work.customer_id,
        asked=Asked(
            amount=amount,
            currency=currency,
            asset=missing.asset,
            description="Subscription",
            return_url=subscription.return_url,
            failure_url=subscription.failure_url,
        ),
        secret=public("secret"),
        metadata={"subscription": subscription.id},
        now=work.now,
    )


async def _fees(work: Work, versions: Sequence[OfferVersion], owed: Iterable[Owed]) -> list[FixedFee]:
    """What is owed with its amounts; a price that is no longer part of the subscription is not owed."""
    fixed = fixed_prices(versions)
    return [
        FixedFee(sold=each.sold, at=each.at, ways=tuple([await _way(work, way) for way in fixed[each.sold]]))
        for each in owed
        if each.sold in fixed
    ]


async def _way(work: Work, of: OfferPrice) -> Way:
    found = await price.get(work.tx, work.environment, of.price)
    amount = round_debit(to_major(exact_total(rate(price=found, quantity=Decimal(1))), found.currency))
    return Way(price=of.price, product=found.product, asset=of.asset, amount=amount)


async def debit_by(
    tx: AsyncConnection, subscription: WalletSubscription, versions: Iterable[OfferVersion], *, at: datetime
) -> None:
    """Debit usage from that instant on by the prices of these versions.

    Their tiers go on from what the subscription used of the span under the versions it had before.
    """
    connection = await driver(tx)
    standing = await offer.tariffs(connection, [subscription.customer_id])
    for version in versions:
        new = await _tariffs(tx, subscription, version, at=at)
        for each in new:
            counters = _counters_before(each, standing)
            if counters and each.counter not in counters:
                await offer.carry_tallies(connection, each, counters=counters, span=each.span(at))
        await offer.add_tariffs(tx, new)


def _counters_before(new: Tariff, standing: Iterable[Tariff]) -> set[str]:
    """By what the version that the subscription had last counted the usage that a new tariff is for."""
    mine = [
        each
        for each in standing
        if (each.subscription, each.product, each.meter) == (new.subscription, new.product, new.meter)
    ]
    last = max((each.starts_at for each in mine), default=None)
    return {each.counter for each in mine if each.starts_at == last}


async def _tariffs(
    tx: AsyncConnection, subscription: WalletSubscription, version: OfferVersion, *, at: datetime
) -> list[Tariff]:
    metered = [each for each in version.prices if each.meter is not None]
    meters = await meter.find(tx, version.environment, [each.meter for each in metered if each.meter])
    return [
        Tariff(
            environment=version.environment,
            customer_id=subscription.customer_id,
            subscription=subscription.id,
            price=each.price,
            sold=each.id,
            counter=each.counter,
            rank=each.rank,
            product=version.product,
            version=version.version,
            meter=each.meter,
            volume_field=each.volume_field,
            formula=meters[each.meter].formula,
            asset=each.asset,
            cadence=each.cadence,
            minimum=each.minimum,
            maximum=each.maximum,
            starts_at=at,
        )
        for each in metered
        if each.meter is not None
    ]


async def _give_all(
    work: Work,
    subscription: WalletSubscription,
    versions: Iterable[OfferVersion],
    *,
    first: bool,
    clock: str | None,
) -> None:
    """Give what comes with it: all of it when it begins, else what belongs to the span that goes on."""
    for version in versions:
        for each in version.entitlements:
            if each.refreshed and each.every is not None:
                span = span_of(subscription.anchor, each.every, work.now, start=subscription.starts_at)
                await entitle(work, subscription, each, at=span, clock=clock)
            elif first:
                await entitle(work, subscription, each, at=subscription.starts_at, clock=clock)


async def entitle(
    work: Work, subscription: WalletSubscription, of: Entitlement, *, at: datetime, clock: str | None
) -> None:
    """Give what comes with it for the span that begins at an instant: once, and not when it is over already."""
    expires = _end_of(subscription, of, at)
    id = f"grant_{subscription.id}_{of.name}_{at:%Y%m%dT%H%M%S%f}"
    if (expires is not None and expires <= work.now) or await wallet.grants(
        work.connection, work.customer_id, ids=[id]
    ):
        return
    new = NewGrant(
        id=id,
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


def _end_of(subscription: WalletSubscription, of: Entitlement, at: datetime) -> datetime | None:
    if of.every is None:
        return None
    if not of.refreshed:
        return Cycle(anchor=at, interval=of.every).boundary(1)
    return span_end(subscription.anchor, of.every, at, spans=2 if of.rollover else 1)


async def plan_renewals(
    work: Work,
    subscription: WalletSubscription,
    versions: Sequence[OfferVersion],
    *,
    only: tuple[str, str] | None = None,
    after: datetime,
    clock: str | None,
) -> None:
    """Plan the next of everything that recurs, or `only` of one (kind, name). Planning it again changes nothing."""
    for kind, name, every in _recurring(versions):
        if only not in (None, (kind, name)):
            continue
        boundary = following(subscription.anchor, every, after)
        await due.add(
            work.tx,
            environment=work.environment,
            customer_id=work.customer_id,
            kind=kind,
            subject=f"{subscription.id}:{name}",
            boundary=boundary,
            due_at=boundary,
            clock=clock,
        )


def renewal(subscription: WalletSubscription, versions: Sequence[OfferVersion], *, after: datetime) -> datetime | None:
    """When it renews next: the next time that something recurs, or the renewal that was asked for."""
    boundaries = [following(subscription.anchor, every, after) for _, _, every in _recurring(versions)]
    if subscription.anchor > after:
        boundaries.append(subscription.anchor)
    return min(boundaries, default=None)


def _recurring(versions: Sequence[OfferVersion]) -> list[tuple[str, str, Interval]]:
    fees = [
        (RENEW_FEE, sold, ways[0].interval)
        for sold, ways in fixed_prices(versions, recurring=True).items()
        if ways[0].interval is not None
    ]
    gifts = [
        (REFRESH, each.name, each.every)
        for version in versions
        for each in version.entitlements
        if each.refreshed and each.every is not None
    ]
    return [*fees, *gifts]


def interval_of(versions: Sequence[OfferVersion], kind: str, name: str) -> Interval:
    """How often something of these versions recurs. Raises Refusal where nothing of that name does."""
    for each, called, every in _recurring(versions):
        if (each, called) == (kind, name):
            return every
    raise Refusal(f"Nothing called '{name}' recurs.", code="not_recurring")
