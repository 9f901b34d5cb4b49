"""`/v1/events` and `/v2/core/events`: what happened in the last 30 days, and the bodies of webhooks."""

from datetime import datetime
from typing import Annotated

from pydantic import Field
from sqlalchemy import ColumnElement

from meterline.api.stripe import v2
from meterline.api.stripe.call import Call, cursor
from meterline.api.stripe.json import Json, encode, unix
from meterline.api.stripe.listing import list_of
from meterline.api.stripe.params import (
    Bool,
    Hash,
    InstantFilter,
    InstantRange,
    List,
    ListParams,
    RetrieveParams,
    Text,
)
from meterline.api.stripe.route import Routes
from meterline.api.stripe.snapshot import THIN_ONLY, data, previous_attributes, related, rendered
from meterline.api.stripe.version import LATEST
from meterline.notice.endpoint import WebhookEndpoint
from meterline.refusal import Missing, Refusal
from meterline.store import delivery
from meterline.store import notice as store
from meterline.store.notice import Filter, Notice
from meterline.store.row import load

routes = Routes("events")

Types = Annotated[List[Text], Field(max_length=20)]


class EventList(ListParams):
    created: InstantFilter | None = None
    delivery_success: Bool | None = None
    type: Text | None = None
    types: Types | None = None


class TimestampRange(Hash):
    gt: v2.Timestamp | None = None
    gte: v2.Timestamp | None = None
    lt: v2.Timestamp | None = None
    lte: v2.Timestamp | None = None


class ThinList(v2.PageParams):
    created: TimestampRange | None = None
    object_id: Text | None = None
    types: Types | None = None


def render(told: Notice, *, version: str, waiting: int) -> Json:
    """The event object with the whole object in it. `waiting` counts the endpoints that do not have it yet."""
    shown: Json = {"object": rendered(told, version=version)}
    before = previous_attributes(told, version=version)
    if before is not None:
        shown["previous_attributes"] = before
    return {
        "id": told.id,
        "object": "event",
        "api_version": version,
        "created": unix(told.created),
        "data": shown,
        "livemode": told.environment == "live",
        "pending_webhooks": waiting,
        "request": {"id": told.request_id, "idempotency_key": told.idempotency_key},
        "type": told.type,
    }


def render_thin(told: Notice, *, fetched: bool) -> Json:
    """The thin form: what happened and to which object. A fetched one also carries its data."""
    thin_only = told.type.startswith(THIN_ONLY)
    points_at = related(told, version=LATEST)
    reason = {
        "type": "request",
        "request": {"id": told.request_id, "idempotency_key": told.idempotency_key},
    }
    body: Json = {
        "id": told.id,
        "object": "v2.core.event",
        "context": None,
        "created": v2.timestamp(told.created),
        "livemode": told.environment == "live",
        "reason": None if told.request_id is None else reason,
        "related_object": None if points_at is None else points_at.rendered(),
        "snapshot_event": None if thin_only else told.id,
        "type": told.type if thin_only else f"v1.{told.type}",
    }
    if points_at is None:
        del body["related_object"]
    if fetched:
        carried = data(told)
        if carried is not None:
            body["data"] = carried
    return body


def payload(told: Notice, endpoint: WebhookEndpoint, waiting: int) -> bytes:
    """The body of a webhook, in the form and the API version that the endpoint asked for."""
    if endpoint.payload == "thin" or told.type.startswith(THIN_ONLY):
        return encode(render_thin(told, fetched=False))
    return encode(render(told, version=endpoint.api_version or LATEST, waiting=waiting))


@routes.get("/v1/events/{id}", RetrieveParams)
async def retrieve(call: Call[RetrieveParams]) -> Json:
    told = await store.find(call.tx, call.environment, call.path["id"], now=call.now)
    if told.type.startswith(THIN_ONLY):
        raise Missing("event", told.id, param="id", subject=True)
    [body] = await _rendered(call, [told])
    return body


@routes.get("/v1/events", EventList)
async def listed(call: Call[EventList]) -> Json:
    asked = call.params
    if asked.type is not None and asked.types is not None:
        raise Refusal("You may only specify one of these parameters: type, types.")
    wanted = Filter(
        types=[asked.type] if asked.type is not None else asked.types,
        snapshot=True,
        delivered=asked.delivery_success,
        bounds=_bounds(asked.created),
    )
    found = await store.listed(call.tx, call.environment, cursor(asked), wanted, now=call.now)
    data = await _rendered(call, [load(Notice, each) for each in found.rows])
    return list_of(data, url=call.url, has_more=found.has_more)


async def _rendered(call: Call[RetrieveParams] | Call[EventList], told: list[Notice]) -> list[Json]:
    positions = [each.position for each in told if each.position is not None]
    waiting = await delivery.pending(call.tx, positions)
    return [render(each, version=call.caller.version, waiting=waiting.get(each.position or 0, 0)) for each in told]


def _bounds(created: InstantRange | TimestampRange | None) -> list[ColumnElement[bool]]:
    column = store.notice.c.created
    bounds: list[ColumnElement[bool]] = []
    if created is None:
        return bounds
    if created.gt is not None:
        bounds.append(column > created.gt)
    if created.gte is not None:
        bounds.append(column >= created.gte)
    if created.lt is not None:
        bounds.append(column < created.lt)
    if created.lte is not None:
        bounds.append(column <= created.lte)
    return bounds


@routes.get("/v2/core/events/{id}", RetrieveParams)
async def retrieve_thin(call: Call[RetrieveParams]) -> Json:
    told = await store.find(call.tx, call.environment, call.path["id"], now=call.now)
    return render_thin(told, fetched=True)


@routes.get("/v2/core/events", ThinList)
async def listed_thin(call: Call[ThinList]) -> Json:
    asked = call.params
    types = asked.types and [*asked.types, *(each.removeprefix("v1.") for each in asked.types)]
    wanted = Filter(types=types, object_id=asked.object_id, bounds=_bounds(asked.created))
    found = await store.listed(call.tx, call.environment, v2.cursor(asked), wanted, now=call.now)
    shown = [render_thin(load(Notice, each), fetched=True) for each in found.rows]
    return v2.page_of(shown, url=call.url, params=asked, has_more=found.has_more, filters=_repeated(asked))


def _repeated(asked: ThinList) -> list[tuple[str, str]]:
    filters = [("types[]", each) for each in asked.types or ()]
    if asked.object_id is not None:
        filters.append(("object_id", asked.object_id))
    created = asked.created
    bounds: dict[str, datetime | None] = {} if created is None else created.model_dump()
    filters += [(f"created[{name}]", v2.timestamp(at)) for name, at in bounds.items() if at is not None]
    return filters
