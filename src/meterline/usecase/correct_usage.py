"""Correct what was counted: void an event, replace one, backfill a stretch of time; and take any of it back.

Events are never changed: a voided one stays, a replacement is another event. The counters of every hour
touched are recounted from its events in the same transaction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.customer import Customer
from meterline.meter import Meter, reach
from meterline.money import decimal_text
from meterline.period import Period
from meterline.refusal import Missing, Refusal
from meterline.store import correction as store
from meterline.store import counter, customer, event, meter, partition, usage, usage_policy
from meterline.store.alert import Connection
from meterline.store.correction import Correction, Staged
from meterline.store.database import driver
from meterline.store.event import NewEvent, Stored, digest16
from meterline.store.fee import forget_returned, standing
from meterline.store.identifier import public
from meterline.store.offer import Fee
from meterline.store.usage import HOUR, NO_DIMENSIONS, dimensions_text, hour_of
from meterline.usecase.count_on_budgets import count_usage
from meterline.usecase.debit_usage import debit_usage
from meterline.usecase.lock_usage import key_of, lock_usage
from meterline.usecase.moment import moment
from meterline.usecase.recall_events import as_new, described
from meterline.usecase.reverse_debits import reverse_debits
from meterline.usecase.watch_usage import watch_again

INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Who corrects, and why, and whether through one of Stripe's routes."""

    actor: str
    reason: str
    through_stripe: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a replacement says differently; None keeps what the event said."""

    value: Decimal | None = None
    occurred_at: datetime | None = None
    dimensions: Mapping[str, str] | None = None


async def void_event(
    tx: AsyncConnection, *, found: Stored, public_customer: str, author: Author, now: datetime
) -> Correction:
    """Take one event out of what counts. Refuses an event that does not count any more."""
    hour = hour_of(found.occurred_at)
    correction = _correction(found, public_customer, author, "void", Period(start=hour, end=hour + HOUR), now)
    return await _apply(tx, correction, voided=[found], made=[], now=now)


async def replace_event(
    tx: AsyncConnection, *, found: Stored, public_customer: str, change: Change, author: Author, now: datetime
) -> Correction:
    """Count something else in the place of one event.

    `now` is the wall clock. Refuses an event that does not count any more, and a time that is out of reach.
    """
    occurred_at = change.occurred_at or found.occurred_at
    if change.occurred_at is not None:
        reach.check_corrected(occurred_at, now=await _moment(tx, found.customer_id, now), param="timestamp")
        await _check_kept(tx, Period(start=occurred_at, end=occurred_at + INSTANT), now=now, param="timestamp")
    first, last = sorted((hour_of(found.occurred_at), hour_of(occurred_at)))
    correction = _correction(found, public_customer, author, "replace", Period(start=first, end=last + HOUR), now)
    dimensions = dimensions_text(change.dimensions) if change.dimensions else None
    made = NewEvent(
        customer_id=found.customer_id,
        occurred_at=occurred_at,
        identifier16=digest16(f"{found.identifier}\0{correction.id}", of=b"made"),
        environment=found.environment,
        meter=found.meter,
        identifier=f"{found.identifier[:60]}~{correction.id}",
        value=found.value if change.value is None else change.value,
        dimensions16=found.dimensions16 if dimensions is None else digest16(dimensions),
        value16=found.value16,
        body16=found.body16,
        received_at=now,
        dimensions=dimensions,
    )
    detail = dict(correction.detail) | {"after": {"value": str(made.value), "timestamp": made.occurred_at.isoformat()}}
    return await _apply(tx, replace(correction, detail=detail), voided=[found], made=[made], now=now)


async def open_backfill(
    tx: AsyncConnection,
    *,
    of: Customer,
    meter: Meter,
    period: Period,
    replaces: bool,
    author: Author,
    now: datetime,
) -> Correction:
    """Begin to collect events for a stretch of time. Nothing counts before the backfill is closed.

    `now` is the wall clock. Refuses a time that is out of reach.
    """
    reach.check_backfill(period, now=await _moment(tx, of.customer_id, now))
    await _check_kept(tx, period, now=now, param="start")
    opened = Correction(
        environment=meter.environment,
        customer_id=of.customer_id,
        id=public("ucor"),
        customer=of.id,
        kind="backfill",
        status="open",
        meter=meter.id,
        identifier=None,
        start=period.start,
        end=period.end,
        replaces=replaces,
        actor=author.actor,
        reason=author.reason,
        before=None,
        after=None,
        detail={},
        created=now,
        applied_at=None,
    )
    await store.add(tx, opened)
    return opened


async def stage_events(
    tx: AsyncConnection, *, environment: str, id: str, events: Sequence[Staged], now: datetime
) -> int:
    """Add events to an open backfill; how many were new to it. Refuses events outside its time or yet to come."""
    opened = await store.lock(tx, environment, id)
    if opened.kind != "backfill" or opened.status != "open":
        raise Refusal("This backfill is not open.")
    moment_of = await _moment(tx, opened.customer_id, now)
    for n, each in enumerate(events):
        reach.check_corrected(each.occurred_at, now=moment_of, param=f"events[{n}][timestamp]")
        if not opened.start <= each.occurred_at < opened.end:
            raise Refusal("The event lies outside the backfill's time.", param=f"events[{n}][timestamp]")
    return await store.stage(tx, opened, events) if events else 0


async def close_backfill(tx: AsyncConnection, *, environment: str, id: str, now: datetime) -> Correction:
    """Count what the backfill collected, in the place of what was counted there if it replaces."""
    opened = await store.lock(tx, environment, id)
    if opened.kind != "backfill" or opened.status != "open":
        raise Refusal("This backfill is not open.")
    await _check_kept(tx, Period(start=opened.start, end=opened.end), now=now, param="id")
    connection = await driver(tx)
    voided = []
    if opened.replaces:
        voided = await event.within(
            connection, customer_id=opened.customer_id, meter=opened.meter, start=opened.start, end=opened.end
        )
    made = [_backfilled(each, opened, now + n * INSTANT) for n, each in enumerate(await store.staged(tx, opened))]
    await store.unstage(tx, opened)
    return await _apply(tx, opened, voided=voided, made=made, now=now, known=True)


async def revert(tx: AsyncConnection, *, environment: str, id: str, now: datetime) -> Correction:
    """Take a correction back: what it voided counts again, what it made does not. Refuses to do so twice."""
    found = await store.lock(tx, environment, id)
    if found.status == "reverted":
        raise Refusal("This correction was reverted before.")
    connection = await driver(tx)
    if found.status == "open":
        await store.unstage(tx, found)
    else:
        concerned = await event.of_correction(
            connection, customer_id=found.customer_id, correction=found.id, start=found.start, end=found.end
        )
        await lock_usage(connection, environment=environment, marked=concerned)
        touched = await event.undo(
            connection,
            customer_id=found.customer_id,
            correction=found.id,
            start=found.start,
            end=found.end,
            now=now,
        )
        await counter.recount(connection, [key_of(each) for each in touched])
        await _debit_again(tx, found, touched, now)
        await _watch(connection, found, now)
    reverted = replace(found, status="reverted", reverted_at=now)
    await store.save(tx, reverted)
    return reverted


async def _apply(
    tx: AsyncConnection,
    correction: Correction,
    *,
    voided: Sequence[Stored],
    made: Sequence[NewEvent],
    now: datetime,
    known: bool = False,
) -> Correction:
    connection = await driver(tx)
    for day in sorted({each.occurred_at.date() for each in made}):
        for table in ("usage_event", "usage_hour", "usage_unique"):
            await partition.create(connection, partition.holding(table, day))
    await lock_usage(connection, environment=correction.environment, marked=voided, made=made)
    before = await _quantity(tx, correction)
    # What somebody else took back before we had the locks is not taken back again.
    taken = await event.void(connection, voided, by=correction.id, now=now) if voided else []
    if len(taken) != len(voided) and not known:
        raise Refusal("This event was voided before.")
    await counter.recount(connection, [key_of(each) for each in taken])
    returned = await _take_back(tx, correction.environment, taken, now)
    if made:
        await event.put(connection, made, by=correction.id)
        await counter.add(connection, made)
        made = await described(tx, made)
        await debit_usage(connection, environment=correction.environment, events=made, now=now)
    await _watch(connection, correction, now)
    after = await _quantity(tx, correction)
    detail = dict(correction.detail) | ({"returned": decimal_text(returned)} if returned else {})
    applied = replace(correction, status="applied", before=before, after=after, applied_at=now, detail=detail)
    await (store.save if known else store.add)(tx, applied)
    return applied


async def _moment(tx: AsyncConnection, customer_id: UUID, now: datetime) -> datetime:
    """What time it is for the customer."""
    key = UUID(bytes=customer_id.bytes)
    owner = (await customer.find_all(tx, [key]))[key]
    return await moment(tx, environment=owner.environment, test_clock=owner.test_clock, now=now)


async def _check_kept(tx: AsyncConnection, period: Period, *, now: datetime, param: str) -> None:
    keep = await usage_policy.keep_events(tx)
    if keep is not None:
        present = {each.start for each in await partition.present(await driver(tx), "usage_event")}
        reach.check_kept(reach.days_of(period), present=present, horizon=now - keep, param=param)


async def _debit_again(tx: AsyncConnection, correction: Correction, touched: Sequence[Stored], now: datetime) -> None:
    """Give back what was paid for events that were made, and debit anew those that count again."""
    connection = await driver(tx)
    gone = [each for each in touched if each.voided_at is not None]
    back = [each for each in touched if each.voided_at is None]
    await _take_back(tx, correction.environment, gone, now)
    await forget_returned(connection, back)
    again = await described(tx, [as_new(each) for each in back])
    await debit_usage(connection, environment=correction.environment, events=again, now=now)


async def _take_back(tx: AsyncConnection, environment: str, gone: Sequence[Stored], now: datetime) -> Decimal:
    """Give back what was paid for events, and take them out of the budgets; how much came back."""
    connection = await driver(tx)
    fees = await standing(connection, gone)
    returned = await reverse_debits(connection, environment=environment, events=gone, now=now)
    of_event: dict[UUID, list[Fee]] = {}
    for each in fees:
        of_event.setdefault(each.identifier16, []).append(each)
    told = await described(tx, [as_new(each) for each in gone])
    used = [(each, of_event.get(each.identifier16, [])) for each in told]
    await count_usage(
        connection,
        environment=environment,
        customer_ids={each.customer_id for each in told},
        used=used,
        now=now,
        back=True,
    )
    return returned


async def _watch(connection: Connection, correction: Correction, now: datetime) -> None:
    """Tell the levels of alerts that the correction crosses."""
    await watch_again(
        connection,
        environment=correction.environment,
        customer_id=correction.customer_id,
        meter=correction.meter,
        now=now,
    )


async def _quantity(tx: AsyncConnection, correction: Correction) -> Decimal:
    found = await meter.find(tx, correction.environment, [correction.meter])
    if not found:
        raise Missing("billing meter", correction.meter, param="meter")
    return await usage.quantity(
        tx,
        customer_id=correction.customer_id,
        meter=found[correction.meter],
        period=Period(start=correction.start, end=correction.end),
    )


def _correction(
    found: Stored, public_customer: str, author: Author, kind: store.Kind, period: Period, now: datetime
) -> Correction:
    return Correction(
        environment=found.environment,
        customer_id=found.customer_id,
        id=public("ucor"),
        customer=public_customer,
        kind=kind,
        status="applied",
        meter=found.meter,
        identifier=found.identifier,
        start=period.start,
        end=period.end,
        replaces=True,
        actor=author.actor,
        reason=author.reason,
        before=None,
        after=None,
        detail={"before": {"value": str(found.value), "timestamp": found.occurred_at.isoformat()}},
        created=now,
        applied_at=now,
        through_stripe=author.through_stripe,
    )


def _backfilled(each: Staged, correction: Correction, received_at: datetime) -> NewEvent:
    return NewEvent(
        customer_id=correction.customer_id,
        occurred_at=each.occurred_at,
        identifier16=digest16(f"{each.identifier}\0{correction.id}", of=b"made"),
        environment=correction.environment,
        meter=correction.meter,
        identifier=each.identifier,
        value=each.value,
        dimensions16=NO_DIMENSIONS if each.dimensions is None else digest16(each.dimensions),
        value16=None if each.member is None else digest16(each.member),
        body16=digest16(f"{each.value}\0{each.member}\0{each.dimensions}"),
        received_at=received_at,
        dimensions=each.dimensions,
    )


async def find_event(
    tx: AsyncConnection, *, environment: str, identifier16: UUID, customer_id: str | None, now: datetime
) -> tuple[Stored, str]:
    """An event by its identifier, with its customer's public id. Raises Missing.

    Without the customer, only events received in the last 24 hours are found; refuses to choose between customers.
    """
    connection = await driver(tx)
    if customer_id is not None:
        owner = await customer.get(tx, environment, customer_id)
        found = await event.find(connection, customer_id=owner.customer_id, identifier16=identifier16)
        if found is not None:
            return found, owner.id
    else:
        recent = await event.recent(connection, environment=environment, identifier16=identifier16, now=now)
        if len(recent) > 1:
            raise Refusal("Several customers have an event of that identifier: say whose is meant.", param="customer")
        if recent:
            owners = await customer.find_all(tx, [UUID(bytes=recent[0].customer_id.bytes)])
            return recent[0], next(iter(owners.values())).id
    raise Missing("meter event", identifier16.hex)
