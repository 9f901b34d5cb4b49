"""Batches of events: over HTTP, written straight to PostgreSQL by one writer, and by COPY into the same unique table.

`python -m benchmarks.ingest_batch [--rounds 5] [--events 40000] [--batch 1000] [--customers 1000] [--processes 1]`
`--customers 1` measures a hot customer.
"""

import argparse
import secrets
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import asyncpg
import msgspec
import uvloop

from benchmarks.ground import Furnished, Rounds, chooser, database, furnish, load, request, serving
from meterline.store import fresh_batch, partition
from meterline.store.event import NewEvent, digest16
from meterline.store.usage import NO_DIMENSIONS
from meterline.usecase.write_events import SESSION, turns


def told(furnished: Furnished, count: int, seed: int) -> list[dict[str, object]]:
    """Events of the last hour with random identifiers."""
    draw, now = chooser(furnished, seed), datetime.now(UTC)
    return [
        {
            "event_name": furnished.meter.event_name,
            "identifier": secrets.token_hex(16),
            "timestamp": (now - timedelta(seconds=n % 3600)).isoformat(),
            "payload": {"stripe_customer_id": draw(), "value": str(n % 997)},
        }
        for n in range(count)
    ]


def ready(furnished: Furnished, events: list[dict[str, object]]) -> list[NewEvent]:
    """The same, ready to be stored."""
    now = datetime.now(UTC)
    made = []
    for n, each in enumerate(events):
        payload = each["payload"]
        assert isinstance(payload, dict)
        identifier = str(each["identifier"])
        made.append(
            NewEvent(
                customer_id=furnished.customers[payload["stripe_customer_id"]],
                occurred_at=datetime.fromisoformat(str(each["timestamp"])),
                identifier16=digest16(identifier),
                environment="test",
                meter=furnished.meter.id,
                identifier=identifier,
                value=Decimal(payload["value"]),
                dimensions16=NO_DIMENSIONS,
                value16=None,
                body16=digest16(identifier + "body"),
                received_at=now + timedelta(microseconds=n),
            )
        )
    return made


async def straight(connection: "asyncpg.Connection[asyncpg.Record]", batches: list[list[NewEvent]]) -> int:
    """One writer, nothing but the statement that ingest writes a batch with."""
    version = await connection.fetchval("SELECT version FROM catalog_version WHERE environment = 'test'") or 0
    for batch in batches:
        assert await fresh_batch.write(connection, batch, version=version)
    return sum(map(len, batches))


async def copied(connection: "asyncpg.Connection[asyncpg.Record]", batches: list[list[NewEvent]]) -> int:
    """COPY into the events' own table, unique index and all: no duplicates allowed, no counters kept."""
    columns = "customer_id occurred_at identifier16 environment meter identifier value dimensions16 body16 received_at"
    names = columns.split()
    for batch in batches:
        async with connection.transaction():
            await connection.copy_records_to_table(
                "usage_event", records=[tuple(getattr(e, name) for name in names) for e in batch], columns=names
            )
    return sum(map(len, batches))


async def run(dsn: str, addresses: list[tuple[str, int]], options: argparse.Namespace) -> None:
    """The rounds."""
    furnished = await furnish(dsn, customers=options.customers)
    rounds = Rounds(f"{options.events:,} events in batches of {options.batch}, {options.customers} customers")
    connection = await asyncpg.connect(dsn, server_settings=SESSION)
    today = datetime.now(UTC).date()
    for table in partition.SPANS:
        for n in (-1, 0, 1):
            await partition.create(connection, partition.holding(table, today + timedelta(days=n)))

    def batches(seed: int) -> list[list[dict[str, object]]]:
        events = told(furnished, options.events, seed)
        return [events[n : n + options.batch] for n in range(0, len(events), options.batch)]

    def in_order(batch: list[NewEvent]) -> list[NewEvent]:
        return [batch[n] for n in turns(batch)[0]]

    for turn in range(options.rounds + 1):
        bodies = [
            request("/ingest/events", b"\n".join(map(msgspec.json.encode, batch)), "application/x-ndjson")
            for batch in batches(turn)
        ]
        mine = [in_order(ready(furnished, batch)) for batch in batches(turn + 1000)]
        more = [ready(furnished, batch) for batch in batches(turn + 2000)]

        async def over_http(bodies: list[bytes] = bodies) -> int:
            await load(addresses, bodies, connections=options.connections)
            return int(options.events)

        async def by_one(mine: list[list[NewEvent]] = mine) -> int:
            return await straight(connection, mine)

        async def by_copy(more: list[list[NewEvent]] = more) -> int:
            return await copied(connection, more)

        measured = rounds if turn else Rounds("warming up")
        await measured.measure("over HTTP, answered when committed", over_http)
        await measured.measure("one writer, straight to PostgreSQL", by_one)
        await measured.measure("COPY into the unique table, no counters", by_copy)
    rounds.show(baseline="one writer, straight to PostgreSQL")
    await connection.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--events", type=int, default=40_000)
    parser.add_argument("--batch", type=int, default=1_000)
    parser.add_argument("--customers", type=int, default=1_000)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    with database() as dsn, serving(dsn, processes=options.processes) as addresses:
        uvloop.run(run(dsn, addresses, options))


if __name__ == "__main__":
    main()
