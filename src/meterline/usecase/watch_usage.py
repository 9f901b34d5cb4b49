"""Watch usage as it is stored: levels crossed are told in the very transaction that crossed them.

What is watched in an environment is kept in memory per catalog version, so a batch on meters that nobody watches
costs nothing. A watch's value is carried along event by event where the formula allows, else read again; after its
window ended, or its subscription changed, it is read again in full.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from meterline.limit.alert import (
    COUNTED,
    LIFETIME,
    Alert,
    AlertTriggered,
    Crossing,
    Watch,
    judge,
    letter,
)
from meterline.meter import Meter
from meterline.money import add
from meterline.period import Period
from meterline.store import alert as store
from meterline.store import mail, notice, usage
from meterline.store import meter as meters
from meterline.store.alert import Connection, Metered
from meterline.store.event import NewEvent
from meterline.store.identifier import public
from meterline.store.mail import Letter
from meterline.store.notice import Fact
from meterline.store.usage import Wanted

_FAR = datetime(9000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What an environment watches, as of a catalog version."""

    version: int
    alerts: Sequence[Alert]
    prices: Mapping[str, Metered]
    meters: Mapping[str, Meter]
    with_allowance: frozenset[str]
    concerned: frozenset[str]
    on_spending: Sequence[Alert] = ()

    def spenders(self, events: Sequence[NewEvent]) -> set[UUID]:
        """The customers among those of the events whose spending is watched and changed by them."""
        if not self.on_spending:
            return set()
        billed = {each.meter for each in self.prices.values()}
        everybody = any(alert.customer_id is None for alert in self.on_spending)
        named = {alert.customer_id for alert in self.on_spending}
        return {
            each.customer_id for each in events if each.meter in billed and (everybody or each.customer_id in named)
        }

    def on(self, meter: str, customer_id: UUID) -> list[Alert]:
        """The alerts that the customer's usage of the meter concerns."""
        included = meter in self.with_allowance
        return [
            each
            for each in self.alerts
            if each.applies(meter=meter, customer_id=customer_id) and (each.measure == "usage" or included)
        ]


class Watching:
    """Remembers what each environment watches."""

    def __init__(self) -> None:
        self._known: dict[str, Watched] = {}

    def known(self, environment: str, version: int) -> Watched | None:
        """What the environment watches, where it is remembered as of that version."""
        known = self._known.get(environment)
        return known if known is not None and known.version == version else None

    async def of(self, connection: Connection, environment: str, version: int) -> Watched:
        """What the environment watches at that catalog version."""
        known = self.known(environment, version)
        if known is None:
            known = await load(connection, environment, version)
            self._known[environment] = known
        return known


async def load(connection: Connection, environment: str, version: int) -> Watched:
    """Read what an environment watches."""
    active = await store.active(connection, environment)
    alerts = [each for each in active if each.measure in COUNTED]
    prices = await store.metered(connection, environment)
    known = await meters.by_id(connection, environment)
    with_allowance = {each.meter for each in prices.values() if each.size}
    concerned: set[str] = set()
    for each in alerts:
        reach = with_allowance if each.measure == "allowance" else set(known)
        concerned |= reach if each.meter is None else reach & {each.meter}
    return Watched(
        version=version,
        alerts=alerts,
        prices=prices,
        meters=known,
        with_allowance=frozenset(with_allowance),
        concerned=frozenset(concerned),
        on_spending=[each for each in active if each.measure == "spend"],
    )


async def plan_looks(
    connection: Connection, *, watched: Watched, environment: str, events: Sequence[NewEvent], now: datetime
) -> None:
    """Plan a look at what the usage costs, where that is watched. As `watch_usage`, but before wallets are debited."""
    spenders = watched.spenders(events)
    if spenders:
        await store.plan_judgement(connection, environment=environment, customer_ids=spenders, now=now)


