"""Take usage events in: validate, group by lane, store and count in one transaction per batch, then answer.

A lane is a share of the customers with one writer per process. Several processes write at once: rows go in
key order, constraints decide what is new, and a batch that met a newer catalog than it was checked against
starts over.
"""

import asyncio
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, Literal
from uuid import UUID

import msgspec

from meterline.meter import Meter, intake
from meterline.meter.intake import Problem
from meterline.meter.model import CUSTOMER_KEY
from meterline.store.database import Database
from meterline.store.directory import Catalog, Directory, Who, lane_of
from meterline.store.event import NewEvent, digest16, uuid16
from meterline.store.stray import Stray
from meterline.store.usage import NO_DIMENSIONS, dimensions_text
from meterline.usecase.group_commit import Gate, GroupCommit, Overloaded
from meterline.usecase.write_events import Chunk, Fate, Refused, Ticket, Writer, stray_writer

Origin = Literal["v1", "v2", "stream", "own"]

MICROSECOND = timedelta(microseconds=1)


class Told(msgspec.Struct, gc=False):
    """One event as a caller told it, whatever the dialect.

    `occurred_at` is UTC, None where the server's clock is meant. `customer` names the customer where the
    envelope does. `source` sets apart identifiers of different producers.
    """

    event_name: str
    payload: Mapping[str, Any]
    identifier: str | None = None
    occurred_at: datetime | None = None
    customer: str | None = None
    source: str | None = None
    key16: UUID | None = None
    key_body16: UUID | None = None
    request_key: str | None = None


class Settings(msgspec.Struct, frozen=True):
    """How much is done at once: lanes per process, events per transaction, events waiting per lane.

    Lanes write side by side when they have `enough` events each. A batch is tried again for `patience_s` seconds
    while the database cannot be reached; then its callers are told.
    """

    lanes: int = 2
    enough: int = 250
    max_batch: int = 2_000
    max_queued: int = 40_000
    patience_s: float = 15.0


