"""Record a subscription as it has become: its row, what is planned for it, and the notices."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.store import alert, due, notice, price
from meterline.store import subscription as store
from meterline.store.row import document
from meterline.subscription.model import Subscription, SubscriptionNotice
from meterline.subscription.plan import KINDS, planned
from meterline.usecase.collect_by_wallet import follow_subscription


async def record_new(tx: AsyncConnection, new: Subscription, *, now: datetime) -> None:
    """Store a new subscription with all that is planned for it."""
    await store.add(tx, new)
    await alert.rearm(tx, customer_id=new.customer_id)
    await follow_subscription(tx, None, new, now=now)
    await _plan(tx, new, now=now)
    await _tell(tx, "customer.subscription.created", new, previous=None, now=now)


async def record_change(tx: AsyncConnection, before: Subscription, after: Subscription, *, now: datetime) -> None:
    """Store a changed subscription and plan anew what falls due for it; nothing when nothing changed."""
    if after == before:
        return
    await store.save(tx, after)
    if after.items != before.items or after.status != before.status:
        await alert.rearm(tx, customer_id=after.customer_id)
        await follow_subscription(tx, before, after, now=now)
    await _plan(tx, after, now=now)
    if after.status == "canceled" and before.status != "canceled":
        await _tell(tx, "customer.subscription.deleted", after, previous=None, now=now)
        return
    await _tell(tx, "customer.subscription.updated", after, previous=before, now=now)
    if after.status == "paused" != before.status:
        await _tell(tx, "customer.subscription.paused", after, previous=None, now=now)
    if before.status == "paused" != after.status:
        await _tell(tx, "customer.subscription.resumed", after, previous=None, now=now)


async def tell_trial_ends(tx: AsyncConnection, subscription: Subscription, *, now: datetime) -> None:
    """Announce that a trial ends soon."""
    await _tell(tx, "customer.subscription.trial_will_end", subscription, previous=None, now=now)


async def _plan(tx: AsyncConnection, subscription: Subscription, *, now: datetime) -> None:
    """Make the due rows equal to the plan. Rows that stay are not touched, so that a claim on them holds; rows
    whose time has come are left to whoever runs them, who finds nothing to do."""
    wanted = {(plan.kind, plan.at) for plan in planned(subscription, now=now)}
    existing = await due.of_subject(tx, customer_id=subscription.customer_id, subject=subscription.id)
    kept = set()
    for row in existing:
        if (row.kind, row.boundary) in wanted:
            kept.add((row.kind, row.boundary))
        elif row.kind in KINDS and row.due_at > now:
            await due.finish(tx, row)
    for kind, at in sorted(wanted - kept, key=lambda plan: (plan[1], plan[0])):
        await due.add(
            tx,
            environment=subscription.environment,
            customer_id=subscription.customer_id,
            kind=kind,
            subject=subscription.id,
            boundary=at,
            due_at=at,
            clock=subscription.test_clock,
        )


async def _tell(
    tx: AsyncConnection, type: str, subject: Subscription, *, previous: Subscription | None, now: datetime
) -> None:
    ids = {item.price for each in (subject, previous) if each is not None for item in each.items}
    prices = {id: document(each) for id, each in (await price.find(tx, subject.environment, ids)).items()}
    await notice.add(
        tx,
        environment=subject.environment,
        customer_id=subject.customer_id,
        type=type,
        subject=_with_prices(subject, prices),
        previous=None if previous is None else _with_prices(previous, prices),
        now=now,
    )


def _with_prices(subscription: Subscription, prices: Mapping[str, Mapping[str, object]]) -> SubscriptionNotice:
    ids = {item.price for item in subscription.items}
    return SubscriptionNotice(subscription=subscription, prices={id: prices[id] for id in sorted(ids) if id in prices})
