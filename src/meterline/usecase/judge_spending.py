"""Look at what a customer's usage costs so far, and tell the levels it has crossed.

The cost is the preview's: the lines of the next invoice that bill usage. Usage plans the look in the transaction that
stores it; the look takes the plan's lock before it reads, so no usage goes unseen.
"""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.customer import Customer
from meterline.invoice.model import Invoice
from meterline.limit.alert import Alert, AlertTriggered, Watch, judge
from meterline.period import Period
from meterline.store import alert as store
from meterline.store import customer as customers
from meterline.store import subscription as subscriptions
from meterline.store.database import driver
from meterline.store.due import Due
from meterline.usecase.moment import moment
from meterline.usecase.preview_invoice import AskedPreview, NothingUpcoming, preview_invoice
from meterline.usecase.watch_usage import tell, triggered


async def judge_spending(tx: AsyncConnection, row: Due, now: datetime) -> None:
    """Judge the customer of a due row; `now` is the wall clock, UTC."""
    customer = (await customers.find_all(tx, [row.customer_id]))[row.customer_id]
    connection = await driver(tx)
    await store.begin_judgement(connection, customer_id=row.customer_id, boundary=row.boundary)
    alerts = await store.on_spending(connection, row.environment, row.customer_id)
    if not alerts or customer.deleted:
        return
    at = await moment(tx, environment=row.environment, test_clock=customer.test_clock, now=now)
    told: list[AlertTriggered] = []
    names: dict[str, str] = {}
    for subscription in await subscriptions.of_customer(tx, customer_id=customer.customer_id):
        asked = AskedPreview(environment=row.environment, customer=customer.id, subscription=subscription.id)
        try:
            upcoming = await preview_invoice(tx, asked, now=now)
        except NothingUpcoming:
            continue
        names[subscription.id] = f"usage of {subscription.id} in {upcoming.currency}, minor units"
        mine = [each for each in alerts if each.asset == upcoming.currency]
        told += await _judged(connection, customer, subscription.id, upcoming, mine, at)
    await tell(connection, [(customer.customer_id, each) for each in told], names=names, now=now)


async def _judged(
    connection: store.Connection,
    customer: Customer,
    subscription: str,
    upcoming: Invoice,
    alerts: list[Alert],
    now: datetime,
) -> list[AlertTriggered]:
    """The crossings of one subscription's alerts, whose watches are kept."""
    billed = [(line.usage, line.amount) for line in upcoming.lines if line.usage is not None and not line.late]
    if not billed or not alerts:
        return []
    window = Period(start=min(usage.start for usage, _ in billed), end=max(usage.end for usage, _ in billed))
    spent = Decimal(sum(amount for _, amount in billed))
    await store.begin(connection, [_fresh(customer, subscription, each, window) for each in alerts])
    known = {each.alert: each for each in await store.lock_watches(connection, [customer.customer_id], [subscription])}
    told: list[AlertTriggered] = []
    kept: list[Watch] = []
    for alert in alerts:
        watch = known[alert.id]
        crossed = watch.crossed if watch.window_start == window.start else ()
        seen = replace(watch, window_start=window.start, window_end=window.end, value=spent, crossed=crossed)
        judged, crossings = judge(alert, seen)
        kept.append(judged)
        told += [triggered(alert, judged, crossing, now) for crossing in crossings]
    await store.keep(connection, kept)
    return told


def _fresh(customer: Customer, subscription: str, alert: Alert, window: Period) -> Watch:
    return Watch(
        environment=customer.environment,
        customer_id=customer.customer_id,
        meter=subscription,
        alert=alert.id,
        customer=customer.id,
        test_clock=customer.test_clock,
        window_start=window.start,
        window_end=window.end,
        size=None,
        value=None,
    )
