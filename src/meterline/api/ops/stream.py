"""`GET /ops/stream`: the events of an environment as they happen, as server-sent events.

Each one is the same event object that `/v1/events` shows; its SSE `id` is its place in the order, and a client
that comes back with `Last-Event-ID` goes on from there.
"""

from collections.abc import AsyncIterator
from http import HTTPStatus
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from meterline.api.auth import Keys
from meterline.api.stripe import auth, route, version
from meterline.api.stripe.error import StripeError, unavailable
from meterline.api.stripe.event import render, render_thin
from meterline.api.stripe.json import encode
from meterline.api.stripe.snapshot import THIN_ONLY
from meterline.store import public_id
from meterline.store.database import TROUBLE, Database, out_of_reach
from meterline.store.feed import Feed
from meterline.store.notice import Notice

_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


def router(database: Database, keys: Keys, feed: Feed) -> APIRouter:
    """The route of the live stream."""
    serving = APIRouter()

    @serving.get("/ops/stream", tags=["events"], response_class=StreamingResponse)
    async def stream(request: Request, customer: str | None = None) -> Response:
        try:
            key = await auth.authenticate(keys, request.headers)
            auth.authorize(key, "events", "GET")
            spoken = version.spoken(request.headers.get("stripe-version"))
            after = _position(request.headers.get("last-event-id") or request.query_params.get("after"))
            whom = await _customer(database, key.environment, customer)
        except StripeError as error:
            return route.answer(error, {})
        except TROUBLE as error:
            if not out_of_reach(error):
                raise
            return route.answer(unavailable(), {})
        told = lines(feed, key.environment, after=after, customer_id=whom, spoken=spoken)
        return StreamingResponse(told, media_type="text/event-stream", headers=_HEADERS)

    return serving


async def lines(
    feed: Feed, environment: str, *, after: int | None, customer_id: UUID | None, spoken: str
) -> AsyncIterator[bytes]:
    """The stream's bytes; a comment line now and then keeps proxies from hanging up."""
    yield b": here\n\n"
    async for batch in feed.follow(environment, after=after, customer_id=customer_id):
        if not batch:
            yield b": still here\n\n"
        for told in batch:
            yield _line(told, spoken)


def _line(told: Notice, spoken: str) -> bytes:
    assert told.position is not None
    thin = told.type.startswith(THIN_ONLY)
    body = render_thin(told, fetched=True) if thin else render(told, version=spoken, waiting=0)
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (told.position, told.type.encode(), encode(body))


def _position(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise StripeError.invalid(f"Invalid Last-Event-ID: {text[:40]}", param="after")
    return int(text)


async def _customer(database: Database, environment: str, customer: str | None) -> UUID | None:
    if customer is None:
        return None
    async with database.begin() as tx:
        owner = await public_id.owner(tx, environment=environment, kind="customer", id=customer)
    if owner is None:
        raise StripeError.invalid(
            f"No such customer: '{customer}'",
            code="resource_missing",
            param="customer",
            status=HTTPStatus.BAD_REQUEST,
        )
    return owner
