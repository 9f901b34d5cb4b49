"""Try parked events again once the cause is gone: each is counted once, in the transaction that lets go of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.meter.intake import Problem
from meterline.refusal import Conflict
from meterline.store import alert, catalog_version, clock, customer, event, meter, offer, stray, wallet
from meterline.store.alert import Connection
from meterline.store.database import driver
from meterline.store.directory import Catalog, Who, lane_of
from meterline.store.event import NewEvent, uuid16
from meterline.store.offer import Fee
from meterline.store.stray import Parked
from meterline.usecase.debit_usage import pricing_ways
from meterline.usecase.ingest_events import MICROSECOND, Told, measure, ready
from meterline.usecase.make_room import make_room
from meterline.usecase.settle_told import Part, recall, settle
from meterline.usecase.watch_usage import Watching
from meterline.usecase.write_events import Accepted, Stale, record

_told = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


SECOND = timedelta(seconds=1)
"""What `now` may have been rounded by: a subscription of this very second prices what waited for it."""

UNPRICED = frozenset({"no_subscription", "rate_missing"})
"""Why the wallet dialect parks usage that is counted by a meter: nothing prices it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What became of the parked events tried: counted now, counted before, still parked; where to go on."""

    accepted: int
    duplicate: int
    parked: int
    next: UUID | None


async def replay_parked(
    tx: AsyncConnection,
    *,
    environment: str,
    code: str | None = None,
    event_name: str | None = None,
    any_time: bool = False,
    after: UUID | None = None,
    limit: int = 1_000,
    now: datetime,
) -> Replayed:
    """Try up to `limit` parked events again, oldest first.

    Where a wallet pays, what nothing prices stays parked. A timestamp is judged as of when the event was first told;
    `any_time` counts events outside the window too. An event without a timestamp happened when it was first told; on
    a test clock, whose time then nobody noted, at the clock's time now. Raises Conflict when the catalog changed
    meanwhile.
    """
    connection = await driver(tx)
    claimed, last = await stray.claim_parked(
        connection, environment=environment, code=code, event_name=event_name, after=after, limit=limit
    )
    if not claimed:
        return Replayed(accepted=0, duplicate=0, parked=0, next=None)
    version = await catalog_version.current(tx, environment)
    meters = await meter.catalog(tx, environment)
    parts = await recall(tx, environment=environment, parked=[_read(each) for each in claimed], meters=meters)
    checked = await _check(tx, environment, Catalog(version, meters), claimed, parts, any_time=any_time, now=now)
    tried = [(part, each) for part, each in zip(parts, checked, strict=True) if not isinstance(each, Problem)]
    gone = await _make_room(connection, [each for _, each in tried], now=now)
    tried = [(part, each) for part, each in tried if each.occurred_at.date() not in gone]
    priced_at = now + SECOND
    free = await _unpriced(connection, claimed, tried, now=priced_at)
    good = [(part, each) for n, (part, each) in enumerate(tried) if n not in free]
    counted_before = await _counted_before(connection, [each for _, each in good])
    fresh = [each for n, (_, each) in enumerate(good) if n not in counted_before]
    accepted: dict[UUID, tuple[Fee, ...]] = {}
    if fresh:
        try:
            fates = await record(connection, fresh, {environment: version}, Watching(), replay_at=priced_at)
        except Stale:
            raise Conflict("A meter changed during the replay; try again.") from None
        for each, fate in zip(fresh, fates, strict=True):
            if isinstance(fate, Accepted):
                accepted[each.identifier16] = fate.debited.fees if fate.debited is not None else ()
    await settle(connection, good, accepted)
    done = {part.place for part, _ in good}
    counted = {part.place for part, each in good if each.identifier16 in accepted}
    await stray.forget(connection, environment, [claimed[n].key16 for n in sorted(done)])
    still = {tried[n][0].place: reason for n, reason in free.items()}
    reasons = [(claimed[n].key16, *why) for n, why in sorted(still.items()) if n not in done]
    await stray.park_again(connection, environment, reasons)
    return Replayed(
        accepted=len(counted),
        duplicate=len(done) - len(counted),
        parked=len(claimed) - len(done),
        next=last if len(claimed) == limit else None,
    )


async def _unpriced(
    connection: Connection, claimed: list[Parked], tried: Sequence[tuple[Part, NewEvent]], *, now: datetime
) -> dict[int, tuple[str, str]]:
    """Which of them nothing prices, and why, where a wallet pays.

    What was parked for another reason may be billed by an invoice instead.
    """
    owners = {UUID(bytes=each.customer_id.bytes) for _, each in tried}
    clocks = await wallet.clocks(connection, owners)
    if not clocks:
        return {}
    tariffs = await offer.tariffs(connection, clocks)
    environment = tried[0][1].environment
    prices = await offer.prices(connection, environment, {each.price for each in tariffs})
    metered = await alert.metered(connection, environment)
    billed = {
        (customer_id, metered[price].meter)
        for customer_id, items in (await alert.periods(connection, clocks)).items()
        for price, _, _ in items
        if price in metered
    }
    found: dict[int, tuple[str, str]] = {}
    for n, (part, each) in enumerate(tried):
        owner = UUID(bytes=each.customer_id.bytes)
        invoiced = claimed[part.place].code not in UNPRICED and (owner, each.meter) in billed
        if owner not in clocks or invoiced:
            continue
        mine = [tariff for tariff in tariffs if tariff.customer_id == owner and tariff.meter == each.meter]
        if not pricing_ways(mine, each, prices, now=max(clocks[owner] or now, now)):
            found[n] = _RATE_MISSING if mine else _NO_SUBSCRIPTION
    return found


_NO_SUBSCRIPTION = ("no_subscription", "No active subscription of the customer prices this event.")
_RATE_MISSING = ("rate_missing", "No price of the customer's subscriptions has a rate for this event.")


async def _check(
    tx: AsyncConnection,
    environment: str,
    catalog: Catalog,
    claimed: list[Parked],
    parts: Sequence[Part],
    *,
    any_time: bool,
    now: datetime,
) -> "list[NewEvent | Problem]":
    measured = [measure(each.event, catalog.meters) for each in parts]
    names = {each[1].customer for each in measured if not isinstance(each, Problem)}
    living = [each for each in (await customer.find(tx, environment, names)).values() if not each.deleted]
    known = {
        each.id: Who(uuid16(each.customer_id.bytes), each.test_clock, lane_of(each.customer_id)) for each in living
    }
    clocks = {}
    for id in {each.test_clock for each in living if each.test_clock is not None}:
        frozen = await clock.find(tx, environment=environment, id=id)
        if frozen is not None:
            clocks[id] = frozen.frozen_time
    checked: list[NewEvent | Problem] = []
    for n, (part, each) in enumerate(zip(parts, measured, strict=True)):
        if isinstance(each, Problem):
            checked.append(each)
            continue
        dated = part.event.occurred_at if any_time else None
        told_at = dated or claimed[part.place].received_at
        on_clocks = clocks if dated is None else dict.fromkeys(clocks, dated)
        checked.append(ready(part.event, each, known, on_clocks, environment, now + n * MICROSECOND, told_at=told_at))
    return checked


def _read(parked: Parked) -> Told:
    """The event as told, with an identifier for ever the same, so that it counts once."""
    document = _told.decode(parked.told)
    timestamp = document.get("timestamp")
    return Told(
        event_name=document["event_name"],
        payload=document.get("payload", {}),
        identifier=parked.identifier or parked.key16.hex,
        occurred_at=datetime.fromisoformat(timestamp) if timestamp else None,
        customer=document.get("customer"),
        source=document.get("source"),
    )


async def _counted_before(connection: Any, events: list[NewEvent]) -> set[int]:
    """Which of them were told again later, and counted then, under another timestamp."""
    found = set()
    for n, each in enumerate(events):
        stored = await event.find(connection, customer_id=each.customer_id, identifier16=each.identifier16)
        if stored is not None:
            found.add(n)
    return found


async def _make_room(connection: Any, events: list[NewEvent], *, now: datetime) -> set[date]:
    """Make sure of the partitions; the days whose events are not kept any more, to which nothing is added."""
    if not events:
        return set()
    days = {each.occurred_at.date() for each in events}
    wanted = {(table, day) for day in days for table in ("usage_event", "usage_hour", "usage_unique")}
    wanted |= {("recent_identifier", day) for day in event.days_of(events[0].received_at)[0]}
    return await make_room(connection, wanted, now=now)
