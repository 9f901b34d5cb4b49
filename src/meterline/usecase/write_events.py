"""The writing end of ingest: one transaction per batch, retried until the database has said yes or no."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import date, datetime
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import msgspec
import structlog

from meterline.meter.intake import Problem, not_kept
from meterline.store import counter, event, fresh_batch
from meterline.store.database import HOT_SESSION
from meterline.store.event import NewEvent, Past
from meterline.usecase.debit_usage import Debited, debit_usage
from meterline.usecase.group_commit import Unavailable
from meterline.usecase.keep_strays import keep_strays
from meterline.usecase.make_room import make_room
from meterline.usecase.watch_usage import Watched, Watching, plan_looks, watch_usage

log = structlog.get_logger(__name__)


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """Stored and counted. `replayed` says that an earlier call with the same Idempotency-Key did it.

    `debited` is what a wallet paid for it, null where no wallet does.
    """

    identifier: str
    occurred_at: datetime
    received_at: datetime
    replayed: bool = False
    debited: Debited | None = None


class Duplicate(msgspec.Struct, frozen=True, gc=False):
    """Stored before under the same identifier with the same content; not counted again."""

    identifier: str


class KeyReused(msgspec.Struct, frozen=True, gc=False):
    """The Idempotency-Key was used before for something else; nothing was stored."""


class Refused(msgspec.Struct, frozen=True, gc=False):
    """Not counted, for the reason given."""

    problem: Problem


Fate: TypeAlias = Accepted | Duplicate | KeyReused | Refused

Recheck: TypeAlias = Callable[
    [str, Sequence[Any], Sequence[NewEvent]], Awaitable[tuple[int, "list[NewEvent | Problem]"]]
]


class Ticket:
    """What one caller waits for: the fates of its events, complete when every part is done; some may be known before.

    `then` is called once: when all is done, or with the error of the first part that failed.
    """

    __slots__ = ("_then", "fates", "waiting")

    def __init__(
        self, fates: "list[Fate | None]", then: "Callable[[Ticket, BaseException | None], None]", *, parts: int = 1
    ) -> None:
        self.fates = fates
        self.waiting = parts
        self._then: Callable[[Ticket, BaseException | None], None] | None = then

    @classmethod
    def awaited(cls, fates: "list[Fate | None]", *, parts: int = 1) -> "tuple[Ticket, asyncio.Future[None]]":
        """A ticket, and what tells who waits for it that it is complete."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def then(_: Ticket, error: BaseException | None) -> None:
            if done.done():
                return  # who waited has gone
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

        return cls(fates, then, parts=parts), done

    def part_done(self) -> None:
        self.waiting -= 1
        if self.waiting == 0:
            self._end(None)

    def fail(self, error: BaseException) -> None:
        self._end(error)

    def settled(self) -> list[Fate]:
        """The fates, all of them known."""
        fates = [fate for fate in self.fates if fate is not None]
        assert len(fates) == len(self.fates), "an event without a fate"
        return fates

    def _end(self, error: BaseException | None) -> None:
        then, self._then = self._then, None
        if then is not None:
            then(self, error)


class Chunk:
    """Some events of one caller that are written together."""

    __slots__ = ("environment", "events", "positions", "ticket", "told", "version")

    def __init__(
        self,
        ticket: Ticket,
        environment: str,
        version: int,
        positions: list[int],
        told: Sequence[Any],
        events: "list[NewEvent]",
    ) -> None:
        self.ticket = ticket
        self.environment = environment
        self.version = version
        self.positions = positions
        self.told = told
        self.events = events

    @property
    def size(self) -> int:
        return len(self.positions)

    def halves(self) -> "tuple[Chunk, Chunk] | None":
        if self.size < 2:
            return None
        self.ticket.waiting += 1
        middle = self.size // 2
        return self._part(slice(None, middle)), self._part(slice(middle, None))

    def _part(self, which: slice) -> "Chunk":
        return Chunk(
            self.ticket,
            self.environment,
            self.version,
            self.positions[which],
            self.told[which],
            self.events[which],
        )

    def fail(self, error: BaseException) -> None:
        """A single event that the database refuses is that event's fate; anything else fails the call."""
        if self.size == 1 and isinstance(error, asyncpg.DataError | asyncpg.IntegrityConstraintViolationError):
            problem = Problem("unprocessable", "The event could not be stored.")
            self.answer([Refused(problem)])
        else:
            self.ticket.fail(error)

    def keep(self, checked: "Sequence[NewEvent | Problem]") -> None:
        """The events as they were checked again; what is wrong with some of them is their fate, and they leave."""
        good = [n for n, each in enumerate(checked) if not isinstance(each, Problem)]
        for n, each in enumerate(checked):
            if isinstance(each, Problem):
                self.ticket.fates[self.positions[n]] = Refused(each)
        self.positions = [self.positions[n] for n in good]
        self.told = [self.told[n] for n in good]
        self.events = [each for each in checked if not isinstance(each, Problem)]

    def answer(self, fates: Sequence[Fate]) -> None:
        for position, fate in zip(self.positions, fates, strict=True):
            self.ticket.fates[position] = fate
        self.ticket.part_done()


