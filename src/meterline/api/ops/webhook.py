"""`/ops` for webhooks: the delivery log, sending again, rolling a secret."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from meterline.api.stripe.call import Call, cursor
from meterline.api.stripe.json import Json, unix, unix_or_none
from meterline.api.stripe.listing import list_of
from meterline.api.stripe.params import Instant, Int, List, ListParams, Natural, Params, Text
from meterline.api.stripe.route import Routes
from meterline.notice.endpoint import LONGEST_OVERLAP, rolled
from meterline.refusal import Refusal
from meterline.store import delivery, notice, row, webhook_endpoint
from meterline.store.delivery import Attempt, Delivery

routes = Routes("webhook_endpoints")

_LONGEST_OVERLAP_S = int(LONGEST_OVERLAP.total_seconds())


class SecretRoll(Params):
    expires_in: Annotated[Natural, Field(le=_LONGEST_OVERLAP_S)] = 0


class Replay(Params):
    since: Instant
    until: Instant | None = None
    types: List[Text] | None = None


class Resend(Params):
    webhook_endpoint: Text


class DeliveryList(Params):
    status: Literal["pending", "delivered", "failed", "withdrawn"] | None = None
    limit: Annotated[Int, Field(ge=1, le=100)] = 20
    before: Natural | None = None


def render_delivery(found: Delivery) -> Json:
    """A delivery. `next_attempt` is null once it is settled."""
    return {
        "object": "delivery",
        "attempts": found.attempts,
        "event": found.notice,
        "next_attempt": unix(found.due_at) if found.status == "pending" else None,
        "position": found.position,
        "settled_at": unix_or_none(found.settled_at),
        "status": found.status,
        "subject": found.object_id,
        "webhook_endpoint": found.endpoint,
    }


def render_attempt(found: Attempt) -> Json:
    """One line of the delivery log."""
    response = {
        "status": found.response_status,
        "headers": dict(found.response_headers or {}),
        "body": found.response_body,
    }
    return {
        "id": found.id,
        "object": "delivery_attempt",
        "attempt": found.attempt,
        "created": unix(found.started_at),
        "duration_ms": found.duration_ms,
        "error": found.error,
        "event": found.notice,
        "request": {"url": found.url, "headers": dict(found.request_headers), "body": found.request_body},
        "response": None if found.response_status is None else response,
        "webhook_endpoint": found.endpoint,
    }


@routes.post("/ops/webhook_endpoints/{id}/roll_secret", SecretRoll)
async def roll(call: Call[SecretRoll]) -> Json:
    """A new signing secret, shown here only; the old one signs beside it for `expires_in` seconds."""
    before = await webhook_endpoint.lock(call.tx, call.environment, call.path["id"])
    after = rolled(
        before,
        secret=webhook_endpoint.new_secret(),
        overlap=timedelta(seconds=call.params.expires_in),
        now=call.now,
    )
    await webhook_endpoint.save(call.tx, after)
    return {"id": after.id, "object": "webhook_endpoint.secret", "secret": after.secret}


@routes.get("/ops/webhook_endpoints/{id}/deliveries", DeliveryList)
async def deliveries(call: Call[DeliveryList]) -> Json:
    endpoint = await webhook_endpoint.find(call.tx, call.environment, call.path["id"])
    asked = call.params
    found = await delivery.listed(
        call.tx,
        call.environment,
        endpoint.id,
        status=asked.status,
        limit=asked.limit + 1,
        before=asked.before,
    )
    shown = [render_delivery(each) for each in found[: asked.limit]]
    return list_of(shown, url=call.url, has_more=len(found) > asked.limit)


@routes.get("/ops/webhook_endpoints/{id}/attempts", ListParams)
async def attempts(call: Call[ListParams]) -> Json:
    """The delivery log of one endpoint, newest first."""
    endpoint = await webhook_endpoint.find(call.tx, call.environment, call.path["id"])
    found = await delivery.attempts(call.tx, call.environment, cursor(call.params), endpoint=endpoint.id)
    shown = [render_attempt(row.load(Attempt, each)) for each in found.rows]
    return list_of(shown, url=call.url, has_more=found.has_more)


@routes.get("/ops/events/{id}/attempts", ListParams)
async def attempts_of_event(call: Call[ListParams]) -> Json:
    """The delivery log of one event over all endpoints, newest first."""
    told = await notice.find(call.tx, call.environment, call.path["id"], now=call.now)
    found = await delivery.attempts(call.tx, call.environment, cursor(call.params), notice_id=told.id)
    shown = [render_attempt(row.load(Attempt, each)) for each in found.rows]
    return list_of(shown, url=call.url, has_more=found.has_more)


@routes.post("/ops/events/{id}/resend", Resend)
async def resend(call: Call[Resend]) -> Json:
    """Send one event to one endpoint again, delivered or not, subscribed to or not."""
    told = await notice.find(call.tx, call.environment, call.path["id"], now=call.now)
    endpoint = await webhook_endpoint.find(call.tx, call.environment, call.params.webhook_endpoint)
    if told.position is None:
        raise Refusal("The event is about to be sent for the first time.")
    await delivery.resend(call.tx, endpoint=endpoint.id, told=told, now=call.now)
    return await _one(call, endpoint.id, told.position)


async def _one(call: Call[Resend], endpoint: str, position: int) -> Json:
    [found] = await delivery.listed(call.tx, call.environment, endpoint, status=None, limit=1, before=position + 1)
    return render_delivery(found)


@routes.post("/ops/webhook_endpoints/{id}/replay", Replay)
async def replay(call: Call[Replay]) -> Json:
    """Send every event of a range of time to one endpoint again, in order; `types` narrows it."""
    endpoint = await webhook_endpoint.lock(call.tx, call.environment, call.path["id"])
    asked = call.params
    until = call.now if asked.until is None else asked.until
    if until <= asked.since:
        raise Refusal("`until` must be later than `since`.", param="until")
    count = await delivery.replay(
        call.tx,
        environment=call.environment,
        endpoint=endpoint.id,
        since=asked.since,
        until=until,
        types=asked.types,
        now=call.now,
    )
    return {"object": "replay", "count": count, "webhook_endpoint": endpoint.id}
