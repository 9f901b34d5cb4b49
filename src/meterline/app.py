"""Wires the processes: a database in, an ASGI application or a worker out."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network, IPv6Network
from typing import Any

import structlog
import uvicorn
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from meterline.api import health, hot, link, outgoing
from meterline.api.auth import Keys
from meterline.api.hot_protocol import HotProtocol
from meterline.api.ingest import correction, late, policy, stray
from meterline.api.ingest import event as ingest_event
from meterline.api.metric import RequestMetrics
from meterline.api.ops import alert as ops_alert
from meterline.api.ops import books, invariant, seller, stream, tax_policy, webhook
from meterline.api.ops import discount as ops_discount
from meterline.api.ops import processor as ops_processor
from meterline.api.stripe import (
    account,
    alert,
    balance_transaction,
    charge,
    checkout_session,
    coupon,
    credit_balance,
    credit_grant,
    credit_note,
    customer,
    dispute,
    event,
    event_destination,
    invoice,
    invoice_item,
    invoice_line,
    invoice_payment,
    invoice_preview,
    meter,
    meter_event_adjustment,
    meter_event_v2,
    payment_intent,
    payment_method,
    payout,
    portal_configuration,
    portal_session,
    price,
    product,
    promotion_code,
    refund,
    route,
    setup_intent,
    statement,
    subscription,
    subscription_item,
    tax_rate,
    test_clock,
    webhook_endpoint,
)
from meterline.api.stripe.error import internal, unknown_url
from meterline.api.wallet import route as wallet_route
from meterline.api.wallet.resources import RESOURCES as WALLET_RESOURCES
from meterline.gateway.mail import Mailer
from meterline.gateway.stripe_processor import StripeProcessor
from meterline.gateway.webhook import Reach, Sender
from meterline.portal import door as portal_door
from meterline.portal import download, top_up
from meterline.portal import hosted as portal_hosted
from meterline.portal.page import away
from meterline.store.database import TROUBLE, Database, out_of_reach
from meterline.store.feed import Feed
from meterline.usecase.ask_processor import PROCESSORS
from meterline.usecase.gate_calls import Gatekeeper
from meterline.usecase.ingest_events import Ingest
from meterline.usecase.ingest_events import Settings as IngestSettings
from meterline.usecase.keep_usage import plan_upkeep
from meterline.worker.delivery import Deliveries
from meterline.worker.loop import Worker
from meterline.worker.mail import Mails
from meterline.worker.poll import Poll
from meterline.worker.registry import HANDLERS

log = structlog.get_logger(__name__)

RESOURCES = [
    meter.routes,
    meter_event_v2.routes,
    meter_event_adjustment.routes,
    ingest_event.routes,
    stray.routes,
    correction.routes,
    late.routes,
    policy.routes,
    account.routes,
    customer.routes,
    ops_discount.routes,
    coupon.routes,
    promotion_code.routes,
    balance_transaction.routes,
    payment_method.routes,
    invoice_preview.routes,
    invoice.routes,
    invoice_line.routes,
    invoice_item.routes,
    invoice_payment.routes,
    payment_intent.routes,
    charge.routes,
    refund.routes,
    dispute.routes,
    statement.routes,
    payout.routes,
    setup_intent.routes,
    checkout_session.routes,
    portal_configuration.routes,
    portal_session.routes,
    credit_grant.routes,
    credit_balance.routes,
    credit_note.routes,
    price.routes,
    product.routes,
    tax_rate.routes,
    subscription.routes,
    subscription_item.routes,
    test_clock.routes,
    event.routes,
    webhook_endpoint.routes,
    event_destination.routes,
    webhook.routes,
    alert.routes,
    ops_alert.routes,
    invariant.routes,
    books.routes,
    tax_policy.routes,
    seller.routes,
]


def create_app(
    dsn: str,
    *,
    processor: StripeProcessor | None = None,
    public_url: str | None = None,
    intake: IngestSettings | None = None,
) -> hot.Application:
    """The application of one web process on the database at `dsn`.

    `processor` takes the money of live mode; `public_url` is where hosted pages are reached; `intake` says how
    much usage is taken at once.
    """
    _connect(processor, public_url)
    database = Database(dsn)
    keys = Keys(database)
    ingest = Ingest(database, intake)
    gatekeeper = Gatekeeper(database)
    behind = wallet_route.Behind(database=database, keys=keys, ingest=ingest, gatekeeper=gatekeeper)
    feed = Feed(database)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await database.open()
        await ingest.start()
        await gatekeeper.start()
        yield
        await gatekeeper.stop()
        await ingest.stop()
        await feed.close()
        await database.close()

    app = hot.Application(title="Meterline", lifespan=lifespan, redirect_slashes=False)
    app.answer_first(hot.routes(behind))
    app.add_middleware(RequestMetrics)
    app.include_router(health.router(database))
    app.include_router(portal_hosted.router(database))
    app.include_router(download.router(database, public_url=public_url))
    app.include_router(portal_door.router(database, public_url=public_url))
    app.include_router(top_up.router(database))
    if processor is not None:
        app.include_router(ops_processor.router(database, processor))
    app.include_router(route.router(database, keys, RESOURCES))
    app.include_router(stream.router(database, keys, feed))
    app.state.end_streams = feed.end
    app.include_router(wallet_route.router(behind, WALLET_RESOURCES))

    @app.exception_handler(HTTPException)
    async def refuse(request: Request, error: HTTPException) -> Response:
        missing = error.status_code in (404, 405)
        refused = unknown_url(request.method, request.url.path) if missing else internal()
        return route.answer(refused, route.reply_headers(request))

    async def come_back(request: Request, error: Exception) -> Response:
        """For the pages and the processor's news, which have no envelope for errors."""
        if not out_of_reach(error):
            raise error
        log.warning("database_lost", path=request.url.path, error=repr(error))
        return away()

    for kind in TROUBLE:
        app.add_exception_handler(kind, come_back)
    return app