class Stale(Exception):
    """The batch was checked against an older catalog than the one it met."""


_LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)
_CONTENTION = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
)
_NO_WRITES = (
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.QueryCanceledError,
    # A file that may not grow, a disk that fails, a damaged page: nothing that an event is the cause of.
    asyncpg.PostgresSystemError,
    asyncpg.InternalServerError,
)
SESSION = HOT_SESSION | {"application_name": "meterline ingest"}


class Session:
    """One connection that is made again when it was lost, and the partitions known to exist."""

    def __init__(self, dsn: str, work: "Callable[[Any, list[Chunk]], Awaitable[None]]", *, patience_s: float) -> None:
        self._dsn = dsn
        self._patience_s = patience_s
        self._work = work
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._partitions: set[tuple[str, date]] = set()

    async def commit(self, batch: list[Chunk]) -> None:
        """Do the batch, whole. Raises Unavailable when the database stays out of reach or cannot write."""
        give_up = time.monotonic() + self._patience_s
        pause = 0.05
        while True:
            try:
                if self._connection is None or self._connection.is_closed():
                    self._connection = await asyncpg.connect(self._dsn, server_settings=SESSION, timeout=10)
                return await self._work(self, batch)
            except _NO_WRITES as error:
                raise Unavailable(str(error)) from error
            except asyncpg.CheckViolationError as error:
                if error.column_name is not None or "no partition" not in str(error):
                    raise
                self._partitions.clear()
            except _CONTENTION as error:
                if time.monotonic() > give_up:
                    raise Unavailable(str(error)) from error
            except _LOST as error:
                await self.close()
                if time.monotonic() > give_up:
                    raise Unavailable(str(error)) from error
                log.info("database_lost", error=repr(error))
                await asyncio.sleep(pause)
                pause = min(pause * 2, 1.0)

    @property
    def connection(self) -> "asyncpg.Connection[asyncpg.Record]":
        assert self._connection is not None
        return self._connection

    async def make_room(self, events: Sequence[NewEvent]) -> set[date]:
        """Make sure of the partitions that these events go to; the days whose events are not kept any more."""
        days = {e.occurred_at.date() for e in events}
        needed = {(table, day) for day in days for table in ("usage_event", "usage_hour", "usage_unique")}
        received = [e.received_at for e in events]
        claimed = (day for at in (min(received), max(received)) for day in event.days_of(at)[0])
        needed |= {("recent_identifier", day) for day in claimed}
        missing = needed - self._partitions
        if not missing:
            return set()
        gone = await make_room(self.connection, missing, now=max(received))
        self._partitions |= {place for place in missing if place[1] not in gone}
        return gone

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()


class Writer(Session):
    """The writer of one lane."""

    def __init__(self, dsn: str, recheck: Recheck, *, patience_s: float) -> None:
        super().__init__(dsn, Writer._write, patience_s=patience_s)
        self._recheck = recheck
        self._watching = Watching()
        self._debited: set[UUID] = set()

    async def _write(self, batch: list[Chunk]) -> None:
        while True:
            events = [each for chunk in batch for each in chunk.events]
            versions: dict[str, int] = {}
            for chunk in batch:
                if chunk.events:
                    versions[chunk.environment] = min(chunk.version, versions.get(chunk.environment, chunk.version))
            fates: list[Fate] = []
            if events:
                gone = await self.make_room(events)
                if gone:
                    self._leave_out(batch, gone)
                    continue
                try:
                    fates = await self._record(events, versions)
                except Stale:
                    await self._check_again(batch)
                    continue
            position = 0
            for chunk in batch:
                chunk.answer(fates[position : position + chunk.size])
                position += chunk.size
            return

    async def _record(self, events: list[NewEvent], versions: dict[str, int]) -> list[Fate]:
        """By the quickest way that the batch allows: wallets that were debited before probably are again."""
        connection, watching = self.connection, self._watching
        debits = any(each.customer_id in self._debited for each in events)
        if not debits:
            fates = await record_at_once(connection, events, versions, watching, debits=False)
            if fates:
                return fates
        try:
            async with connection.transaction():
                fates = await record(connection, events, versions, watching, at_once=debits)
        except asyncpg.UniqueViolationError:
            if not debits:
                raise
            async with connection.transaction():
                fates = await record(connection, events, versions, watching)
        self._debited.update(
            each.customer_id
            for each, fate in zip(events, fates, strict=True)
            if isinstance(fate, Accepted) and fate.debited is not None
        )
        return fates

    async def _check_again(self, batch: list[Chunk]) -> None:
        """Hold the batch against the newest catalog; events that it refuses now leave it with that as their fate.

        A chunk of which nothing is left stays in the batch: it is answered once, with the others, however often
        the batch is tried.
        """
        for chunk in batch:
            if not chunk.events:
                continue
            chunk.version, checked = await self._recheck(chunk.environment, chunk.told, chunk.events)
            chunk.keep(checked)

    def _leave_out(self, batch: list[Chunk], gone: set[date]) -> None:
        """Refuse the events of days whose events are not kept any more."""
        for chunk in batch:
            chunk.keep(
                [not_kept(each.occurred_at) if each.occurred_at.date() in gone else each for each in chunk.events]
            )


