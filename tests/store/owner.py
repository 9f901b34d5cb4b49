"""A process that owns an embedded server until it is killed: `python -m tests.store.owner DATA_DIR`."""

import sys
import time
from pathlib import Path

from meterline.cli import log
from meterline.store.embedded import Server


def main() -> None:
    """Start the server, say where it is, and wait."""
    log.configure(style="json", level="info")
    sys.stdout.write(f"{Server(Path(sys.argv[1])).start()}\n")
    sys.stdout.flush()
    time.sleep(3600)


if __name__ == "__main__":
    main()
