"""Is it alive, is it ready, what has it done: `/healthz`, `/readyz` and `/metrics`, for whoever runs it."""

import asyncio
import os

import asyncpg
from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.responses import JSONResponse

from meterline.store import condition
from meterline.store.database import Database

_PATIENCE_S = 2.0


def router(database: Database) -> APIRouter:
    """The three routes, without a key: they tell nothing about customers."""
    routes = APIRouter(include_in_schema=False)
    needed = condition.needed_revision()

    @routes.get("/healthz")
    async def alive() -> Response:
        """This process answers."""
        return JSONResponse({"status": "ok"})

    @routes.get("/readyz")
    async def ready() -> Response:
        """The database answers, and its schema is the one this version needs."""
        try:
            async with asyncio.timeout(_PATIENCE_S), database.pool.acquire() as connection:
                found = await condition.revision(connection)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            return _not_ready("database", f"the database does not answer ({type(error).__name__})")
        if found != needed:
            return _not_ready("migrations", f"the schema is at {found}, {needed} is needed: run meterline migrate")
        return JSONResponse({"status": "ok", "revision": found})

    @routes.get("/metrics")
    async def metrics() -> Response:
        """Counters of all web processes together, in Prometheus' text format."""
        return Response(await asyncio.to_thread(_collected), media_type=CONTENT_TYPE_LATEST)

    return routes


def _not_ready(failing: str, reason: str) -> Response:
    return JSONResponse({"status": "not ready", "failing": failing, "reason": reason}, status_code=503)


def _collected() -> bytes:
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    together = CollectorRegistry()
    MultiProcessCollector(together)  # type: ignore[no-untyped-call]
    return generate_latest(together)
