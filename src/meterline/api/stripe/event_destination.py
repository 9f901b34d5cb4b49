"""`/v2/core/event_destinations`: the same endpoints in v2's spelling, thin ones included."""

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from meterline.api.stripe import v2
from meterline.api.stripe.call import Call
from meterline.api.stripe.error import StripeError
from meterline.api.stripe.event import render_thin
from meterline.api.stripe.json import Json
from meterline.api.stripe.params import Hash, List, Params, Text, merge_metadata
from meterline.api.stripe.route import Routes
from meterline.api.stripe.snapshot import Related, reports
from meterline.api.stripe.version import LATEST, spoken
from meterline.api.stripe.webhook_endpoint import Events
from meterline.notice.endpoint import (
    PING,
    Ping,
    Secret,
    Status,
    StripePayload,
    WebhookEndpoint,
    check_address,
    check_events,
)
from meterline.refusal import Refusal
from meterline.store import delivery, notice, row
from meterline.store import webhook_endpoint as store
from meterline.store.identifier import public, uuid7

routes = Routes("event_destinations")

_THESE: tuple[StripePayload, ...] = ("snapshot", "thin")
"""What endpoints of the other dialect get is shown there alone."""

_OBJECT = "v2.core.event_destination"
_URL = "webhook_endpoint.url"
_SECRET = "webhook_endpoint.signing_secret"  # noqa: S105 a member's name

reports(
    Ping,
    data=lambda _: None,
    related=lambda ping: Related(id=ping.id, type=_OBJECT, url=f"/v2/core/event_destinations/{ping.id}"),
)


class Address(Hash):
    url: Text


class Included(Params):
    include: List[Literal["webhook_endpoint.signing_secret", "webhook_endpoint.url"]] = []


class DestinationCreate(Included):
    name: Text
    type: Literal["webhook_endpoint", "amazon_eventbridge", "azure_event_grid"]
    event_payload: StripePayload
    enabled_events: Events
    description: str = ""
    events_from: List[Text] = ["@self"]
    metadata: dict[str, Annotated[str, Field(max_length=500)]] = {}
    snapshot_api_version: Text | None = None
    webhook_endpoint: Address | None = None


class DestinationUpdate(Included):
    name: Text | None = None
    description: str | None = None
    enabled_events: Events | None = None
    metadata: dict[str, Annotated[str, Field(max_length=500)] | None] = {}
    webhook_endpoint: Address | None = None


class DestinationList(v2.PageParams):
    include: List[Literal["webhook_endpoint.url"]] = []


def render(endpoint: WebhookEndpoint, *, include: list[str]) -> Json:
    """The destination object; its address and its secret only where they were asked for."""
    snapshot = endpoint.payload == "snapshot"
    disabled = {"disabled": {"reason": "user"}} if endpoint.status == "disabled" else None
    return {
        "id": endpoint.id,
        "object": _OBJECT,
        "created": v2.timestamp(endpoint.created),
        "description": endpoint.description or "",
        "enabled_events": list(endpoint.enabled_events),
        "event_payload": endpoint.payload,
        "events_from": ["@self"],
        "livemode": endpoint.livemode,
        "metadata": dict(endpoint.metadata),
        "name": endpoint.name or "",
        "snapshot_api_version": (endpoint.api_version or LATEST) if snapshot else None,
        "status": endpoint.status,
        "status_details": disabled,
        "type": "webhook_endpoint",
        "updated": v2.timestamp(endpoint.updated),
        "webhook_endpoint": {
            "signing_secret": endpoint.secret if _SECRET in include else None,
            "url": endpoint.url if _URL in include else None,
        },
    }


@routes.post("/v2/core/event_destinations", DestinationCreate)
async def create(call: Call[DestinationCreate]) -> Json:
    asked = call.params
    if asked.type != "webhook_endpoint":
        raise StripeError.invalid(f"Destinations of type {asked.type} are not supported here.", param="type")
    if asked.webhook_endpoint is None:
        raise StripeError.invalid(
            "Missing required param: webhook_endpoint.", code="parameter_missing", param="webhook_endpoint"
        )
    if asked.events_from != ["@self"]:
        raise StripeError.invalid("Events come from `@self` only.", param="events_from")
    if asked.event_payload == "thin" and asked.snapshot_api_version is not None:
        raise StripeError.invalid("Thin events have no API version.", param="snapshot_api_version")
    check_address(asked.webhook_endpoint.url, livemode=call.livemode, param="webhook_endpoint.url")
    check_events(tuple(asked.enabled_events))
    version = asked.snapshot_api_version
    endpoint = WebhookEndpoint(
        environment=call.environment,
        id=public("ed"),
        sequence=uuid7(),
        url=asked.webhook_endpoint.url,
        enabled_events=tuple(dict.fromkeys(asked.enabled_events)),
        payload=asked.event_payload,
        api_version=None if version is None else spoken(version),
        name=asked.name,
        description=asked.description or None,
        metadata=asked.metadata,
        secrets=(Secret(value=store.new_secret()),),
        created=call.now,
        updated=call.now,
    )
    await store.add(call.tx, endpoint)
    return render(endpoint, include=list(asked.include))