def stray_writer(dsn: str, *, patience_s: float) -> Session:
    """The writer of events that were not counted."""

    async def write(session: Session, batch: list[Chunk]) -> None:
        async with session.connection.transaction():
            await keep_strays(session.connection, [each for chunk in batch for each in chunk.told])
        for chunk in batch:
            chunk.ticket.part_done()

    return Session(dsn, write, patience_s=patience_s)


async def record_at_once(
    connection: "asyncpg.Connection[asyncpg.Record]",
    events: list[NewEvent],
    versions: dict[str, int],
    watching: Watching,
    *,
    debits: bool,
) -> list[Fate]:
    """Store and count a batch of which nothing is old or watched; empty, and nothing done, else.

    Nor may a wallet pay for any of it, unless the caller `debits` them after it, in one transaction.
    """
    first = events[0]
    watched = watching.known(first.environment, versions[first.environment])
    if len(versions) > 1 or watched is None or watched.on_spending:
        return []
    alike = all(
        each.through_stripe is first.through_stripe and each.value16 is None and each.meter not in watched.concerned
        for each in events
    )
    (turn, *more) = turns(events)
    if not alike or more:
        return []
    chosen, version = [events[n] for n in turn], versions[first.environment]
    try:
        done = await fresh_batch.write(connection, chosen, version=version, debits=debits)
    except asyncpg.UniqueViolationError:
        if debits:
            raise
        return []
    return [Accepted(each.identifier, each.occurred_at, each.received_at) for each in events] if done else []


async def record(
    connection: "asyncpg.Connection[asyncpg.Record]",
    events: list[NewEvent],
    versions: dict[str, int],
    watching: Watching,
    *,
    replay_at: datetime | None = None,
    at_once: bool = False,
) -> list[Fate]:
    """Store what is new, count it, debit the wallets and tell crossed levels; the fates of all, in order.

    Events that waited for something to price them are replayed at an instant. Raises Stale, and UniqueViolationError
    where it was worth trying to store them all `at_once` but for another writer who came first.
    """
    fates: list[Fate | None] = []
    if at_once:
        fates += await record_at_once(connection, events, versions, watching, debits=True)
    if fates:
        await _debit(connection, events, range(len(events)), fates, replay_at=replay_at)
        return [fate for fate in fates if fate is not None]
    fates = [None] * len(events)
    fresh: list[NewEvent] = []
    stored: list[int] = []
    for turn in turns(events):
        chosen = [events[n] for n in turn]
        outcome = await event.store(connection, chosen, environments=sorted(versions))
        if any(outcome.versions.get(environment, 0) != version for environment, version in versions.items()):
            raise Stale
        refused = set(outcome.refused)
        for k, n in enumerate(turn):
            if k not in refused:
                new = events[n]
                fates[n] = Accepted(new.identifier, new.occurred_at, new.received_at)
                fresh.append(new)
                stored.append(n)
        if refused:
            await _explain(connection, [(turn[k], chosen[k]) for k in outcome.refused], fates)
    if fresh:
        await counter.add(connection, fresh)
        shares: list[tuple[str, Watched, list[NewEvent]]] = []
        for environment in sorted({each.environment for each in fresh}):
            watched = await watching.of(connection, environment, versions[environment])
            shares.append((environment, watched, [each for each in fresh if each.environment == environment]))
        for environment, watched, mine in shares:
            await plan_looks(
                connection, watched=watched, environment=environment, events=mine, now=mine[-1].received_at
            )
        await _debit(connection, events, sorted(stored), fates, replay_at=replay_at)
        for environment, watched, mine in shares:
            await watch_usage(
                connection, watched=watched, environment=environment, events=mine, now=mine[-1].received_at
            )
    return [fate for fate in fates if fate is not None]