async def watch_usage(
    connection: Connection, *, watched: Watched, environment: str, events: Sequence[NewEvent], now: datetime
) -> None:
    """Carry the watches along with events of one environment that were just stored and counted.

    Runs inside their transaction, after the counters and the wallets (`lock_usage`); `now` is the wall clock.
    Crossings become notices.
    """
    mine = [event for event in events if event.meter in watched.concerned]
    if not mine:
        return
    by_pair: dict[tuple[UUID, str], list[NewEvent]] = {}
    for event in mine:
        by_pair.setdefault((event.customer_id, event.meter), []).append(event)
    alerts = {pair: {each.id: each for each in watched.on(pair[1], pair[0])} for pair in by_pair}
    watches = await _locked(connection, environment, alerts)
    carried = [_carry(each, watched.meters[each.meter], by_pair[each.customer_id, each.meter]) for each in watches]
    read = await _read_again(connection, watched, alerts, carried, now)
    await _settle(connection, watched, alerts, before=watches, after=read, now=now)


async def watch_again(
    connection: Connection, *, environment: str, customer_id: UUID, meter: str, now: datetime
) -> None:
    """Read the watches of a customer on a meter in full and tell what that crosses: usage was taken back or moved.

    Runs inside the transaction that did it, after the counters; `now` is the wall clock.
    """
    watched = await load(connection, environment, 0)
    alerts = {(customer_id, meter): {each.id: each for each in watched.on(meter, customer_id)}}
    watches = await store.lock_watches(connection, [customer_id], [meter])
    known = [each for each in watches if each.alert in alerts[customer_id, meter]]
    stale = [replace(each, value=None) for each in known]
    read = await _read_again(connection, watched, alerts, stale, now)
    await _settle(connection, watched, alerts, before=known, after=read, now=now)


async def _locked(
    connection: Connection, environment: str, alerts: Mapping[tuple[UUID, str], Mapping[str, Alert]]
) -> list[Watch]:
    """The watches on these pairs, made where they are missing, locked."""
    customers, of_meters = [pair[0] for pair in alerts], [pair[1] for pair in alerts]

    async def locked() -> list[Watch]:
        found = await store.lock_watches(connection, customers, of_meters)
        return [each for each in found if each.alert in alerts.get((each.customer_id, each.meter), {})]

    watches = await locked()
    there = {(each.customer_id, each.meter, each.alert) for each in watches}
    missing = [
        (customer_id, meter, id)
        for (customer_id, meter), of_pair in alerts.items()
        for id in of_pair
        if (customer_id, meter, id) not in there
    ]
    if not missing:
        return watches
    who = await store.who(connection, {customer_id for customer_id, _, _ in missing})
    await store.begin(
        connection,
        [
            Watch(
                environment=environment,
                customer_id=customer_id,
                meter=meter,
                alert=id,
                customer=who[customer_id][0],
                test_clock=who[customer_id][1],
                window_start=LIFETIME,
                window_end=None,
                size=None,
                value=None,
            )
            for customer_id, meter, id in missing
        ],
    )
    return await locked()


def _carry(watch: Watch, meter: Meter, events: Sequence[NewEvent]) -> Watch:
    """The watch with the events added, or with no value where it has to be read again."""
    end = watch.window_end
    moved_on = end is not None and any(each.occurred_at >= end for each in events)
    if watch.value is None or not meter.invertible or moved_on:
        return replace(watch, value=None)
    counted = [each for each in events if watch.covers(each.occurred_at)]
    more = Decimal(len(counted)) if meter.formula == "count" else add(*(each.value for each in counted))
    return replace(watch, value=add(watch.value, more))


async def _read_again(
    connection: Connection,
    watched: Watched,
    alerts: Mapping[tuple[UUID, str], Mapping[str, Alert]],
    watches: Sequence[Watch],
    now: datetime,
) -> list[Watch]:
    """The watches without a value, with window, allowance and value as they are."""
    stale = [n for n, each in enumerate(watches) if each.value is None]
    if not stale:
        return list(watches)
    periods = await store.periods(connection, {watches[n].customer_id for n in stale})
    renewed = list(watches)
    for n in stale:
        each = watches[n]
        alert = alerts[each.customer_id, each.meter][each.alert]
        at = await _time_of(connection, each, now)
        renewed[n] = with_window(each, alert, watched.prices, periods.get(each.customer_id, []), now=at)
    wanted = [wanted_of(renewed[n], watched.meters[renewed[n].meter]) for n in stale]
    for n, value in zip(stale, await usage.quantities_bare(connection, wanted), strict=True):
        renewed[n] = replace(renewed[n], value=value)
    return renewed