class Ingest:
    """Takes events in for one process. Each event is answered with its fate once that is committed."""

    def __init__(self, database: Database, settings: Settings | None = None) -> None:
        settings = settings or Settings()
        self.directory = Directory(database)
        self._max_batch = settings.max_batch
        self._writers = [
            Writer(database.dsn, self._recheck, patience_s=settings.patience_s) for _ in range(settings.lanes)
        ]
        gate = Gate(enough=settings.enough)
        self._lanes = [
            GroupCommit(
                writer.commit,
                max_batch=settings.max_batch,
                max_queued=settings.max_queued,
                name=f"lane-{n}",
                gate=gate,
            )
            for n, writer in enumerate(self._writers)
        ]
        self._stray_writer = stray_writer(database.dsn, patience_s=settings.patience_s)
        self._strays = GroupCommit(
            self._stray_writer.commit,
            max_batch=settings.max_batch,
            max_queued=settings.max_queued,
            name="strays",
            gate=Gate(enough=1),
        )
        self._last_received = datetime.min.replace(tzinfo=UTC)

    async def start(self) -> None:
        """Begin writing. Connections are made on first use."""
        for lane in (*self._lanes, self._strays):
            lane.start()

    async def stop(self) -> None:
        """Write what is queued, then let go of the connections."""
        for lane in (*self._lanes, self._strays):
            await lane.stop()
        for writer in (*self._writers, self._stray_writer):
            await writer.close()

    async def take(
        self,
        told: Sequence[Told],
        *,
        environment: str,
        origin: Origin,
        now: datetime,
        keeps: Callable[[Problem], bool],
    ) -> list[Fate]:
        """The fate of each event, in order, after everything that could be stored is.

        `now` is the wall clock (UTC). Problems that `keeps` says so of are kept as rejected or parked; the
        others are only answered. Raises Overloaded before anything was taken, Unavailable when the database
        did not confirm; then the same call may be made again.
        """
        if len(told) == 1:
            fate = await self._take_known(told[0], environment, origin, now)
            if fate is not None and not isinstance(fate, Refused):
                return [fate]
        self._make_sure_of_room(len(told))
        received = self._stamp(now, len(told))
        catalog = await self.directory.catalog(environment)
        through_stripe = origin != "own"
        checked = await self._check(told, environment, catalog, received, through_stripe=through_stripe)
        if any(isinstance(each, Problem) for each in checked):
            newest = await self.directory.reload(environment)
            if newest.version != catalog.version:
                catalog = newest
                checked = await self._check(told, environment, catalog, received, through_stripe=through_stripe)
        fates = await self._write(told, checked, environment, catalog.version)
        strays = [
            _stray(each, fate.problem, environment, origin, at, catalog.meters)
            for each, fate, at in zip(told, fates, received, strict=True)
            if isinstance(fate, Refused) and keeps(fate.problem)
        ]
        if strays:
            await self._keep(strays)
        return fates

    def take_at_once(
        self,
        told: Told,
        *,
        environment: str,
        origin: Origin,
        now: datetime,
        then: Callable[[Fate | BaseException], None],
    ) -> bool:
        """Queue a single event of a meter and customer that are remembered; False, and nothing done, of any other.

        It goes the same way as any other, without the look-ups that many events of many customers may need. `then` is
        called with its fate once that is committed, or with what kept it from being decided, and must not raise. Raises
        Overloaded and Stopped.
        """
        catalog, known = self.directory.remembered(environment)
        found = None if catalog is None else measure(told, catalog.meters)
        if catalog is None or found is None or isinstance(found, Problem):
            return False
        who = known.get(found[1].customer)
        if who is None or who.test_clock is not None:
            return False
        lane = self._lanes[who.lane % len(self._lanes)]
        if not (lane.room_for(1) and self._strays.room_for(1)):
            raise Overloaded
        received_at = max(now, self._last_received + MICROSECOND)
        event = ready(told, found, known, {}, environment, received_at, through_stripe=origin != "own")
        if isinstance(event, Problem):
            return False
        self._last_received = received_at

        def settled(ticket: Ticket, error: BaseException | None) -> None:
            fate = ticket.fates[0] if error is None else error
            assert fate is not None, "an event without a fate"
            then(fate)

        lane.put(Chunk(Ticket([None], settled), environment, catalog.version, [0], [told], [event]))
        return True

    async def _take_known(self, told: Told, environment: str, origin: Origin, now: datetime) -> Fate | None:
        """As `take_at_once`, waiting for the fate; None, and nothing done, of any other event."""
        done: asyncio.Future[Fate] = asyncio.get_running_loop().create_future()

        def then(fate: Fate | BaseException) -> None:
            if done.done():
                return  # who waited has gone
            if isinstance(fate, BaseException):
                done.set_exception(fate)
            else:
                done.set_result(fate)

        taken = self.take_at_once(told, environment=environment, origin=origin, now=now, then=then)
        return await done if taken else None

    async def keep(self, strays: Sequence[Stray]) -> None:
        """Keep events that could not even be read, as rejected."""
        if not self._strays.room_for(len(strays)):
            raise Overloaded
        await self._keep(strays)

    def _make_sure_of_room(self, rows: int) -> None:
        if not all(lane.room_for(rows) for lane in (*self._lanes, self._strays)):
            raise Overloaded

    def _stamp(self, now: datetime, count: int) -> list[datetime]:
        """Receipt times, all different in this process, so that "received last" is always one event."""
        first = max(now, self._last_received + MICROSECOND)
        stamps = [first + timedelta(microseconds=n) for n in range(count)]
        if stamps:
            self._last_received = stamps[-1]
        return stamps

    async def _check(
        self,
        told: Sequence[Told],
        environment: str,
        catalog: Catalog,
        received: Sequence[datetime],
        *,
        through_stripe: bool,
    ) -> "list[NewEvent | Problem]":
        """Each event ready to be stored, or what is wrong with it."""
        measured = [measure(each, catalog.meters) for each in told]
        names = {each[1].customer for each in measured if not isinstance(each, Problem)}
        known = await self.directory.customers(environment, names)
        frozen = {who.test_clock for name in names if (who := known.get(name)) is not None and who.test_clock}
        clocks = await self.directory.clocks(environment, frozen) if frozen else {}
        return [
            each
            if isinstance(each, Problem)
            else ready(source, each, known, clocks, environment, at, through_stripe=through_stripe)
            for source, each, at in zip(told, measured, received, strict=True)
        ]

    async def _recheck(
        self, environment: str, told: Sequence[Any], before: Sequence[NewEvent]
    ) -> tuple[int, "list[NewEvent | Problem]"]:
        """The same events against the catalog as it is now, for a batch that met a newer one.

        They keep the identifiers that they were given: an earlier attempt that was committed is known by them.
        """
        catalog = await self.directory.reload(environment)
        told = [msgspec.structs.replace(one, identifier=was.identifier) for one, was in zip(told, before, strict=True)]
        received = [each.received_at for each in before]
        through_stripe = before[0].through_stripe
        return catalog.version, await self._check(told, environment, catalog, received, through_stripe=through_stripe)

    async def _write(
        self, told: Sequence[Told], checked: "Sequence[NewEvent | Problem]", environment: str, version: int
    ) -> list[Fate]:
        fates: list[Fate | None] = [Refused(each) if isinstance(each, Problem) else None for each in checked]
        shares: dict[int, list[int]] = {}
        for n, each in enumerate(checked):
            if not isinstance(each, Problem):
                shares.setdefault(lane_of(each.customer_id) % len(self._lanes), []).append(n)
        parts = [(lane, at) for lane, mine in shares.items() for at in _slices(mine, self._max_batch)]
        ticket, done = Ticket.awaited(fates, parts=len(parts))
        for lane, at in parts:
            events = [checked[n] for n in at]
            self._lanes[lane].put(
                Chunk(ticket, environment, version, at, [told[n] for n in at], events)  # type: ignore[arg-type]
            )
        if parts:
            await done
        return ticket.settled()

    async def _keep(self, strays: Sequence[Stray]) -> None:
        ticket, done = Ticket.awaited([None] * len(strays))
        self._strays.put(Chunk(ticket, "", 0, list(range(len(strays))), list(strays), []))
        await done


