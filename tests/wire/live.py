"""Live mode for tests: its processor is Stripe's, and a second environment of the same server is Stripe.

Between them is the official SDK over HTTP; both sides keep their own books.
"""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import httpx
import stripe
from sqlalchemy import text

from meterline.app import create_app
from meterline.gateway.stripe_processor import StripeProcessor
from meterline.notice.signature import signed
from meterline.store.database import Database
from meterline.worker.poll import Poll
from meterline.worker.registry import HANDLERS
from meterline.worker.wall import run_due

SECRET = "sk_live_meterlineWireTests0000000000"
WEBHOOK_SECRET = "whsec_theSecretOfTheLiveTests"


def work(dsn: str, *, rested: bool = False) -> None:
    """A worker does what is due; also what rests after a failure, where it has `rested`."""

    async def once() -> None:
        database = Database(dsn)
        await database.open()
        if rested:
            async with database.begin() as tx:
                await tx.execute(text("UPDATE due SET due_at = now(), claimed_until = NULL WHERE attempts > 0"))
        while await run_due(database, HANDLERS, now=datetime.now(UTC), lease=timedelta(seconds=30)):
            pass
        await database.close()

    asyncio.run(once())


def saved_card(upstream: stripe.StripeClient, card: str = "pm_card_visa") -> str:
    """The id of a card that is saved upstream."""
    return upstream.v1.payment_methods.attach(card, {"customer": upstream.v1.customers.create({}).id}).id


def payer(live: stripe.StripeClient, upstream: stripe.StripeClient, card: str = "pm_card_visa") -> stripe.Customer:
    """A live customer who pays with a card that is saved upstream."""
    saved = saved_card(upstream, card)
    customer = live.v1.customers.create({})
    live.v1.payment_methods.attach(saved, {"customer": customer.id})
    return live.v1.customers.update(customer.id, {"invoice_settings": {"default_payment_method": saved}})


def upstream_payments(upstream: stripe.StripeClient, attempt: str) -> list[stripe.PaymentIntent]:
    """What was asked of upstream for one of our attempts."""
    found = upstream.v1.payment_intents.list({"limit": 100}).data
    return [each for each in found if each.metadata.to_dict().get("meterline_attempt") == attempt]


def polled(dsn: str, processor: StripeProcessor) -> int:
    """How much a poll has found that was about something of ours."""

    async def once() -> int:
        database = Database(dsn)
        await database.open()
        found = await Poll(database=database, processor=processor).once(now=datetime.now(UTC))
        await database.close()
        return found

    return asyncio.run(once())


async def told(dsn: str, processor: StripeProcessor, bodies: Sequence[bytes], *, forged: bool = False) -> list[int]:
    """Webhooks with these bodies, all at once; the statuses of the answers."""
    now = datetime.now(UTC)
    secret = "whsec_other" if forged else WEBHOOK_SECRET
    app = create_app(dsn, processor=processor)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://ours", timeout=60) as ours,
    ):
        sent = [
            ours.post(
                "/webhooks/stripe",
                content=body,
                headers={"stripe-signature": signed(body, secrets=[secret], now=now)},
            )
            for body in bodies
        ]
        return [answer.status_code for answer in await asyncio.gather(*sent)]


def events(raw: httpx.Client, *types: str) -> list[bytes]:
    """The latest events upstream of each of these types, newest first, as webhooks carry them."""
    found = raw.get("/v1/events", params={"limit": 100}).json()["data"]
    return [json.dumps(each).encode() for each in found if each["type"] in types]
