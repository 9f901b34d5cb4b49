"""`meterline serve`: run Meterline until it is told to stop."""

import signal
import sys
import threading
from types import FrameType
from typing import Annotated

import structlog
import typer

from meterline.cli.fleet import serving
from meterline.cli.option import DataDir, settings_with

_log = structlog.get_logger("serve")


def serve(
    host: Annotated[str | None, typer.Option(help="The address to listen on.", show_default=False)] = None,
    port: Annotated[int | None, typer.Option(help="The port to listen on; 0 takes any.", show_default=False)] = None,
    workers: Annotated[int | None, typer.Option(help="How many web processes.", show_default=False)] = None,
    data_dir: DataDir = None,
) -> None:
    """Run Meterline until it is told to stop (Ctrl-C or SIGTERM)."""
    settings = settings_with(host=host, port=port, workers=workers, data_dir=data_dir)
    stop = Stop()
    with serving(settings, hurry=stop.hurried) as url:
        sys.stdout.write(f"Meterline is up at {url}\n")
        sys.stdout.flush()
        stop.wait()


class Stop:
    """The wish to stop: said once by a signal, and said again to hurry."""

    def __init__(self) -> None:
        self._said = threading.Event()
        self._hurry = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._hear)

    def wait(self) -> None:
        """Until a signal comes."""
        self._said.wait()

    def hurried(self) -> bool:
        """Whether a second signal came: requests in flight are not waited for any more."""
        return self._hurry

    def _hear(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._hurry = self._said.is_set()
        self._said.set()