def _connect(processor: StripeProcessor | None, public_url: str | None) -> None:
    """Tell this process who takes money, and under which address it is known."""
    if processor is not None:
        PROCESSORS[processor.name] = processor
    if public_url is not None:
        link.HOME.configured = public_url.rstrip("/")


def web_server(app: Any, **settings: Any) -> uvicorn.Server:
    """The HTTP server of one web process, for what `create_app` made; `settings` are uvicorn's."""
    config = uvicorn.Config(
        app,
        http=HotProtocol,
        loop="uvloop",
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="on",
        **settings,
    )
    return uvicorn.Server(config)


@asynccontextmanager
async def create_worker(
    dsn: str,
    *,
    webhook_networks: Sequence[IPv4Network | IPv6Network] = (),
    mailer: Mailer | None = None,
    processor: StripeProcessor | None = None,
    public_url: str | None = None,
    lease: timedelta = timedelta(seconds=60),
) -> AsyncIterator[Worker]:
    """The worker of one worker process on the database at `dsn`.

    Webhooks go to public addresses, in test environments to loopback too, and to `webhook_networks` always. Without a
    `mailer` e-mails wait. `lease` is how long a webhook under way stays claimed by a worker that died.
    """
    _connect(processor, public_url)
    database = Database(dsn)
    await database.open()
    live = Reach(allowed=webhook_networks)
    test = Reach(loopback=True, allowed=webhook_networks)
    try:
        async with Sender(live=live, test=test) as sender:
            deliveries = Deliveries(database=database, sender=sender, render=outgoing.payload, lease=lease)
            await plan_upkeep(database, now=datetime.now(UTC))
            mails = [] if mailer is None else [Mails(database=database, mailer=mailer).run]
            polls = [] if processor is None else [Poll(database=database, processor=processor).run]
            yield Worker(database=database, handlers=HANDLERS, beside=[deliveries.run, *mails, *polls])
    finally:
        await database.close()
