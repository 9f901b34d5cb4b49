"""A process of `meterline serve`: `python -m meterline.cli.child web` or `worker`.

Its standard input is its lifeline: the parent writes one line of instructions and keeps the pipe open. When the
pipe closes, because the parent says stop or because the parent is no more, the process finishes what it has in
hand and leaves.
"""

import asyncio
import gc
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Mapping
from ipaddress import ip_network

import msgspec
import stripe
import uvloop

from meterline.app import create_app, create_worker, web_server
from meterline.cli import log
from meterline.cli.process import Instructions
from meterline.gateway.mail import Mailer
from meterline.gateway.stripe_processor import StripeProcessor

_LIFELINE = 0


_GARBAGE = (50_000, 20, 100)
"""Batches of events and chunks of due work make many short-lived objects: looking for cycles among them as often as
Python does by default costs a fifth of the time they take."""


async def web(told: Instructions) -> None:
    """Answer HTTP on the shared listening socket; requests in flight are answered before it returns."""
    gc.freeze()
    gc.set_threshold(*_GARBAGE)
    assert told.listening is not None, "a web process is given its socket"
    app = create_app(told.dsn, processor=processor(told), public_url=told.public_url)
    server = web_server(app, timeout_graceful_shutdown=told.stop_grace_s)

    def leave() -> None:
        server.should_exit = True
        app.state.end_streams()

    _on_stop(leave)
    await server.serve(sockets=[socket.socket(fileno=told.listening)])


async def worker(told: Instructions) -> None:
    """Do what falls due; the piece in hand is finished before it returns."""
    gc.freeze()
    gc.set_threshold(*_GARBAGE)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    _on_stop(stop.set)
    networks = [ip_network(each) for each in told.webhook_networks]
    mailer = None if told.smtp_url is None else Mailer.of(told.smtp_url, sender=told.mail_from)
    async with create_worker(
        told.dsn,
        webhook_networks=networks,
        mailer=mailer,
        processor=processor(told),
        public_url=told.public_url,
    ) as working:
        await working.run(stop)


def processor(told: Instructions) -> StripeProcessor | None:
    """The Stripe account of live mode, where one is configured."""
    if told.stripe_api_key is None:
        return None
    client = stripe.StripeClient(told.stripe_api_key, base_addresses={"api": told.stripe_api_url})
    return StripeProcessor(client, webhook_secret=told.stripe_webhook_secret)


def _on_stop(leave: Callable[[], None]) -> None:
    """Call `leave` when the lifeline closes."""
    loop = asyncio.get_running_loop()

    def closed() -> None:
        loop.remove_reader(_LIFELINE)
        leave()

    loop.add_reader(_LIFELINE, closed)


ROLES: Mapping[str, Callable[[Instructions], Coroutine[None, None, None]]] = {"web": web, "worker": worker}


def main() -> None:
    """Read the instructions, then play the role named on the command line."""
    told = msgspec.json.decode(sys.stdin.buffer.readline(), type=Instructions)
    log.configure(style=told.log_format, level=told.log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(ROLES[sys.argv[1]](told))


if __name__ == "__main__":
    main()
