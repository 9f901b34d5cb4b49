"""One worker process: `python -m meterline.worker --database-url postgresql://…`, stopped by SIGTERM or SIGINT."""

import argparse
import asyncio
import contextlib
import gc
import signal
from datetime import timedelta

from meterline.store.database import Database
from meterline.worker.loop import Worker
from meterline.worker.registry import HANDLERS


async def work(dsn: str, *, lease: timedelta, poll: timedelta) -> None:
    """Work on the database until a signal says stop; the piece in hand is finished."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    database = Database(dsn, control_connections=4, hot_connections=2)
    await database.open()
    try:
        await Worker(database=database, handlers=HANDLERS, lease=lease, poll=poll).run(stop)
    finally:
        await database.close()


def main() -> None:
    """Reads the options and works."""
    parser = argparse.ArgumentParser(prog="meterline.worker", description=__doc__)
    parser.add_argument("--database-url", required=True)
    parser.add_argument("--lease", type=float, default=30.0, help="how long a claim outlives its worker, seconds")
    parser.add_argument("--poll", type=float, default=1.0, help="how often to look for work unasked, seconds")
    options = parser.parse_args()
    gc.set_threshold(50_000, 20, 100)  # a chunk's many objects live as long as its transaction
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(
            work(
                options.database_url,
                lease=timedelta(seconds=options.lease),
                poll=timedelta(seconds=options.poll),
            )
        )


if __name__ == "__main__":
    main()
