"""What every ingest benchmark stands on: a database, a server on it, customers, and a cheap load generator."""

import asyncio
import contextlib
import os
import resource
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import psutil
from rich.console import Console
from rich.table import Table

from meterline.customer import Customer
from meterline.meter import Meter
from meterline.store import api_key, customer, meter, migration
from meterline.store.database import Database
from meterline.store.embedded import Server
from meterline.store.identifier import public, uuid7

SECRET = "sk_test_meterlineBenchmarks000000"


@contextmanager
def database(data_dir: str | None = None) -> Iterator[str]:
    """METERLINE_BENCH_DSN, or an embedded server of our own: fsync and synchronous_commit on, as in production."""
    given = os.environ.get("METERLINE_BENCH_DSN")
    if given is not None:
        asyncio.run(migration.upgrade(given))
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="meterline-bench-") as scratch:
        Path(scratch).chmod(0o755)
        server = Server(Path(data_dir or scratch) / "postgres", shared_buffers_mb=2048)
        dsn = server.start()
        try:
            asyncio.run(migration.upgrade(dsn))
            yield dsn
        finally:
            server.stop()


@dataclass(slots=True)
class Furnished:
    """One environment's customers and meter."""

    meter: Meter
    customers: dict[str, UUID] = field(default_factory=dict)


async def furnish(dsn: str, *, customers: int) -> Furnished:
    """Customers, a summing meter and a key."""
    now = datetime.now(UTC)
    tag = secrets.token_hex(4)
    made = Meter(
        environment="test",
        id=public("mtr_test"),
        display_name=tag,
        event_name=f"tokens_{tag}",
        formula="sum",
        created=now,
        updated=now,
    )
    furnished = Furnished(made)
    opened = Database(dsn)
    async with opened.begin() as tx:
        await api_key.add(tx, environment="test", secret=SECRET, now=now)
        await meter.add(tx, made)
        for n in range(customers):
            id = f"cus_{tag}{n}"
            furnished.customers[id] = uuid7()
            await customer.add(
                tx,
                Customer(
                    environment="test",
                    customer_id=furnished.customers[id],
                    id=id,
                    created=now,
                    invoice_prefix=f"{tag}{n}",
                ),
            )
    await opened.close()
    return furnished


@contextmanager
def serving(dsn: str, *, app: str = "create", processes: int = 1) -> Iterator[list[tuple[str, int]]]:
    """Web processes on the database, each on a port of its own; their addresses."""
    running = []
    addresses = []
    for _ in range(processes):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        command = [sys.executable, "-m", "benchmarks.served", app, str(port)]
        running.append(subprocess.Popen(command, env={**os.environ, "BENCH_DSN": dsn}))
        addresses.append(("127.0.0.1", port))
    try:
        for address in addresses:
            _await(address)
        yield addresses
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(30)


def _await(address: tuple[str, int]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            socket.create_connection(address).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("the server did not start")


def request(path: str, body: bytes, content_type: str, key: str | None = None) -> bytes:
    """A POST as bytes."""
    head = (
        f"POST {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {SECRET}\r\n"
        f"content-type: {content_type}\r\ncontent-length: {len(body)}\r\n"
    )
    head += f"idempotency-key: {key}\r\n" if key else ""
    return head.encode() + b"\r\n" + body


class _Caller(asyncio.Protocol):
    """One connection that sends the next request as soon as the last was answered, or when it is due."""

    def __init__(self, waiting: Iterator[tuple[int, bytes]], began: float, rate: float | None) -> None:
        self._waiting, self._began, self._rate = waiting, began, rate
        self._heard = b""
        self._sent = 0.0
        self.took: list[float] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._next()

    def _next(self) -> None:
        n, asked = next(self._waiting, (0, b""))
        if not asked:
            self._transport.close()
            self.done.set_result(None)
            return
        pause = 0.0 if self._rate is None else self._began + n / self._rate - time.perf_counter()
        if pause > 0:
            asyncio.get_running_loop().call_later(pause, self._send, asked)
        else:
            self._send(asked)

    def _send(self, asked: bytes) -> None:
        self._sent = time.perf_counter()
        self._transport.write(asked)

    def data_received(self, data: bytes) -> None:
        heard = self._heard = self._heard + data
        end = heard.find(b"\r\n\r\n")
        if end < 0:
            return
        at = heard.find(b"content-length: ") + 16
        if len(heard) < end + 4 + int(heard[at : heard.find(b"\r", at)]):
            return
        self.took.append(time.perf_counter() - self._sent)
        self._heard = b""
        if heard.startswith(b"HTTP/1.1 20"):
            self._next()
        else:
            self.done.set_exception(AssertionError(heard))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionResetError("the server hung up"))


