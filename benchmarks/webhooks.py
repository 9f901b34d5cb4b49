"""10,000 notices to a healthy endpoint, alone and beside a slow, a failing and a hanging one.

`python -m benchmarks.webhooks [--notices 10000] [--rounds 3]`. What counts is the ratio of the two rates of the
healthy endpoint within one run.
"""

import argparse
import asyncio
import contextlib
import multiprocessing
import socket
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from multiprocessing.sharedctypes import Synchronized

from aiohttp import web
from rich.console import Console
from rich.table import Table

from benchmarks.ground import database
from meterline.api.stripe import product as _product_snapshots  # noqa: F401 - registers how products are shown
from meterline.api.stripe.event import payload
from meterline.catalog import Product
from meterline.gateway.webhook import Reach, Sender
from meterline.notice.endpoint import Secret, WebhookEndpoint
from meterline.store import notice, webhook_endpoint
from meterline.store.database import Database
from meterline.store.identifier import public, uuid7
from meterline.store.notice import Fact
from meterline.worker.delivery import Deliveries

PLACES = ("healthy", "slow", "failing", "hanging")
SLOW_S = 3.0
TIMEOUT_S = 10.0


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--notices", type=int, default=10_000)
    options.add_argument("--rounds", type=int, default=3)
    asked = options.parse_args()
    with database() as dsn, receiving() as (url, count):
        rows = [
            (
                asyncio.run(measured(dsn, url, count, asked.notices, PLACES[:1])),
                asyncio.run(measured(dsn, url, count, asked.notices, PLACES)),
            )
            for _ in range(asked.rounds)
        ]
    table = Table("round", "alone, notices/s", "beside bad ones, notices/s", "ratio")
    for n, (alone, beside) in enumerate(rows, 1):
        table.add_row(str(n), f"{alone:,.0f}", f"{beside:,.0f}", f"{beside / alone:.2f}")
    Console().print(table)
    Console().print(f"median ratio {statistics.median(beside / alone for alone, beside in rows):.2f}")


async def measured(dsn: str, url: str, count: "Synchronized[int]", notices: int, places: tuple[str, ...]) -> float:
    """The rate at which the healthy endpoint gets all of them, per second."""
    environment = f"bench_{public('x')}"
    opened = Database(dsn)
    await opened.open()
    await _furnish(opened, environment, url, notices, places)
    count.value = 0
    stop = asyncio.Event()
    reach = Reach(loopback=True)
    async with Sender(live=reach, test=reach, timeout_s=TIMEOUT_S) as sender:
        deliveries = Deliveries(database=opened, sender=sender, render=payload)
        began = time.monotonic()
        running = asyncio.create_task(deliveries.run(stop))
        while count.value < notices:  # noqa: ASYNC110 - another process counts
            await asyncio.sleep(0.01)
        spent = time.monotonic() - began
        stop.set()
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
    async with opened.begin() as tx:
        for endpoint in await webhook_endpoint.all_of(tx, environment, among=["snapshot"]):
            await webhook_endpoint.remove(tx, endpoint)
    await opened.close()
    return notices / spent


async def _furnish(opened: Database, environment: str, url: str, notices: int, places: tuple[str, ...]) -> None:
    now = datetime.now(UTC)
    async with opened.begin() as tx:
        for place in places:
            await webhook_endpoint.add(
                tx,
                WebhookEndpoint(
                    environment=environment,
                    id=public("we"),
                    sequence=uuid7(),
                    url=f"{url}/{place}",
                    enabled_events=("*",),
                    payload="snapshot",
                    api_version=None,
                    secrets=(Secret(value=webhook_endpoint.new_secret()),),
                    created=now - timedelta(seconds=1),
                    updated=now,
                ),
            )
    facts = []
    for n in range(notices):
        product = Product(environment=environment, id=public("prod"), name=f"Product {n}", created=now, updated=now)
        facts.append(
            Fact(
                environment=environment,
                customer_id=None,
                type="product.created",
                subject=product,
                object_id=product.id,
                now=now,
            )
        )
    async with opened.pool.acquire() as connection, connection.transaction():
        await notice.add_all(connection, facts)


@contextmanager
def receiving() -> Iterator[tuple[str, "Synchronized[int]"]]:
    """A server process with one path for each kind of endpoint; counts what the healthy one got."""
    count: Synchronized[int] = multiprocessing.Value("i", 0)
    listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
    process = multiprocessing.Process(target=_serve, args=(listening, count), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", count
    finally:
        process.terminate()
        process.join()
        listening.close()


def _serve(listening: socket.socket, count: "Synchronized[int]") -> None:
    async def healthy(request: web.Request) -> web.Response:
        await request.read()
        count.value += 1
        return web.Response()

    async def slow(request: web.Request) -> web.Response:
        await request.read()
        await asyncio.sleep(SLOW_S)
        return web.Response()

    async def failing(_: web.Request) -> web.Response:
        return web.Response(status=500)

    async def hanging(_: web.Request) -> web.Response:
        await asyncio.sleep(3600)
        return web.Response()

    app = web.Application()
    for place, answer in zip(PLACES, (healthy, slow, failing, hanging), strict=True):
        app.router.add_post(f"/{place}", answer)
    web.run_app(app, sock=listening, print=lambda _: None)


if __name__ == "__main__":
    main()
