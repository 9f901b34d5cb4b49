"""One event per request: Stripe's v1 form route against a transaction with an upsert per request, same server.

`python -m benchmarks.ingest_single [--rounds 5] [--events 8000] [--connections 64]`
Then the latency of the v1 route at half of the rate it reached.
"""

import argparse
import secrets
import statistics

import uvloop
from rich.console import Console

from benchmarks.ground import Furnished, Rounds, chooser, database, furnish, load, percentile, request, serving

_FORM = "application/x-www-form-urlencoded"
V1 = "v1 meter events, group commit"
UPSERT = "upsert per request, its own transaction"


def forms(furnished: Furnished, count: int, seed: int, *, keyed: bool = False) -> list[bytes]:
    """Form-encoded meter events with identifiers, with an Idempotency-Key each if `keyed` (as the SDKs send)."""
    draw = chooser(furnished, seed)
    made = []
    for n in range(count):
        body = (
            f"event_name={furnished.meter.event_name}&identifier={secrets.token_hex(16)}"
            f"&payload%5Bstripe_customer_id%5D={draw()}&payload%5Bvalue%5D={n % 997}"
        )
        key = secrets.token_hex(16) if keyed else None
        made.append(request("/v1/billing/meter_events", body.encode(), _FORM, key))
    return made


async def run(
    ours: list[tuple[str, int]], theirs: list[tuple[str, int]], dsn: str, options: argparse.Namespace
) -> None:
    """The rounds, then the latencies."""
    furnished = await furnish(dsn, customers=options.customers)
    rounds = Rounds(f"{options.events:,} single events, {options.connections} connections")
    for turn in range(options.rounds + 1):
        v1 = forms(furnished, options.events, turn)
        keyed = forms(furnished, options.events, turn, keyed=True)
        upsert = forms(furnished, options.events // 4, turn + 1000)

        async def plain(v1: list[bytes] = v1) -> int:
            return len(await load(ours, v1, connections=options.connections))

        async def with_keys(keyed: list[bytes] = keyed) -> int:
            return len(await load(ours, keyed, connections=options.connections))

        async def one_by_one(upsert: list[bytes] = upsert) -> int:
            return len(await load(theirs, upsert, connections=options.connections))

        measured = rounds if turn else Rounds("warming up")
        await measured.measure(V1, plain)
        await measured.measure(f"{V1}, each with an Idempotency-Key", with_keys)
        await measured.measure(UPSERT, one_by_one)
    rounds.show(baseline=UPSERT)
    half = statistics.median(rounds.rates[V1]) / 2
    took = await load(ours, forms(furnished, options.events, 99), connections=options.connections, rate=half)
    p50, p99 = percentile(took, 0.5) * 1000, percentile(took, 0.99) * 1000
    Console().print(f"at half load ({half:,.0f}/s): p50 {p50:.1f} ms, p99 {p99:.1f} ms")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--events", type=int, default=8_000)
    parser.add_argument("--customers", type=int, default=1_000)
    parser.add_argument("--connections", type=int, default=64)
    options = parser.parse_args()
    with (
        database() as dsn,
        serving(dsn) as ours,
        serving(dsn, app="upsert") as theirs,
    ):
        uvloop.run(run(ours, theirs, dsn, options))


if __name__ == "__main__":
    main()
