"""Connections: SQLAlchemy Core for the control plane, bare asyncpg for the hot path, one database."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import asyncpg
import msgspec
from sqlalchemy import select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

_encode = msgspec.json.Encoder()
_decode = msgspec.json.Decoder(float_hook=Decimal)


def _dump(value: Any) -> str:
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
            json_serializer=_dump,
            json_deserializer=_decode.decode,
            query_cache_size=2000,
        )

    async def open(self) -> None:
        self._pool = await asyncpg.create_pool(self.dsn, min_size=1, max_size=self._hot_connections)

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


def sqlalchemy_url(dsn: str) -> URL:
    """The same address in SQLAlchemy's spelling (`postgresql://…` → `postgresql+asyncpg://…`)."""
    return make_url(dsn).set(drivername="postgresql+asyncpg")


_DEADLOCK, _SERIALIZATION, _LOCK_TIMEOUT = "40P01", "40001", "55P03"


def stopped_by_others(error: Exception) -> bool:
    """Whether the database ended the transaction because of another one: the same work may succeed when repeated."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return getattr(cause, "sqlstate", None) in {_DEADLOCK, _SERIALIZATION, _LOCK_TIMEOUT}


_OUT_OF_REACH = ("08", "53", "57P", "58", "XX")
"""SQLSTATEs by which the server says that it, not the statement, is in trouble."""


def out_of_reach(error: Exception) -> bool:
    """Whether the database was away or in trouble: the same call may succeed once it is back."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    cause = error.orig if isinstance(error, DBAPIError) else error
    state = getattr(cause, "sqlstate", None)
    if isinstance(state, str):
        return state.startswith(_OUT_OF_REACH)
    return isinstance(cause, OSError | TimeoutError | asyncpg.InterfaceError | NoConnectionFree)


async def driver(tx: AsyncConnection) -> "asyncpg.Connection[asyncpg.Record]":
    """The asyncpg connection under a control-plane transaction, for hand-written SQL inside it."""
    raw = await tx.get_raw_connection()
    connection = raw.driver_connection
    assert connection is not None
    if not connection.is_in_transaction():
        # SQLAlchemy begins with the first statement that passes through it, not with the block.
        await tx.execute(select(1))
    return connection