def _slices(positions: list[int], most: int) -> Iterable[list[int]]:
    return (positions[start : start + most] for start in range(0, len(positions), most))


def measure(told: Told, meters: Mapping[str, Meter]) -> "tuple[Meter, intake.Measured] | Problem":
    """What an event says to the meter of its name, or what is wrong with it."""
    meter = meters.get(told.event_name)
    if meter is None:
        return intake.no_meter(told.event_name)
    if meter.status != "active":
        return intake.archived(meter)
    if told.identifier is not None:
        wrong = intake.check_identifier(told.identifier)
        if wrong is not None:
            return wrong
    measured = intake.read(told.payload, meter, customer=told.customer)
    return measured if isinstance(measured, Problem) else (meter, measured)


def ready(
    told: Told,
    found: "tuple[Meter, intake.Measured]",
    known: Mapping[str, Who],
    clocks: Mapping[str, datetime],
    environment: str,
    received_at: datetime,
    *,
    told_at: datetime | None = None,
    through_stripe: bool = False,
) -> "NewEvent | Problem":
    """The event ready to be stored, or what is wrong with it.

    Its timestamp is judged as of `told_at` where that is not when it is received (a replay).
    """
    meter, measured = found
    who = known.get(measured.customer)
    if who is None or (who.test_clock is not None and who.test_clock not in clocks):
        return intake.unknown_customer(measured.customer, meter)
    now = (told_at or received_at) if who.test_clock is None else clocks[who.test_clock]
    occurred_at = told.occurred_at or now
    if told.occurred_at is not None:
        late = intake.check_time(occurred_at, now)
        if late is not None:
            return late
    identifier = told.identifier or _fresh_identifier(told)
    dimensions = dimensions_text(measured.dimensions) if measured.dimensions else None
    at = occurred_at.isoformat() if told.occurred_at is not None else ""
    body = f"{meter.id}\0{measured.value}\0{measured.member}\0{dimensions}\0{at}"
    return NewEvent(
        customer_id=who.customer_id,
        occurred_at=occurred_at,
        identifier16=identifier16(identifier, told.source),
        environment=environment,
        meter=meter.id,
        identifier=identifier,
        value=measured.value,
        dimensions16=NO_DIMENSIONS if dimensions is None else digest16(dimensions),
        value16=None if measured.member is None else digest16(measured.member),
        body16=uuid16(blake2b(body.encode(), digest_size=16).digest()),
        received_at=received_at,
        dimensions=dimensions,
        key16=told.key16,
        key_body16=told.key_body16,
        through_stripe=through_stripe,
    )


def identifier16(identifier: str, source: str | None) -> UUID:
    """The stored form of an identifier; producers that name themselves have identifiers of their own."""
    return digest16(identifier if source is None else f"{source}\0{identifier}")


def _fresh_identifier(told: Told) -> str:
    """Derived from the Idempotency-Key, so that a retry has the same one; else random."""
    return told.key16.hex if told.key16 is not None else secrets.token_hex(16)


def _stray(
    told: Told,
    problem: Problem,
    environment: str,
    origin: Origin,
    received_at: datetime,
    meters: Mapping[str, Meter],
) -> Stray:
    document = told_json(told)
    about = told.identifier if told.identifier is not None else (told.request_key or document)
    return Stray(
        environment=environment,
        key16=digest16(f"{told.event_name}\0{told.customer}\0{told.source}\0{about}", of=b"stray"),
        fate="parked" if problem.parked else "rejected",
        code=problem.code,
        message=problem.message,
        field=problem.field,
        origin=origin,
        event_name=told.event_name,
        identifier=told.identifier,
        request_key=told.request_key,
        told=document,
        received_at=received_at,
        customer=_named(told, meters.get(told.event_name)),
    )


def _named(told: Told, meter: Meter | None) -> str | None:
    """The customer that an event names, as its meter reads it; as most meters do where it has none."""
    key = CUSTOMER_KEY if meter is None else meter.customer_key
    named = told.payload.get(key, told.customer)
    return named if isinstance(named, str) else None


_encoder = msgspec.json.Encoder(decimal_format="number")


def told_json(told: Told) -> str:
    """The event in the JSON form that our own route takes."""
    document = {
        "event_name": told.event_name,
        "payload": told.payload,
        "identifier": told.identifier,
        "timestamp": None if told.occurred_at is None else told.occurred_at.isoformat(),
        "customer": told.customer,
        "source": told.source,
    }
    text = _encoder.encode({name: value for name, value in document.items() if value is not None})
    return text.replace(b"\\u0000", b"\\ufffd").decode()
