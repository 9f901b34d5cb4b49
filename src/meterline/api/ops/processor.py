"""`POST /webhooks/stripe`: what Stripe, as the processor of live mode, tells by itself."""

from datetime import UTC, datetime
from http import HTTPStatus

import structlog
from fastapi import APIRouter, Request, Response

from meterline.gateway.stripe_processor import ForgedNotification, StripeProcessor
from meterline.store.database import Database
from meterline.usecase.hear_processor import hear

log = structlog.get_logger(__name__)

_LONGEST = 512 * 1024


def router(database: Database, processor: StripeProcessor) -> APIRouter:
    """The route, which believes nobody without a signature."""
    serving = APIRouter(include_in_schema=False)

    @serving.post("/webhooks/stripe")
    async def told(request: Request) -> Response:
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > _LONGEST:
                return Response(status_code=HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        try:
            heard = processor.heard(body, request.headers.get("stripe-signature", ""))
        except ForgedNotification as forged:
            log.warning("webhook_not_believed", why=str(forged))
            return Response(status_code=HTTPStatus.BAD_REQUEST)
        for news in heard:
            await hear(database, news, now=datetime.now(UTC).replace(microsecond=0))
        return Response(status_code=HTTPStatus.OK)

    return serving