def with_window(
    watch: Watch,
    alert: Alert,
    prices: Mapping[str, Metered],
    periods: Sequence[tuple[str, datetime, datetime]],
    *,
    now: datetime,
) -> Watch:
    """The watch in its present window: all time, the customer's billing period, or else the UTC month.

    Another window than before arms all levels again. `now` is the customer's time, UTC.
    """
    mine = [each for each in periods if each[0] in prices and prices[each[0]].meter == watch.meter]
    if alert.lifelong:
        start, end = LIFETIME, None
    elif mine:
        _, start, end = mine[0]
    else:
        start, end = _month(now)
    size = add(*(prices[price].size or Decimal(0) for price, begins, _ in mine if begins == start))
    kept = watch.crossed if start == watch.window_start else ()
    return replace(watch, window_start=start, window_end=end, size=size or None, crossed=kept)


def _month(now: datetime) -> tuple[datetime, datetime]:
    start = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = (start + timedelta(days=32)).replace(day=1)
    return start, following


def wanted_of(watch: Watch, meter: Meter) -> Wanted:
    """The quantity that a watch looks at."""
    period = Period(start=watch.window_start, end=watch.window_end or _FAR)
    return Wanted(customer_id=watch.customer_id, meter=meter, period=period)


async def _settle(
    connection: Connection,
    watched: Watched,
    alerts: Mapping[tuple[UUID, str], Mapping[str, Alert]],
    *,
    before: Sequence[Watch],
    after: Sequence[Watch],
    now: datetime,
) -> None:
    """Tell what was crossed and keep the watches that changed."""
    told: list[tuple[UUID, AlertTriggered]] = []
    changed: list[Watch] = []
    for was, each in zip(before, after, strict=True):
        alert = alerts[each.customer_id, each.meter][each.alert]
        judged, crossings = judge(alert, each)
        if judged != was:
            changed.append(judged)
        if crossings:
            at = await _time_of(connection, each, now)
            told += [(judged.customer_id, triggered(alert, judged, crossing, at)) for crossing in crossings]
    await store.keep(connection, changed)
    await tell(connection, told, names={id: meter.display_name for id, meter in watched.meters.items()}, now=now)


async def tell(
    connection: Connection,
    told: Sequence[tuple[UUID, AlertTriggered]],
    *,
    names: Mapping[str, str],
    now: datetime,
) -> None:
    """Write the notices and the e-mails of crossings. `names` says what people call that which was watched."""
    facts = [_fact(each, customer_id) for customer_id, each in told]
    letters = [one for customer_id, each in told for one in _letters(each, customer_id, names[each.meter])]
    await notice.add_all(connection, facts)
    await mail.add_all(connection, letters, now=now)


async def _time_of(connection: Connection, watch: Watch, now: datetime) -> datetime:
    """The customer's time: its test clock's, or the wall clock's."""
    if watch.test_clock is None:
        return now
    return await store.frozen(connection, watch.environment, watch.test_clock)


def triggered(alert: Alert, watch: Watch, crossing: Crossing, now: datetime) -> AlertTriggered:
    """What is told of a crossing."""
    assert watch.value is not None
    return AlertTriggered(
        id=public("alrttrig"),
        alert=alert,
        customer=watch.customer,
        meter=watch.meter,
        value=watch.value,
        size=watch.size,
        crossing=crossing,
        window_start=watch.window_start,
        window_end=watch.window_end,
        created=now,
    )


def _fact(told: AlertTriggered, customer_id: UUID) -> Fact:
    return Fact(
        environment=told.alert.environment,
        customer_id=customer_id,
        type=_type_of(told.alert),
        subject=told,
        object_id=f"{told.alert.id}/{told.customer}/{told.meter}",
        now=told.created,
    )


def _type_of(alert: Alert) -> str:
    if alert.measure == "spend":
        return "spend.threshold"
    return "billing.alert.triggered" if alert.lifelong else "usage.threshold"


def _letters(told: AlertTriggered, customer_id: UUID, name: str) -> list[Letter]:
    if not told.alert.emails:
        return []
    subject, body = letter(told, meter=name)
    return [
        Letter(
            environment=told.alert.environment,
            customer_id=customer_id,
            recipient=recipient,
            subject=subject,
            body=body,
        )
        for recipient in told.alert.emails
    ]
