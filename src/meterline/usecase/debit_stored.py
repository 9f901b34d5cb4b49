"""Debit usage that was stored before the subscription that prices it could be seen.

A subscription may begin in the past; and a batch of usage that is being written while it begins does not see it. Such
events are stored without a fee, and debited here: at once those that were committed, and again when no transaction that
began before the subscription can still be running.
"""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.store import due, event, fee, offer
from meterline.store.database import driver
from meterline.store.offer import WalletSubscription
from meterline.usecase.debit_usage import debit_usage
from meterline.usecase.lock_usage import lock_books
from meterline.usecase.recall_events import as_new, described
from meterline.usecase.reverse_debits import told_id

DEBIT_STORED = "debit_stored"
"""The kind of due work that looks for such events, from its boundary on."""

OUTLIVES_INTAKE = timedelta(minutes=5)
"""No transaction of intake lives that long: its statements and their waits have time-outs."""

AT_ONCE = 1_000
"""Events in one transaction, and those of the same instant."""

MICROSECOND = timedelta(microseconds=1)


async def plan_debits(
    tx: AsyncConnection, subscription: WalletSubscription, *, since: datetime, clock: str | None, now: datetime
) -> None:
    """Have usage looked for that happened since an instant: now, where that is past, and once intake is through."""
    for look, at in (("first", now), ("last", now + OUTLIVES_INTAKE)):
        if look == "last" or since < now:
            await _plan(tx, subscription, f"{subscription.id}:{look}", since=since, at=at, clock=clock)


async def _plan(
    tx: AsyncConnection, of: WalletSubscription, subject: str, *, since: datetime, at: datetime, clock: str | None
) -> None:
    await due.add(
        tx,
        environment=of.environment,
        customer_id=of.customer_id,
        kind=DEBIT_STORED,
        subject=subject,
        boundary=since,
        due_at=at,
        clock=clock,
    )


async def debit_stored(
    tx: AsyncConnection, *, customer_id: UUID, subject: str, since: datetime, clock: str | None, now: datetime
) -> None:
    """Debit what a subscription (`subject`, up to a colon) should have debited since an instant and did not.

    Where there is much of it, some, and the rest is planned.
    """
    connection = await driver(tx)
    id = subject.partition(":")[0]
    (subscription,) = await offer.subscriptions(tx, customer_id, id=id)
    await lock_books(connection, environment=subscription.environment, customer_ids=[customer_id])
    tariffs = [each for each in await offer.tariffs(connection, [customer_id]) if each.subscription == id]
    found = await event.undebited(
        connection,
        customer_id=customer_id,
        meters=sorted({each.meter for each in tariffs}),
        subscription=id,
        start=since,
        limit=AT_ONCE,
    )
    covered = [
        each
        for each in found
        if any(tariff.meter == each.meter and tariff.covers(each.occurred_at) for tariff in tariffs)
    ]
    if covered:
        events = await described(tx, [as_new(each) for each in covered])
        done = await debit_usage(
            connection, environment=subscription.environment, events=events, now=now, only=subscription.id
        )
        paid = [(told_id(covered[n].identifier), one.paid) for n, debited in done.items() for one in debited.fees]
        await fee.change_told(connection, customer_id, paid)
    if len(found) >= AT_ONCE:
        rest = found[-1].occurred_at + MICROSECOND
        await _plan(tx, subscription, subject, since=rest, at=now, clock=clock)