async def _debit(
    connection: "asyncpg.Connection[asyncpg.Record]",
    events: Sequence[NewEvent],
    stored: Sequence[int],
    fates: list[Fate | None],
    *,
    replay_at: datetime | None,
) -> None:
    """Debit the wallets for what was stored, in the order of arrival, and say so in the fates."""
    for environment in sorted({events[n].environment for n in stored}):
        mine = [n for n in stored if events[n].environment == environment]
        chosen = [events[n] for n in mine]
        now = chosen[-1].received_at
        done = await debit_usage(connection, environment=environment, events=chosen, now=now, replay_at=replay_at)
        for k, debited in done.items():
            accepted = fates[mine[k]]
            assert isinstance(accepted, Accepted)
            fates[mine[k]] = msgspec.structs.replace(accepted, debited=debited)


def turns(events: Sequence[NewEvent]) -> list[list[int]]:
    """Positions in key order, so that no identifier and no key comes twice in one turn; one turn as a rule."""
    own = [each.customer_id.bytes + each.identifier16.bytes for each in events]
    order = sorted(range(len(events)), key=own.__getitem__)
    keys = [(each.environment, each.key16) for each in events if each.key16 is not None]
    if len(set(own)) == len(own) and len(set(keys)) == len(keys):
        return [order]
    claimed: set[object] = set()
    turn: list[int] = []
    later: list[int] = []
    for n in order:
        claims: list[object] = [own[n]]
        if events[n].key16 is not None:
            claims.append((events[n].environment, events[n].key16))
        if claimed.isdisjoint(claims):
            claimed.update(claims)
            turn.append(n)
        else:
            later.append(n)
    # The earliest of several with the same identifier goes first.
    positions = sorted(later)
    rest = turns([events[n] for n in positions])
    return [turn, *[[positions[k] for k in each] for each in rest]]


async def _explain(
    connection: "asyncpg.Connection[asyncpg.Record]",
    refused: list[tuple[int, NewEvent]],
    fates: list[Fate | None],
) -> None:
    """Say of each event that was not stored why, and give back what it claimed."""
    pasts = await event.past(connection, [each for _, each in refused])
    released = []
    for (n, each), past in zip(refused, pasts, strict=True):
        fate = _fate_of(each, past)
        if fate is None:
            fate = Refused(await _conflict(connection, each, past))
        if not (isinstance(fate, Accepted)):
            released.append(each)
        fates[n] = fate
    if released:
        await event.release(connection, released)


def _fate_of(new: NewEvent, past: Past) -> Fate | None:
    """What became of an event whose identifier or key was taken; None for a conflict of contents."""
    if past.key is not None and past.key.received_at != new.received_at:
        if past.key.body16 != new.key_body16:
            return KeyReused()
        return Accepted(new.identifier, past.key.occurred_at, past.key.received_at, replayed=True)
    if past.event is not None and past.event.received_at == new.received_at:
        # Our own earlier attempt was committed after all, though the connection broke before it said so.
        return Accepted(new.identifier, past.event.occurred_at, past.event.received_at)
    if past.event is not None and past.event.body16 == new.body16:
        return Duplicate(new.identifier)
    return None


async def _conflict(connection: "asyncpg.Connection[asyncpg.Record]", new: NewEvent, past: Past) -> Problem:
    """An event of that identifier was stored with other contents: say which."""
    stored = None
    if past.event is not None:
        stored = await event.find(
            connection,
            customer_id=new.customer_id,
            identifier16=new.identifier16,
            occurred_at=past.event.occurred_at,
        )
    if stored is None:
        differing = [("event", "")]
    else:
        pairs: list[tuple[str, object, object]] = [
            ("event_name", stored.meter, new.meter),
            ("value", stored.value, new.value),
            ("timestamp", stored.occurred_at, new.occurred_at),
            ("dimensions", _hex(stored.dimensions16), _hex(new.dimensions16)),
            ("value", _hex(stored.value16), _hex(new.value16)),
        ]
        differing = [(name, f" ({was} before, {now} now)") for name, was, now in pairs if was != now]
    names = ", ".join(name + detail for name, detail in differing) or "timestamp"
    return Problem(
        "identifier_conflict",
        f"An event already exists with identifier {new.identifier}. It differs in: {names}.",
        differing[0][0] if differing else "timestamp",
    )


def _hex(value: UUID | None) -> str:
    return "" if value is None else value.hex
