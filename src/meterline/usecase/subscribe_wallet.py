"""Subscribe a customer to offers: now or later, to other versions, no longer, or again."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.catalog.offer import OfferVersion
from meterline.refusal import Missing, Refusal
from meterline.store import due, offer, wallet
from meterline.store.database import driver
from meterline.store.identifier import public
from meterline.store.offer import Owed, RedirectTo, Subscribed, WalletSubscription
from meterline.store.wallet import Wallet
from meterline.usecase.begin_subscription import (
    REFRESH,
    debit_by,
    entitle,
    interval_of,
    owed_by,
    pay,
    plan_renewals,
    renewal,
    start,
    versions_of,
    wait,
)
from meterline.usecase.tell_subscription import tell_subscription
from meterline.usecase.work_wallet import work_on
from meterline.wallet.term import begins


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A product to subscribe to, by id or code; without a version, the default one."""

    key: str
    version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """From when on (null: now), when it renews first, and where the customer goes after paying what it owes."""

    starts_at: datetime | None = None
    renews_at: datetime | None = None
    return_url: str | None = None
    failure_url: str | None = None
    redirect_to: RedirectTo | None = None


async def open_wallet(tx: AsyncConnection, *, environment: str, customer_id: UUID, now: datetime) -> None:
    """Give the customer a wallet, if there is none yet."""
    await wallet.open_(await driver(tx), Wallet(environment=environment, customer_id=customer_id, created=now))


async def subscribe(
    tx: AsyncConnection,
    *,
    environment: str,
    customer_id: UUID,
    chosen: Sequence[Chosen],
    when: When | None = None,
    clock: str | None,
    now: datetime,
) -> WalletSubscription:
    """Subscribe a customer who has a wallet. Usage from the start on is debited, also from a start in the past.

    A fixed fee that the wallet cannot pay then leaves the subscription waiting for it (`action_required`), and no
    usage is debited until it is paid.
    """
    when = when or When()
    named = [await _version(tx, environment, each) for each in chosen]
    versions = [version for _, version in named]
    if not versions:
        raise Refusal("A subscription is to one product at least.", code="required", param="products")
    if len({version.product for version in versions}) < len(versions):
        raise Refusal("A subscription is to each product once.", code="duplicate_product", param="products")
    starts = when.starts_at or now
    if when.renews_at is not None and when.renews_at <= max(starts, now):
        raise Refusal("A subscription renews after it starts.", code="renews_too_early", param="renews_at")
    new = WalletSubscription(
        environment=environment,
        customer_id=customer_id,
        id=public("sub"),
        status="scheduled",
        products=tuple(Subscribed(product=v.product, code=code, version=v.version) for code, v in named),
        starts_at=starts,
        anchor=when.renews_at or starts,
        owed=owed_by(versions, starts),
        return_url=when.return_url,
        failure_url=when.failure_url,
        redirect_to=when.redirect_to,
        created=now,
    )
    new = replace(new, renews_at=renewal(new, versions, after=starts))
    work = await work_on(tx, environment=environment, customer_id=customer_id, now=now)
    await offer.subscribe(tx, new)
    if starts <= now:
        return await start(work, replace(new, status="inactive"), clock=clock)
    if not new.owed:
        await debit_by(tx, new, versions, at=starts)
    await due.add(
        tx,
        environment=environment,
        customer_id=customer_id,
        kind=offer.START,
        subject=new.id,
        boundary=starts,
        due_at=starts,
        clock=clock,
    )
    await tell_subscription(tx, "subscription.scheduled", new, now=now)
    return new


async def _version(tx: AsyncConnection, environment: str, chosen: Chosen) -> tuple[str, OfferVersion]:
    try:
        found = await offer.find(tx, environment, chosen.key)
        number = chosen.version if chosen.version is not None else found.default_version
        if number is None:
            raise Refusal(f"The product '{chosen.key}' has no published version.", code="not_published")
        version = await offer.version(tx, environment, found.product, number)
    except Missing as missing:
        raise Missing(missing.kind, missing.id, param="products") from None
    if version.status != "published":
        raise Refusal(f"Version {number} of '{chosen.key}' is {version.status}.", code="not_published")
    return found.code, version


