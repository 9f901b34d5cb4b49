"""Calls at the gate that come while others are being committed are decided together, in the order of their arrival.

One transaction locks the wallets of a batch, decides call by call, and writes; each caller gets its own answer after
the commit. A call that is refused changes nothing and leaves the others as they are.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import asyncpg

from meterline.refusal import Missing, Refusal
from meterline.store.database import HOT_SESSION, Database, leave_as_it_is, out_of_reach, stopped_by_others
from meterline.store.ledger import Connection
from meterline.usecase.batch_work import BatchWork, share, write
from meterline.usecase.group_commit import Gate, GroupCommit, Overloaded, Unavailable
from meterline.usecase.work_wallet import Answer, OpenWallet, Refused

_MAX_BATCH = 500
_MAX_QUEUED = 10_000
_TRIES = 5


@dataclass(slots=True, kw_only=True)
class GateCall:
    """One call: whose wallet, which ids it names, and what it does with the wallet. `now` is the wall clock, UTC.

    `customer` is the customer as the caller named it. `act` decides before it records anything, so that
    a call it refuses has done nothing.
    """

    environment: str
    customer_id: UUID
    customer: str
    operation: str
    hold: str | None
    now: datetime
    act: Callable[[OpenWallet], Awaitable[Answer | Refused]]
    answer: "asyncio.Future[Answer | Refusal]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    @property
    def size(self) -> int:
        return 1

    def halves(self) -> None:
        return None

    def fail(self, error: BaseException) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class Gatekeeper:
    """Decides the calls of one process."""

    def __init__(self, database: Database) -> None:
        self._dsn = database.dsn
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._calls: GroupCommit[GateCall] = GroupCommit(
            self._decide, max_batch=_MAX_BATCH, max_queued=_MAX_QUEUED, name="gate", gate=Gate(enough=1)
        )

    async def start(self) -> None:
        """Begin deciding. A connection is made on first use."""
        self._pool = await asyncpg.create_pool(
            self._dsn,
            min_size=0,
            max_size=1,
            reset=leave_as_it_is,
            server_settings=HOT_SESSION | {"application_name": "meterline gate"},
        )
        self._calls.start()

    async def stop(self) -> None:
        """Decide what is queued, then end."""
        await self._calls.stop()
        if self._pool is not None:
            await self._pool.close()

    async def ask(self, call: GateCall) -> Answer | Refusal:
        """What became of the call, once that is committed: an answer, a refusal that is kept, or one that is not.

        Raises Overloaded before anything was taken, Unavailable when the database did not confirm: the same call may
        be made again.
        """
        if not self._calls.room_for(1):
            raise Overloaded
        self._calls.put(call)
        return await call.answer

    async def _decide(self, batch: Sequence[GateCall]) -> None:
        assert self._pool is not None, "start() comes first"
        for tries in range(1, _TRIES + 1):
            try:
                async with self._pool.acquire() as connection, connection.transaction():
                    environments = sorted({call.environment for call in batch})
                    answers = [await _together(connection, batch, each) for each in environments]
                break
            except Exception as error:
                if out_of_reach(error) or (stopped_by_others(error) and tries == _TRIES):
                    raise Unavailable(str(error)) from error
                if not stopped_by_others(error):
                    raise
        for decided in answers:
            for call, answer in decided:
                if not call.answer.done():
                    call.answer.set_result(answer)


async def _together(
    connection: Connection, batch: Sequence[GateCall], environment: str
) -> list[tuple[GateCall, Answer | Refusal]]:
    """Decide the calls of one environment."""
    calls = [call for call in batch if call.environment == environment]
    shared = await share(
        connection,
        environment=environment,
        customer_ids={call.customer_id for call in calls},
        operations=[(call.customer_id, call.operation) for call in calls],
        holds=[(call.customer_id, call.hold) for call in calls if call.hold is not None],
        now=max(call.now for call in calls),
    )
    decided = [(call, await _one(shared.works.get(call.customer_id), call)) for call in calls]
    await write(shared)
    return decided


async def _one(work: BatchWork | None, call: GateCall) -> Answer | Refusal:
    if work is None:
        return Missing("wallet of customer", call.customer, subject=True)
    if work.clock is None:
        work.now = call.now
    try:
        return await call.act(work)
    except Refusal as refusal:
        return refusal
