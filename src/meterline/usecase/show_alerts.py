"""How a customer stands under the alerts that concern it, and when the next level is likely to be crossed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.customer import Customer
from meterline.limit.alert import LIFETIME, Alert, Crossing, Watch, forecast, judge, next_crossing
from meterline.limit.balance import stands
from meterline.store import alert as store
from meterline.store import usage, wallet
from meterline.store.database import driver
from meterline.usecase.judge_spending import fresh, seen, spending_of
from meterline.usecase.watch_usage import Watched, load, wanted_of, with_window

REST_OF_SECOND = timedelta(microseconds=999_999)
"""Calls come at whole seconds; what was given to a wallet within this one is there already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One alert on one meter, one subscription's spending or one balance, for one customer: how it stands.

    `expected_at` is UTC; null: not at this pace, or not in this window.
    """

    alert: Alert
    watch: Watch
    next: Crossing | None
    expected_at: datetime | None


async def show_alerts(tx: AsyncConnection, *, customer: Customer, now: datetime, wall: datetime) -> list[Standing]:
    """The standings of a customer, read in full; `now` is the customer's time, `wall` the wall clock's, UTC.

    Left out are allowance alerts on meters where the customer's prices include nothing, and alerts for everybody on
    meters that the customer did not use.
    """
    connection = await driver(tx)
    watched = await load(connection, customer.environment, 0)
    periods = (await store.periods(connection, [customer.customer_id])).get(customer.customer_id, [])
    known = {(each.meter, each.alert): each for each in await store.of_customer(tx, customer.customer_id)}
    standing: list[tuple[Alert, Watch]] = []
    for meter, alert in _concerning(watched, customer):
        new = _fresh(customer, meter, alert)
        watch = with_window(known.get((meter, alert.id), new), alert, watched.prices, periods, now=now)
        if alert.measure == "usage" or watch.size is not None:
            standing.append((alert, watch))
    asked = [wanted_of(watch, watched.meters[watch.meter]) for _, watch in standing]
    values = await usage.quantities(tx, asked)
    counted = [
        _standing(alert, replace(watch, value=value), customer, now)
        for (alert, watch), value in zip(standing, values, strict=True)
        if value or watch.size or alert.customer
    ]
    spent = await _on_spending(tx, customer, known, wall)
    balances = await _on_balances(connection, customer, now)
    return [*counted, *(_standing(alert, watch, customer, now) for alert, watch in spent), *balances]


async def _on_balances(connection: store.Connection, customer: Customer, now: datetime) -> list[Standing]:
    """Alerts on what the customer's wallet has available. Those for everybody only on assets that it ever held."""
    alerts = await store.on_balances(connection, customer.environment)
    mine = [each for each in alerts if each.customer_id in (None, customer.customer_id)]
    found = await wallet.find(connection, [customer.customer_id]) if mine else {}
    pockets = await wallet.pockets(connection, found) if found else {}
    standings: list[Standing] = []
    for alert in mine:
        assert alert.asset is not None, "balances are of an asset"
        pocket = pockets.get((customer.customer_id, alert.asset))
        if pocket is None and (alert.customer_id is None or not found):
            continue
        available = Decimal(0) if pocket is None else pocket.available(now + REST_OF_SECOND)
        below, coming = stands(available=available, levels=alert.levels)
        watch = replace(_fresh(customer, alert.asset, alert), value=available, crossed=below)
        ahead = None if coming is None else Crossing(level=coming, threshold=coming, direction="crossed")
        standings.append(Standing(alert=alert, watch=watch, next=ahead, expected_at=None))
    return standings


async def _on_spending(
    tx: AsyncConnection, customer: Customer, known: Mapping[tuple[str, str], Watch], wall: datetime
) -> list[tuple[Alert, Watch]]:
    """Alerts on spending beside what each subscription spent, read as the worker reads it, of the same preview."""
    alerts = await store.on_spending(await driver(tx), customer.environment, customer.customer_id)
    if not alerts or customer.deleted:
        return []
    return [
        (alert, seen(known.get((each.subscription, alert.id), fresh(customer, each, alert)), each))
        for each in await spending_of(tx, customer=customer, now=wall)
        for alert in alerts
        if alert.asset == each.currency
    ]


def _concerning(watched: Watched, customer: Customer) -> Sequence[tuple[str, Alert]]:
    return [(meter, alert) for meter in sorted(watched.concerned) for alert in watched.on(meter, customer.customer_id)]


def _fresh(customer: Customer, meter: str, alert: Alert) -> Watch:
    return Watch(
        environment=customer.environment,
        customer_id=customer.customer_id,
        meter=meter,
        alert=alert.id,
        customer=customer.id,
        test_clock=customer.test_clock,
        window_start=LIFETIME,
        window_end=None,
        size=None,
        value=Decimal(0),
    )


def _standing(alert: Alert, watch: Watch, customer: Customer, now: datetime) -> Standing:
    judged, _ = judge(alert, watch)
    coming = next_crossing(alert, judged)
    expected = None
    if coming is not None and watch.value is not None:
        since = max(watch.window_start, customer.created)
        expected = forecast(value=watch.value, threshold=coming.threshold, since=since, now=now)
    if expected is not None and watch.window_end is not None and expected >= watch.window_end:
        expected = None
    return Standing(alert=alert, watch=judged, next=coming, expected_at=expected)