async def begin(
    tx: AsyncConnection, *, environment: str, customer_id: UUID, id: str, clock: str | None, now: datetime
) -> None:
    """A subscription's time has come, or there is new value to pay what it owes."""
    work = await work_on(tx, environment=environment, customer_id=customer_id, now=now, active=False)
    found = await offer.subscriptions(tx, customer_id, id=id)
    if found and found[0].status in ("scheduled", "action_required") and work.wallet.status == "active":
        await start(work, found[0], clock=clock)


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

    A fee that cannot be paid suspends the subscription until it is. What fell due for an earlier life of the
    subscription, or for a version that it is no longer to, is past.
    """
    id, _, name = subject.partition(":")
    work = await work_on(tx, environment=environment, customer_id=customer_id, now=now, active=False)
    found = await offer.subscriptions(tx, customer_id, id=id)
    if not found or found[0].status not in ("active", "action_required"):
        return
    subscription = found[0]
    versions = await versions_of(tx, subscription)
    try:
        every = interval_of(versions, kind, name)
    except Refusal:
        return
    if not begins(subscription.anchor, every, boundary):
        return
    if kind == REFRESH:
        if subscription.status == "active":
            for entitlement in [each for version in versions for each in version.entitlements if each.name == name]:
                await entitle(work, subscription, entitlement, at=boundary, clock=clock)
        await plan_renewals(work, subscription, versions, only=(kind, name), after=boundary, clock=clock)
    else:
        owed = replace(subscription, owed=(*subscription.owed, Owed(sold=name, at=boundary)))
        missing = await pay(work, owed, versions)
        if missing is not None:
            await wait(work, owed, missing)
            return
        await plan_renewals(work, subscription, versions, only=(kind, name), after=boundary, clock=clock)
    renews = renewal(subscription, versions, after=max(now, boundary))
    await offer.save_subscription(tx, replace(subscription, renews_at=renews))


async def migrate(
    tx: AsyncConnection,
    *,
    customer_id: UUID,
    id: str,
    key: str,
    version: int | None,
    clock: str | None,
    now: datetime,
) -> WalletSubscription:
    """Move one product of a subscription to another version (None: the default): usage from now on is debited by it.

    What recurs in the new version does so from the next span on; its fees that are paid once are for new subscribers.
    """
    before = await one(tx, customer_id, id)
    work = await work_on(tx, environment=before.environment, customer_id=customer_id, now=now, active=False)
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
    versions = await versions_of(tx, changed)
    if subscription.owed:
        owed = owed_by(versions, max(now, subscription.starts_at), recurring=subscription.begun)
        changed = replace(changed, owed=owed)
    if changed.status == "active" or (changed.status == "scheduled" and not changed.owed):
        at = max(now, changed.starts_at)
        await offer.end_tariffs(tx, customer_id=customer_id, subscription=id, product=to.product, at=at)
        await debit_by(tx, changed, [to], at=at)
    if changed.status == "active":
        await plan_renewals(work, changed, versions, after=now, clock=clock)
    changed = replace(changed, renews_at=renewal(changed, versions, after=max(now, changed.starts_at)))
    await offer.save_subscription(tx, changed)
    return changed


async def set_status(
    tx: AsyncConnection, *, customer_id: UUID, id: str, active: bool, clock: str | None, now: datetime
) -> WalletSubscription:
    """End a subscription, or begin an ended one again, with the fees that recur; one that waits is tried again."""
    before = await one(tx, customer_id, id)
    work = await work_on(tx, environment=before.environment, customer_id=customer_id, now=now, active=active)
    subscription = await one(tx, customer_id, id)
    if not active:
        if subscription.status == "inactive":
            return subscription
        await offer.end_tariffs(tx, customer_id=customer_id, subscription=id, at=max(now, subscription.starts_at))
        changed = replace(subscription, status="inactive", renews_at=None)
        await offer.save_subscription(tx, changed)
        await tell_subscription(tx, "subscription.deactivated", changed, now=now)
        return changed
    if subscription.status in ("active", "scheduled"):
        return subscription
    if subscription.status == "action_required":
        return await start(work, subscription, clock=clock)
    versions = await versions_of(tx, subscription)
    again = replace(subscription, starts_at=now, anchor=now, owed=owed_by(versions, now, recurring=subscription.begun))
    return await start(work, again, clock=clock)


async def one(tx: AsyncConnection, customer_id: UUID, id: str) -> WalletSubscription:
    """The customer's subscription of that id. Raises Missing."""
    found = await offer.subscriptions(tx, customer_id, id=id)
    if not found:
        raise Missing("subscription", id, subject=True)
    return found[0]
