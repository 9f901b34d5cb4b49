"""How much memory a web process takes while events queue through it, and how much a preview-like read costs.

`python -m benchmarks.ingest_memory [--events 1000000]`
"""

import argparse
import asyncio
import statistics
import time
from datetime import UTC, datetime, timedelta

import msgspec
import psutil
from rich.console import Console

from benchmarks.ground import database, furnish, load, opened, peak_mb, request, serving
from benchmarks.ingest_batch import told
from meterline.period import Period
from meterline.store import usage

_BATCH = 2_000
_AT_ONCE = 50_000


async def run(dsn: str, addresses: list[tuple[str, int]], options: argparse.Namespace) -> None:
    """Send in slices, so that the generator's own memory stays small; watch the server's."""
    out = Console(width=120)
    furnished = await furnish(dsn, customers=1)
    (server,) = [each.pid for each in psutil.Process().children() if "benchmarks.served" in " ".join(each.cmdline())]
    before = peak_mb(server)
    costs = []
    for sent in range(0, options.events, _AT_ONCE):
        events = told(furnished, _AT_ONCE, sent)
        bodies = [
            request(
                "/ingest/events",
                b"\n".join(map(msgspec.json.encode, events[n : n + _BATCH])),
                "application/x-ndjson",
            )
            for n in range(0, len(events), _BATCH)
        ]
        await load(addresses, bodies, connections=16)
        costs.append((sent + _AT_ONCE, await read_ms(dsn, furnished.meter, next(iter(furnished.customers.values())))))
    out.print(f"web process: {before:.0f} MB at start, {peak_mb(server):.0f} MB at most over {options.events:,} events")
    (few, cheap), (many, dear) = costs[0], costs[-1]
    out.print(
        f"quantity of a month: {cheap:.2f} ms with {few:,} events in it, {dear:.2f} ms with {many:,}"
        f" ({dear / cheap:.2f} of it)"
    )


async def read_ms(dsn: str, meter: usage.Meter, customer_id: usage.UUID) -> float:
    """The median time of the read that previews and invoices make, milliseconds."""
    now = datetime.now(UTC)
    period = Period(start=now - timedelta(days=20, minutes=17), end=now + timedelta(days=10, minutes=11))
    took = []
    async with opened(dsn) as database, database.begin() as tx:
        for _ in range(30):
            began = time.perf_counter()
            await usage.quantity(tx, customer_id=customer_id, meter=meter, period=period)
            took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    options = parser.parse_args()
    with database() as dsn, serving(dsn) as addresses:
        asyncio.run(run(dsn, addresses, options))


if __name__ == "__main__":
    main()
