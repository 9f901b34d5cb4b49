"""The applications that benchmarks put behind the same server: `python -m benchmarks.served create|upsert PORT`."""

import gc
import os
import sys

import asyncpg
import msgspec
import uvicorn
from starlette.types import Receive, Scope, Send

from meterline.app import create_app, web_server


def create(dsn: str, port: int) -> uvicorn.Server:
    """Meterline, with the web process's own setting of the garbage collector."""
    gc.set_threshold(50_000, 20, 100)
    return web_server(create_app(dsn), port=port)


class Upsert:
    """One INSERT … ON CONFLICT per request, each its own transaction: what one writes first."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await receive()
            self._pool = await asyncpg.create_pool(self._dsn, min_size=10, max_size=10)
            await self._pool.execute(
                "CREATE TABLE IF NOT EXISTS upserted (id text PRIMARY KEY, customer text, metric text, value numeric,"
                " at timestamptz DEFAULT now())"
            )
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        assert self._pool is not None
        message = await receive()
        event = msgspec.json.decode(message["body"])
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "INSERT INTO upserted (id, customer, metric, value) VALUES ($1, $2, $3, $4::text::numeric)"
                " ON CONFLICT (id) DO NOTHING",
                event["identifier"],
                event["customer"],
                event["event_name"],
                event["value"],
            )
        body = b"{}"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": body})


def upsert(dsn: str, port: int) -> uvicorn.Server:
    """The baseline of single events."""
    return uvicorn.Server(
        uvicorn.Config(Upsert(dsn), port=port, http="httptools", loop="uvloop", access_log=False, log_level="error")
    )


if __name__ == "__main__":
    {"create": create, "upsert": upsert}[sys.argv[1]](os.environ["BENCH_DSN"], int(sys.argv[2])).run()
