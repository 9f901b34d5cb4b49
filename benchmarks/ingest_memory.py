"""How much memory a web process takes while events queue through it.

`python -m benchmarks.ingest_memory [--events 1000000]`
"""

import argparse
import asyncio

import msgspec
import psutil
from rich.console import Console

from benchmarks.ground import database, furnish, load, peak_mb, request, serving
from benchmarks.ingest_batch import told

_BATCH = 2_000
_AT_ONCE = 50_000


async def run(dsn: str, addresses: list[tuple[str, int]], options: argparse.Namespace) -> None:
    """Send in slices, so that the generator's own memory stays small; watch the server's."""
    out = Console(width=120)
    furnished = await furnish(dsn, customers=1)
    (server,) = [each.pid for each in psutil.Process().children() if "benchmarks.served" in " ".join(each.cmdline())]
    before = peak_mb(server)
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
    out.print(f"web process: {before:.0f} MB at start, {peak_mb(server):.0f} MB at most over {options.events:,} events")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    options = parser.parse_args()
    with database() as dsn, serving(dsn) as addresses:
        asyncio.run(run(dsn, addresses, options))


if __name__ == "__main__":
    main()
