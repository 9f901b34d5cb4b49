"""Does the rate sink as history grows? One writer's rate at a small history and at a large one.

`python -m benchmarks.ingest_growth [--small 1000000] [--large 30000000] [--days 30] [--seconds 6]`
The history is spread over so many days, as it would be; `--days 1` puts all of it into today's partitions. It has
been vacuumed, as what comes over days is: what is measured beside the writer is not a month's VACUUM.
"""

import argparse
import statistics
import time
from datetime import UTC, datetime, timedelta

import asyncpg
import uvloop
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.ground import Furnished, database, furnish, servers_cpu
from benchmarks.ingest_batch import ready, told
from meterline.store import fresh_batch, partition
from meterline.usecase.write_events import SESSION, turns

_STEP = 500_000


async def fill(connection: "asyncpg.Connection[asyncpg.Record]", furnished: Furnished, rows: int, days: int) -> None:
    """Write history with the same keys that ingest would have written."""
    now = datetime.now(UTC)
    ids = list(furnished.customers.values())
    for table in partition.SPANS:
        for back in range(days + 2):
            await partition.create(connection, partition.holding(table, (now - timedelta(days=back - 1)).date()))
    spread = "$3::timestamptz - (random() * $4::int) * interval '1 day'"
    for _ in track(range(rows // _STEP), description=f"filling {rows:,}"):
        await connection.execute(
            "INSERT INTO usage_event (customer_id, occurred_at, identifier16, environment, meter, identifier, value,"
            " dimensions16, body16, received_at)"
            " SELECT ($1::uuid[])[1 + floor(random() * $5)::int], at, gen_random_uuid(), 'test', $2,"
            " replace(gen_random_uuid()::text, '-', ''), 1, '00000000-0000-0000-0000-000000000000',"
            f" gen_random_uuid(), at FROM (SELECT {spread} AS at FROM generate_series(1, {_STEP})) s",
            ids,
            furnished.meter.id,
            now,
            days,
            len(ids),
            timeout=600,
        )
    await connection.execute(
        "INSERT INTO recent_identifier (customer_id, identifier16, day, received_at, occurred_at, body16)"
        " SELECT customer_id, identifier16, received_at::date, received_at, occurred_at, body16 FROM usage_event"
        " WHERE received_at > $1 ON CONFLICT DO NOTHING",
        now - timedelta(days=2),
        timeout=1200,
    )


async def rate(
    connection: "asyncpg.Connection[asyncpg.Record]", furnished: Furnished, seconds: float
) -> tuple[list[float], float]:
    """Events per second of one writer, three times, each right after a checkpoint: the worst case for the log.

    And the median of PostgreSQL's CPU per event, µs: what stays true on a busy machine.
    """
    version = await connection.fetchval("SELECT version FROM catalog_version WHERE environment = 'test'") or 0
    found, costs = [], []
    for turn in range(3):
        events = ready(furnished, told(furnished, 200_000, turn))
        batches = [events[n : n + 2_000] for n in range(0, len(events), 2_000)]
        ordered = [[batch[n] for n in turns(batch)[0]] for batch in batches]
        await connection.execute("CHECKPOINT", timeout=600)
        done, began, spent = 0, time.perf_counter(), servers_cpu()
        for batch in ordered:
            assert await fresh_batch.write(connection, batch, version=version)
            done += len(batch)
            if time.perf_counter() - began > seconds:
                break
        found.append(done / (time.perf_counter() - began))
        costs.append((servers_cpu() - spent) / done * 1e6)
    return found, statistics.median(costs)


async def run(dsn: str, options: argparse.Namespace) -> None:
    """Fill, measure, fill more, measure again."""
    connection = await asyncpg.connect(dsn, server_settings=SESSION | {"statement_timeout": "0"})
    furnished = await furnish(dsn, customers=10_000)
    table = Table("stored events", "events/s (median)", "of the first", "CPU µs per event", "rounds", box=None)
    first = None
    stored = 0
    for target in (options.small, options.large):
        await fill(connection, furnished, target - stored, options.days)
        stored = target
        await connection.execute("VACUUM ANALYZE", timeout=600)
        rates, cost = await rate(connection, furnished, options.seconds)
        median = statistics.median(rates)
        first = first or median
        rounds = ", ".join(f"{each:,.0f}" for each in rates)
        table.add_row(f"{target:,}", f"{median:,.0f}", f"{median / first:.2f}", f"{cost:.0f}", rounds)
    Console(width=120).print(table)
    await connection.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", type=int, default=1_000_000)
    parser.add_argument("--large", type=int, default=30_000_000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=6.0)
    options = parser.parse_args()
    with database() as dsn:
        uvloop.run(run(dsn, options))


if __name__ == "__main__":
    main()
