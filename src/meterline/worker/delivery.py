"""Publishes notices and delivers them to webhook endpoints.

Every endpoint is served by its own task with its own few slots, so one that is slow, failing or hanging holds up
nobody else; while it fails it has a single slot, and a pause before each call. What is sent is decided by the
rendering that the wiring hands in: this module knows no wire format.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import asyncpg
import structlog
from sqlalchemy.exc import SQLAlchemyError

from meterline.gateway.webhook import Answer, Sender
from meterline.notice.endpoint import WebhookEndpoint
from meterline.notice.schedule import next_attempt
from meterline.notice.signature import CREDYT, STRIPE, signed
from meterline.refusal import Missing
from meterline.store import delivery as store
from meterline.store import notice, webhook_endpoint
from meterline.store.database import Database
from meterline.store.delivery import Attempt, Delivery
from meterline.store.identifier import public, uuid7
from meterline.store.notice import Notice

log = structlog.get_logger(__name__)

Render: TypeAlias = Callable[[Notice, WebhookEndpoint, int], bytes]
"""`(notice, endpoint, endpoints still waiting for it) → body`."""

_Outcome: TypeAlias = tuple[Delivery, Attempt, datetime | None]

_INTERRUPTIONS = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, SQLAlchemyError)
_BATCH = 1_000
_SLOTS = 16
_SHORTEST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 5.0
_LOGGED_BODY = 8 * 1024
_PURGE_EVERY = timedelta(hours=1)


def wall_clock() -> datetime:
    """Now, UTC."""
    return datetime.now(UTC)


@dataclass(slots=True, kw_only=True)
class Deliveries:
    """The delivering half of a worker process.

    `lease` is how long a claim outlives a worker that died, and must exceed the sender's time-out; `poll` is how
    often to look when nobody kicks; `slots` how many calls an endpoint may have open from this process.
    """

    database: Database
    sender: Sender
    render: Render
    lease: timedelta = timedelta(seconds=60)
    poll: timedelta = timedelta(seconds=1)
    slots: int = _SLOTS
    clock: Callable[[], datetime] = wall_clock
    _kick: asyncio.Event = field(default_factory=asyncio.Event)
    _failing: dict[str, int] = field(default_factory=dict)
    _serving: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    async def run(self, stop: asyncio.Event) -> None:
        """Publish and deliver until `stop` is set; calls under way are finished first."""
        listening = asyncio.create_task(self._listen())
        stopping = asyncio.create_task(self._kick_on(stop))
        purging = asyncio.create_task(self._purge())
        try:
            while not stop.is_set():
                self._kick.clear()
                try:
                    await self.round(stop)
                except _INTERRUPTIONS:
                    log.exception("delivery_interrupted")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._kick.wait(), self.poll.total_seconds())
        finally:
            for task in (listening, stopping, purging):
                task.cancel()
            await asyncio.gather(listening, stopping, purging, *self._serving.values(), return_exceptions=True)

    async def round(self, stop: asyncio.Event) -> None:
        """Publish everything that waits, then see to it that every endpoint with work is being served."""
        async with self.database.pool.acquire() as connection:
            while await store.publish(connection, now=self.clock(), limit=_BATCH) == _BATCH:
                await self._serve_all(connection, stop)
            await self._serve_all(connection, stop)

    async def _serve_all(
        self, connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]", stop: asyncio.Event
    ) -> None:
        for environment, id in await store.endpoints_with_work(connection, now=self.clock()):
            if id not in self._serving:
                self._serving[id] = asyncio.create_task(self._serve(environment, id, stop), name=f"deliver {id}")

    async def _serve(self, environment: str, id: str, stop: asyncio.Event) -> None:
        """Send what is due for one endpoint until nothing is, topping its slots up as they come free."""
        under_way: set[asyncio.Task[_Outcome]] = set()
        try:
            while not stop.is_set():
                slots = 1 if id in self._failing else self.slots
                if len(under_way) <= slots // 2:
                    await self._pause(id, stop)
                    under_way |= await self._start(environment, id, slots - len(under_way))
                if not under_way:
                    return
                done, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                await self._record(id, done)
        except Missing:
            log.info("endpoint_gone", endpoint=id)
        except _INTERRUPTIONS:
            log.exception("delivery_interrupted", endpoint=id)
        finally:
            if under_way:
                with contextlib.suppress(*_INTERRUPTIONS):
                    await self._record(id, (await asyncio.wait(under_way))[0])
            del self._serving[id]

    async def _record(self, id: str, done: Iterable["asyncio.Task[_Outcome]"]) -> None:
        """What became of some attempts, in one transaction. Where that fails, their claims run out."""
        outcomes = [task.result() for task in done]
        for _, attempt, _ in outcomes:
            if attempt.acknowledged:
                self._failing.pop(id, None)
            else:
                self._failing[id] = self._failing.get(id, 0) + 1
        async with self.database.begin() as tx:
            await store.record(tx, outcomes, now=self.clock())

    async def _pause(self, id: str, stop: asyncio.Event) -> None:
        """Nothing for an endpoint that answers well; longer with every failure in a row for one that does not."""
        failures = self._failing.get(id, 0)
        if failures:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), min(_SHORTEST_PAUSE_S * 2 ** min(failures, 16), _LONGEST_PAUSE_S))

    async def _start(self, environment: str, id: str, limit: int) -> set["asyncio.Task[_Outcome]"]:
        now = self.clock()
        async with self.database.pool.acquire() as connection:
            claimed = await store.claim(connection, endpoint=id, now=now, lease=self.lease, limit=limit)
        if not claimed:
            return set()
        async with self.database.begin() as tx:
            endpoint = await webhook_endpoint.find(tx, environment, id)
            positions = [each.position for each in claimed]
            told = await store.notices(tx, positions)
            waiting = await store.pending(tx, positions)
        return {
            asyncio.create_task(self._deliver(endpoint, each, told[each.position], waiting.get(each.position, 0)))
            for each in claimed
        }

    async def _deliver(self, endpoint: WebhookEndpoint, claimed: Delivery, told: Notice, waiting: int) -> "_Outcome":
        """One attempt, and when there is to be another one."""
        attempt = await self._attempt(endpoint, claimed, told, waiting)
        return claimed, attempt, next_attempt(attempts=claimed.attempts, now=self.clock())

    async def _attempt(self, endpoint: WebhookEndpoint, claimed: Delivery, told: Notice, waiting: int) -> Attempt:
        began = self.clock()
        try:
            body = self.render(told, endpoint, waiting)
        except Exception as error:
            log.exception("notice_not_rendered", notice=told.id, type=told.type)
            failed = Answer(
                status=None, headers={}, body="", error=f"not rendered: {type(error).__name__}", duration_ms=0
            )
            return _attempt_of(endpoint, claimed, began, b"", {}, failed)
        signature = CREDYT if endpoint.payload == "wallet" else STRIPE
        headers = {
            "content-type": "application/json; charset=utf-8",
            "user-agent": "Meterline/1.0 (webhooks)",
            signature.header: signed(body, secrets=endpoint.signing_secrets(began), now=began, scheme=signature.scheme),
        }
        answer = await self.sender.post(endpoint.url, body, headers, livemode=endpoint.livemode)
        return _attempt_of(endpoint, claimed, began, body, headers, answer)

    async def _purge(self) -> None:
        """Forget what is past its 30 days, a little at a time."""
        while True:
            try:
                async with self.database.pool.acquire() as connection:
                    before = self.clock() - notice.RETENTION
                    while await store.purge(connection, before=before, limit=_BATCH) == _BATCH:
                        log.info("notices_purged", count=_BATCH)
            except _INTERRUPTIONS:
                log.exception("purge_interrupted")
            await asyncio.sleep(_PURGE_EVERY.total_seconds())

    async def _listen(self) -> None:
        """Turn hints of other processes into kicks; without a connection the polling goes on alone."""
        while True:
            try:
                await self.database.listen(notice.CHANNEL, self._kick.set)
            except _INTERRUPTIONS:
                log.warning("deliveries_not_listening", exc_info=True)
            await asyncio.sleep(self.poll.total_seconds())

    async def _kick_on(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._kick.set()


def _attempt_of(
    endpoint: WebhookEndpoint,
    claimed: Delivery,
    began: datetime,
    body: bytes,
    headers: Mapping[str, str],
    answer: Answer,
) -> Attempt:
    answered = answer.status is not None
    return Attempt(
        environment=endpoint.environment,
        id=public("dla"),
        sequence=uuid7(),
        endpoint=endpoint.id,
        position=claimed.position,
        notice=claimed.notice,
        attempt=claimed.attempts,
        started_at=began,
        duration_ms=answer.duration_ms,
        url=endpoint.url,
        request_headers=headers,
        request_body=body[:_LOGGED_BODY].decode(errors="replace"),
        response_status=answer.status,
        response_headers=answer.headers if answered else None,
        response_body=answer.body if answered else None,
        error=answer.error,
    )
