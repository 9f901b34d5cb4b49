"""Wallets: batches of usage priced and debited from one hot wallet against the same batches without; holds.

`python -m benchmarks.wallet [--rounds 3] [--events 20000] [--batch 1000] [--wallets 1] [--processes 1]`
"""

import argparse
import secrets
import time
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import uvloop

from benchmarks.ground import (
    Furnished,
    Rounds,
    database,
    furnish,
    load,
    opened,
    percentile,
    request,
    servers_cpu,
    serving,
)
from meterline.catalog import Graduated, Tier
from meterline.store.database import Database
from meterline.usecase.move_funds import adjust
from meterline.usecase.publish_offer import NewPrice, create_offer
from meterline.usecase.subscribe_wallet import Chosen, open_wallet, subscribe

TIERS = Graduated(tiers=(Tier(up_to=1000, unit=Decimal("0.5")), Tier(up_to=None, unit=Decimal("0.4"))))


async def fund(db: Database, furnished: Furnished) -> None:
    """Give every customer a wallet, a subscription to a tiered price on the meter, and a million dollars."""
    now = datetime.now(UTC)
    code = secrets.token_hex(4)
    async with db.begin() as tx:
        sold = NewPrice(name="Usage", asset="USD", model=TIERS, event_type=furnished.meter.event_name)
        await create_offer(
            tx, environment="test", name=code, code=code, prices=[sold], entitlements=[], publish=True, now=now
        )
        for customer_id in furnished.customers.values():
            await open_wallet(tx, environment="test", customer_id=customer_id, now=now)
            await subscribe(
                tx,
                environment="test",
                customer_id=customer_id,
                chosen=[Chosen(key=code)],
                clock=None,
                now=now,
            )
            await adjust(
                tx,
                environment="test",
                customer_id=customer_id,
                id="million",
                asset="USD",
                amount=Decimal(10**6),
                reason="external_topup",
                effective_at=None,
                expires_at=None,
                description=None,
                clock=None,
                now=now,
            )


def bodies(furnished: Furnished, options: argparse.Namespace) -> list[bytes]:
    """Requests of so many events each, spread over the customers."""
    ids = list(furnished.customers)
    events = [
        msgspec.json.encode(
            {
                "event_name": furnished.meter.event_name,
                "identifier": secrets.token_hex(16),
                "payload": {"stripe_customer_id": ids[n % len(ids)], "value": str(n % 7 + 1)},
            }
        )
        for n in range(options.events)
    ]
    parts = [events[n : n + options.batch] for n in range(0, len(events), options.batch)]
    return [request("/ingest/events", b"\n".join(part), "application/x-ndjson") for part in parts]


async def debits(addresses: list[tuple[str, int]], dsn: str, options: argparse.Namespace) -> None:
    """The same batches to customers without a wallet and with one, in turns."""
    plain = await furnish(dsn, customers=options.wallets)
    debited = await furnish(dsn, customers=options.wallets)
    async with opened(dsn) as db:
        await fund(db, debited)
    rounds = Rounds(f"{options.events:,} events in batches of {options.batch}, {options.wallets} wallet(s)")
    for turn in range(options.rounds + 1):
        measured = rounds if turn else Rounds("warming up")
        for name, whose in (("without wallets", plain), ("priced, debited, booked", debited)):
            ready = bodies(whose, options)

            async def send(ready: list[bytes] = ready) -> int:
                await load(addresses, ready, connections=8)
                return int(options.events)

            await measured.measure(name, send)
    rounds.show(baseline="without wallets")


async def holds(addresses: list[tuple[str, int]], dsn: str, *, customers: int) -> None:
    """Authorizations over 64 connections as fast as they are answered, as many at half of that rate, some alone."""
    furnished = await furnish(dsn, customers=customers)
    async with opened(dsn) as db:
        await fund(db, furnished)
    ids = list(furnished.customers)

    def ready(count: int) -> list[bytes]:
        return [
            request(
                "/gate/authorize",
                msgspec.json.encode(
                    {"customer_id": ids[n % len(ids)], "id": secrets.token_hex(8), "asset": "USD", "amount": "0.01"}
                ),
                "application/json",
            )
            for n in range(count)
        ]

    await load(addresses, ready(200), connections=8)
    full = ready(2000)
    spent, began = servers_cpu(), time.perf_counter()
    took = await load(addresses, full, connections=64)
    rate, cost = len(full) / (time.perf_counter() - began), (servers_cpu() - spent) / len(full)
    half = await load(addresses, ready(2000), connections=64, rate=rate / 2)
    alone = await load(addresses, ready(200), connections=1)
    print(f"authorize over {customers} wallet(s): {rate:,.0f}/s, CPU of servers {cost * 1e6:.0f} µs per call")
    for name, times in (("64 connections", took), ("half of that rate", half), ("one at a time", alone)):
        print(f"  {name}: p50 {percentile(times, 0.5) * 1e3:.1f} ms, p99 {percentile(times, 0.99) * 1e3:.1f} ms")


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--batch", type=int, default=1_000)
    parser.add_argument("--wallets", type=int, default=1)
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    with database() as dsn, serving(dsn, processes=options.processes) as addresses:
        uvloop.run(debits(addresses, dsn, options))
        uvloop.run(holds(addresses, dsn, customers=1))
        uvloop.run(holds(addresses, dsn, customers=64))


if __name__ == "__main__":
    main()
