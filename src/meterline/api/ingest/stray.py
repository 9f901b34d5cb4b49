"""`GET /ingest/rejected`, `GET /ingest/parked` and `POST /ingest/parked/replay`."""

from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from meterline.api.stripe.call import Call, cursor
from meterline.api.stripe.json import Json, unix
from meterline.api.stripe.listing import list_of
from meterline.api.stripe.params import Bool, ListParams, Natural, Params, Text
from meterline.api.stripe.route import Routes
from meterline.refusal import Refusal
from meterline.store import stray as store
from meterline.usecase.replay_parked import replay_parked

routes = Routes("meter_events")


class StrayList(ListParams):
    code: Text | None = None
    event_name: Text | None = None


class Replay(Params):
    code: Text | None = None
    event_name: Text | None = None
    any_time: Bool = False
    after: Text | None = None
    limit: Annotated[Natural, Field(ge=1, le=5_000)] = 1_000


def render(found: Any) -> Json:
    """A stray event: what was told, why it was not counted, when it was first and last seen."""
    return {
        "id": found.id,
        "object": "stray_event",
        "code": found.code,
        "event": found.told,
        "event_name": found.event_name,
        "fate": found.fate,
        "field": found.field,
        "first_seen": unix(found.received_at),
        "identifier": found.identifier,
        "last_seen": unix(found.last_seen),
        "livemode": found.environment == "live",
        "message": found.message,
        "seen": found.seen,
    }


@routes.get("/ingest/rejected", StrayList)
async def rejected(call: Call[StrayList]) -> Json:
    """Events that cannot be counted as they are, newest first; `summary` has them by reason."""
    return await _listed(call, "rejected")


@routes.get("/ingest/parked", StrayList)
async def parked(call: Call[StrayList]) -> Json:
    """Events that can be replayed once their cause is gone, newest first; `summary` has them by reason."""
    return await _listed(call, "parked")


@routes.post("/ingest/parked/replay", Replay)
async def replay(call: Call[Replay]) -> Json:
    """Try parked events again, oldest first. Each is counted once, however often this is called.

    `next` is to be given as `after` in the next call; null when all were tried.
    """
    asked = call.params
    done = await replay_parked(
        call.tx,
        environment=call.environment,
        code=asked.code,
        event_name=asked.event_name,
        any_time=asked.any_time,
        after=_position(asked.after),
        limit=asked.limit,
        now=call.now,
    )
    return {
        "object": "parked_replay",
        "accepted": done.accepted,
        "duplicate": done.duplicate,
        "next": None if done.next is None else str(done.next),
        "parked": done.parked,
    }


def _position(text: str | None) -> UUID | None:
    if text is None:
        return None
    try:
        return UUID(text)
    except ValueError:
        raise Refusal("Invalid after: give the `next` of an earlier answer.", param="after") from None


async def _listed(call: Call[StrayList], fate: str) -> Json:
    asked = call.params
    found = await store.listed(
        call.tx, call.environment, cursor(asked), fate=fate, code=asked.code, event_name=asked.event_name
    )
    body = list_of([render(each) for each in found.rows], url=call.url, has_more=found.has_more)
    summary = await store.summary(call.tx, call.environment, fate=fate)
    body["summary"] = [
        each | {"first_seen": unix(each["first_seen"]), "last_seen": unix(each["last_seen"])} for each in summary
    ]
    return body