@routes.get("/v2/core/event_destinations/{id}", Included)
async def retrieve(call: Call[Included]) -> Json:
    found = await store.find(call.tx, call.environment, call.path["id"], among=_THESE)
    return render(found, include=_readable(call.params))


@routes.post("/v2/core/event_destinations/{id}", DestinationUpdate)
async def change(call: Call[DestinationUpdate]) -> Json:
    before = await store.lock(call.tx, call.environment, call.path["id"], among=_THESE)
    asked = call.params
    if asked.webhook_endpoint is not None:
        check_address(asked.webhook_endpoint.url, livemode=call.livemode, param="webhook_endpoint.url")
    if asked.enabled_events is not None:
        check_events(tuple(asked.enabled_events))
    merged = {key: text or "" for key, text in asked.metadata.items()}
    after = replace(
        before,
        name=asked.name or before.name,
        description=before.description if asked.description is None else asked.description or None,
        url=before.url if asked.webhook_endpoint is None else asked.webhook_endpoint.url,
        enabled_events=(
            before.enabled_events if asked.enabled_events is None else tuple(dict.fromkeys(asked.enabled_events))
        ),
        metadata=merge_metadata(dict(before.metadata), merged),
        updated=call.now,
    )
    await store.save(call.tx, after)
    return render(after, include=_readable(asked))


@routes.delete("/v2/core/event_destinations/{id}", Params)
async def delete(call: Call[Params]) -> Json:
    endpoint = await store.lock(call.tx, call.environment, call.path["id"], among=_THESE)
    await store.remove(call.tx, endpoint)
    await delivery.withdraw(call.tx, endpoint=endpoint.id, now=call.now)
    return {"id": endpoint.id, "object": _OBJECT}


@routes.post("/v2/core/event_destinations/{id}/enable", Included)
async def enable(call: Call[Included]) -> Json:
    return await _become(call, "enabled")


@routes.post("/v2/core/event_destinations/{id}/disable", Included)
async def disable(call: Call[Included]) -> Json:
    return await _become(call, "disabled")


@routes.post("/v2/core/event_destinations/{id}/ping", Params)
async def ping(call: Call[Params]) -> Json:
    """Send a test notice to this destination alone."""
    endpoint = await store.find(call.tx, call.environment, call.path["id"], among=_THESE)
    if endpoint.status == "disabled":
        raise Refusal("The destination is disabled: enable it before pinging it.")
    id = await notice.add(
        call.tx,
        environment=call.environment,
        customer_id=None,
        type=PING,
        subject=Ping(id=endpoint.id),
        now=call.now,
    )
    assert id is not None
    return render_thin(await notice.find(call.tx, call.environment, id, now=call.now), fetched=True)


@routes.get("/v2/core/event_destinations", DestinationList)
async def listed(call: Call[DestinationList]) -> Json:
    asked = call.params
    found = await store.listed(call.tx, call.environment, v2.cursor(asked), among=_THESE)
    data = [render(row.load(WebhookEndpoint, each), include=list(asked.include)) for each in found.rows]
    filters = [("include[]", each) for each in asked.include]
    return v2.page_of(data, url=call.url, params=asked, has_more=found.has_more, filters=filters)


async def _become(call: Call[Included], status: Status) -> Json:
    before = await store.lock(call.tx, call.environment, call.path["id"], among=_THESE)
    after = before if before.status == status else replace(before, status=status, updated=call.now)
    await store.save(call.tx, after)
    if status == "enabled":
        await delivery.kick(call.tx)
    return render(after, include=_readable(call.params))


def _readable(asked: Included) -> list[str]:
    """The secret is shown when the destination is made, and never again."""
    return [each for each in asked.include if each != _SECRET]