async def load(
    addresses: Sequence[tuple[str, int]], requests: Sequence[bytes], *, connections: int, rate: float | None = None
) -> list[float]:
    """Send every request once over so many connections; how long each took, seconds.

    With `rate`, so many are begun per second; otherwise each connection sends as soon as it was answered.
    """
    waiting = iter(enumerate(requests))
    began = time.perf_counter()
    loop = asyncio.get_running_loop()
    callers = []
    for n in range(connections):
        host, port = addresses[n % len(addresses)]
        _, caller = await loop.create_connection(lambda: _Caller(waiting, began, rate), host, port)
        callers.append(caller)
    await asyncio.gather(*[caller.done for caller in callers])
    return [took for caller in callers for took in caller.took]


def servers_cpu() -> float:
    """CPU seconds spent so far by the web processes and PostgreSQL: what stays true on a busy machine."""
    spent = 0.0
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            spent += sum(process.cpu_times()[:2])
    return spent


def percentile(values: Sequence[float], share: float) -> float:
    """The value that so large a share of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


@dataclass(slots=True)
class Rounds:
    """Ways of doing the same work, measured in turns so that the machine's moods hit all of them."""

    title: str
    rates: dict[str, list[float]] = field(default_factory=dict)
    costs: dict[str, list[float]] = field(default_factory=dict)

    async def measure(self, name: str, work: Callable[[], Awaitable[int]]) -> None:
        """Run one way once; `work` answers how many events it did."""
        started, spent = time.perf_counter(), servers_cpu()
        done = await work()
        self.rates.setdefault(name, []).append(done / (time.perf_counter() - started))
        self.costs.setdefault(name, []).append((servers_cpu() - spent) / done * 1e6)

    def show(self, *, baseline: str) -> None:
        """The medians, and each as a ratio of the baseline."""
        base = statistics.median(self.rates[baseline])
        table = Table(
            "way", "events/s (median)", "of the baseline", "CPU µs per event", "rounds", title=self.title, box=None
        )
        for name, rates in self.rates.items():
            rate = statistics.median(rates)
            cost = f"{statistics.median(self.costs[name]):.0f}"
            table.add_row(name, f"{rate:,.0f}", f"{rate / base:.2f}", cost, ", ".join(f"{each:,.0f}" for each in rates))
        Console(width=140).print(table)


@asynccontextmanager
async def opened(dsn: str) -> AsyncIterator[Database]:
    """The database, open."""
    made = Database(dsn)
    await made.open()
    try:
        yield made
    finally:
        await made.close()


def chooser(furnished: Furnished, seed: int) -> Callable[[], str]:
    """Draws customers as usage has them: few with much, many with little."""
    ids = list(furnished.customers)
    weights = [1 / (n + 1) for n in range(len(ids))]
    chance = Random(seed)
    drawn = iter(chance.choices(ids, weights, k=4_000_000 if len(ids) > 1 else 1))
    return (lambda: next(drawn)) if len(ids) > 1 else (lambda: ids[0])


def peak_mb(pid: int) -> float:
    """The most memory a process has held, MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
