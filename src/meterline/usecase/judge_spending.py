"""Look at what a customer's usage costs so far, and tell the levels it has crossed.

The cost is the preview's: the lines of the next invoice that bill usage. Usage plans the look in the transaction that
stores it; the look takes the plan's lock before it reads, so no usage goes unseen.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.customer import Customer
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What the usage of a subscription costs so far, in minor units of `currency`, in the window it is billed for."""

    subscription: str
    currency: str
    window: Period
    spent: Decimal


async def spending_of(tx: AsyncConnection, *, customer: Customer, now: datetime) -> list[Spending]:
    """What each subscription of the customer with usage to bill has cost so far; `now` is the wall clock, UTC."""
    found: list[Spending] = []
    for subscription in await subscriptions.of_customer(tx, customer_id=customer.customer_id):
        asked = AskedPreview(environment=customer.environment, customer=customer.id, subscription=subscription.id)
        try:
            upcoming = await preview_invoice(tx, asked, now=now)
        except NothingUpcoming:
            continue
        billed = [(line.usage, line.amount) for line in upcoming.lines if line.usage is not None and not line.late]
        if billed:
            window = Period(start=min(usage.start for usage, _ in billed), end=max(usage.end for usage, _ in billed))
            spent = Decimal(sum(amount for _, amount in billed))
            found.append(Spending(subscription=subscription.id, currency=upcoming.currency, window=window, spent=spent))
    return found


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
    for each in await spending_of(tx, customer=customer, now=now):
        names[each.subscription] = f"usage of {each.subscription} in {each.currency}, minor units"
        told += await _judged(connection, customer, each, [one for one in alerts if one.asset == each.currency], at)
    await tell(connection, [(customer.customer_id, each) for each in told], names=names, now=now)


async def _judged(
    connection: store.Connection,
    customer: Customer,
    spending: Spending,
    alerts: list[Alert],
    now: datetime,
) -> list[AlertTriggered]:
    """The crossings of one subscription's alerts, whose watches are kept."""
    if not alerts:
        return []
    await store.begin(connection, [fresh(customer, spending, each) for each in alerts])
    watches = await store.lock_watches(connection, [customer.customer_id], [spending.subscription])
    known = {each.alert: each for each in watches}
    told: list[AlertTriggered] = []
    kept: list[Watch] = []
    for alert in alerts:
        judged, crossings = judge(alert, seen(known[alert.id], spending))
        kept.append(judged)
        told += [triggered(alert, judged, crossing, now) for crossing in crossings]
    await store.keep(connection, kept)
    return told


def seen(watch: Watch, spending: Spending) -> Watch:
    """The watch with what was spent; another window than before arms all levels again."""
    window = spending.window
    crossed = watch.crossed if watch.window_start == window.start else ()
    return replace(watch, window_start=window.start, window_end=window.end, value=spending.spent, crossed=crossed)


def fresh(customer: Customer, spending: Spending, alert: Alert) -> Watch:
    """A watch that has not looked at anything yet."""
    return Watch(
        environment=customer.environment,
        customer_id=customer.customer_id,
        meter=spending.subscription,
        alert=alert.id,
        customer=customer.id,
        test_clock=customer.test_clock,
        window_start=spending.window.start,
        window_end=spending.window.end,
        size=None,
        value=None,
    )
