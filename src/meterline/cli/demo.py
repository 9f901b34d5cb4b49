"""`meterline demo`: Meterline billing a month before your eyes, then staying up to be looked at."""

import socket
import sys
from typing import Annotated

import stripe
import typer
from pydantic import SecretStr
from rich.console import Console

from meterline.cli import log
from meterline.cli.fleet import serving
from meterline.cli.option import settings_with
from meterline.cli.serve import Stop
from meterline.config import Settings
from meterline.demo.story import tell
from meterline.store.api_key import new_secret


def demo(
    *,
    leave: Annotated[bool, typer.Option("--exit", help="End after the story instead of staying up.")] = False,
    port: Annotated[int | None, typer.Option(help="The port to listen on; 0 takes any.", show_default=False)] = None,
) -> None:
    """Bill a month of usage through the official Stripe SDK, on a PostgreSQL of its own, step by step."""
    settings = _settings(port)
    console = Console(highlight=False, soft_wrap=True)
    stop = Stop()
    with serving(settings, hurry=stop.hurried) as url:
        assert settings.api_key is not None
        secret = settings.api_key.get_secret_value()
        console.print(f"Meterline is up at [bold]{url}[/], the secret key for its test environment is {secret}\n")
        tell(stripe.StripeClient(secret, base_addresses={"api": url}), console)
        if leave:
            return
        sys.stdout.write(f"\nMeterline stays up at {url} until Ctrl-C. Look around with the same key:\n")
        sys.stdout.write(f"  curl {url}/v1/invoices -u {secret}:\n")
        sys.stdout.flush()
        stop.wait()


def _settings(port: int | None) -> Settings:
    """As `serve`, but with a database and a key of the demo's own, and quiet where nothing is wrong."""
    settings = settings_with(port=port)
    changes: dict[str, object] = {
        "database_url": None,
        "data_dir": settings.data_dir.with_name(f"{settings.data_dir.name}-demo"),
        "log_level": "warning",
    }
    if settings.api_key is None or not settings.api_key.get_secret_value().startswith("sk_test_"):
        changes["api_key"] = SecretStr(new_secret("test", "secret"))
    if port is None and _taken(settings.host, settings.port):
        changes["port"] = 0
    log.configure(style=settings.log_format, level="warning")
    return settings.model_copy(update=changes)


def _taken(host: str, port: int) -> bool:
    """Whether somebody listens there already; the demo then takes any free port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0
