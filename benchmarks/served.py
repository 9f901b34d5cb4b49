"""The applications that benchmarks put behind the same server: `python -m benchmarks.served create|upsert PORT`."""

import gc
import os
import sys
from urllib.parse import parse_qsl

import asyncpg
import msgspec
import uvicorn
from starlette.types import Receive, Scope, Send

from benchmarks.ground import SECRET
from meterline.app import create_app, web_server


def create(dsn: str, port: int) -> uvicorn.Server:
    """Meterline, with the web process's own setting of the garbage collector."""
    gc.set_threshold(50_000, 20, 100)
    return web_server(create_app(dsn), port=port)


class Upsert:
    """One INSERT … ON CONFLICT per request, each its own transaction: what one writes first.

    It takes the requests that Meterline takes: the key is looked at, the form parsed, an event answered.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._keys = {f"Bearer {SECRET}".encode()}

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
        assert dict(scope["headers"])[b"authorization"] in self._keys
        event = dict(parse_qsl((await receive())["body"].decode()))
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "INSERT INTO upserted (id, customer, metric, value) VALUES ($1, $2, $3, $4::text::numeric)"
                " ON CONFLICT (id) DO NOTHING",
                event["identifier"],
                event["payload[stripe_customer_id]"],
                event["event_name"],
                event["payload[value]"],
            )
        body = msgspec.json.encode(event)
        length = str(len(body)).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        await send({"type": "http.response.body", "body": body})


def upsert(dsn: str, port: int) -> uvicorn.Server:
    """The baseline of single events."""
    return uvicorn.Server(
        uvicorn.Config(Upsert(dsn), port=port, http="httptools", loop="uvloop", access_log=False, log_level="error")
    )


if __name__ == "__main__":
    {"create": create, "upsert": upsert}[sys.argv[1]](os.environ["BENCH_DSN"], int(sys.argv[2])).run()
