"""Connections: SQLAlchemy Core for the control plane, bare asyncpg for the hot path, one database."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import asyncpg
import msgspec
from sqlalchemy import event, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, DisconnectionError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

_encode = msgspec.json.Encoder()
_decode = msgspec.json.Decoder(float_hook=Decimal)


def dump(value: Any) -> str:
    """The text that a document is stored as."""
    return _encode.encode(value).decode()


class Database:
    """One PostgreSQL database as this process sees it.

    `begin()` gives a control-plane transaction; `pool` is for the hot path. Both are opened by `open()`.
    """

    def __init__(self, dsn: str, *, control_connections: int = 10, hot_connections: int = 10) -> None:
        self.dsn = dsn
        self._hot_connections = hot_connections
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self.engine: AsyncEngine = create_async_engine(
            sqlalchemy_url(dsn),
            pool_size=control_connections,
            max_overflow=0,
            pool_timeout=30,
            json_serializer=dump,
            json_deserializer=_decode.decode,
            query_cache_size=2000,
        )
        event.listen(self.engine.sync_engine, "checkout", _refuse_lost)

    async def open(self) -> None:
        self._pool = await asyncpg.create_pool(
            self.dsn, min_size=1, max_size=self._hot_connections, reset=leave_as_it_is
        )

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.close()
        await self.engine.dispose()

    @property
    def pool(self) -> "asyncpg.Pool[asyncpg.Record]":
        assert self._pool is not None, "Database.open() comes first"
        return self._pool

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """A transaction: committed when the block ends, rolled back when it raises."""
        async with self.engine.begin() as tx:
            yield tx

    async def listen(self, channel: str, hear: Callable[[], None]) -> None:
        """Call `hear` now and at every NOTIFY on a channel, until the connection is lost.

        The connection is the listener's own, outside the pool. A hint can be lost: whoever listens also polls.
        """
        connection = await asyncpg.connect(self.dsn)
        try:
            closed = asyncio.Event()
            connection.add_termination_listener(lambda _: closed.set())
            await connection.add_listener(channel, lambda *_: hear())
            hear()
            await closed.wait()
        finally:
            connection.terminate()


HOT_SESSION = {
    "statement_timeout": "60s",
    "lock_timeout": "20s",
    "idle_in_transaction_session_timeout": "60s",
    # To plan one of the long statements takes longer than to run it, and no plan depends on the values in their arrays.
    "plan_cache_mode": "force_generic_plan",
    # A plan kept since a table was empty would read it through, for every batch, as it fills.
    "enable_seqscan": "off",
    "jit": "off",
}
"""The settings of connections that run a few long statements over and over, and must not wait for ever."""


async def leave_as_it_is(_connection: object) -> None:
    """Nobody changes the settings of a session of the pool: putting them back would be a round trip each time."""


def _refuse_lost(connection: Any, record: ConnectionPoolEntry, proxy: object) -> None:
    """Take another connection in place of one that the server closed meanwhile: nothing was begun on it.

    The hot path's pool does the same by itself. The driver knows without asking the server.
    """
    del record, proxy
    if connection.driver_connection.is_closed():
        raise DisconnectionError


def sqlalchemy_url(dsn: str) -> URL:
    """The same address in SQLAlchemy's spelling (`postgresql://…` → `postgresql+asyncpg://…`)."""
    return make_url(dsn).set(drivername="postgresql+asyncpg")


_DEADLOCK, _SERIALIZATION, _LOCK_TIMEOUT = "40P01", "40001", "55P03"


def stopped_by_others(error: Exception) -> bool:
    """Whether the database ended the transaction because of another one: the same work may succeed when repeated."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return getattr(cause, "sqlstate", None) in {_DEADLOCK, _SERIALIZATION, _LOCK_TIMEOUT}


_AWAY = ("08", "25006", "53", "57P", "58")
"""SQLSTATEs by which the server says that it, not the statement, is in trouble: connections that end, a database
that only reads, a full disk, too little memory, a shutdown, a file that cannot be read."""
_STUCK = ("57014", "XX")
"""SQLSTATEs of a statement that was canceled, and of what the server did not expect: both may be its own doing."""

TROUBLE = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, SQLAlchemyError)
"""The kinds of exception by which trouble with the database shows; `out_of_reach` says whether it is that."""


def is_away(error: BaseException) -> bool:
    """Whether the database could not be reached, or could not write: the same work succeeds once it can."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    state = _state(error)
    if state is not None:
        return state.startswith(_AWAY)
    cause = error.orig if isinstance(error, DBAPIError) else error
    return isinstance(cause, OSError | TimeoutError | asyncpg.InterfaceError | NoConnectionFree)


def out_of_reach(error: BaseException) -> bool:
    """Whether the database was away or in trouble: the same call may succeed once it is back."""
    return is_away(error) or (_state(error) or "").startswith(_STUCK)


def _state(error: BaseException) -> str | None:
    cause = error.orig if isinstance(error, DBAPIError) else error
    state = getattr(cause, "sqlstate", None)
    return state if isinstance(state, str) else None


async def driver(tx: AsyncConnection) -> "asyncpg.Connection[asyncpg.Record]":
    """The asyncpg connection under a control-plane transaction, for hand-written SQL inside it."""
    raw = await tx.get_raw_connection()
    connection = raw.driver_connection
    assert connection is not None
    if not connection.is_in_transaction():
        # SQLAlchemy begins with the first statement that passes through it, not with the block.
        await tx.execute(select(1))
    return connection
