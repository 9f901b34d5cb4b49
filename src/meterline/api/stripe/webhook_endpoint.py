"""`/v1/webhook_endpoints`."""

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from meterline.api.stripe.call import Call, cursor
from meterline.api.stripe.error import StripeError
from meterline.api.stripe.json import Json, unix
from meterline.api.stripe.listing import list_of
from meterline.api.stripe.params import (
    Bool,
    List,
    ListParams,
    Metadata,
    Params,
    RetrieveParams,
    Text,
    Unset,
    merge_metadata,
)
from meterline.api.stripe.route import Routes
from meterline.api.stripe.version import spoken
from meterline.notice.endpoint import Payload, Secret, WebhookEndpoint, check_address, check_events
from meterline.store import delivery, row
from meterline.store import webhook_endpoint as store
from meterline.store.identifier import public, uuid7

routes = Routes("webhook_endpoints")

Events = Annotated[List[Text], Field(max_length=500)]


class EndpointCreate(Params):
    url: Text
    enabled_events: Events
    api_version: Text | None = None
    connect: Bool | None = None
    description: Unset[Text] = None
    metadata: Metadata = {}


class EndpointUpdate(Params):
    url: Text | None = None
    enabled_events: Events | None = None
    disabled: Bool | None = None
    description: Unset[Text] = None
    metadata: Metadata = {}


def render(endpoint: WebhookEndpoint) -> Json:
    """The endpoint object, without its secret."""
    return {
        "id": endpoint.id,
        "object": "webhook_endpoint",
        "api_version": endpoint.api_version,
        "application": None,
        "created": unix(endpoint.created),
        "description": endpoint.description,
        "enabled_events": list(endpoint.enabled_events),
        "livemode": endpoint.livemode,
        "metadata": dict(endpoint.metadata),
        "status": endpoint.status,
        "url": endpoint.url,
    }


@routes.post("/v1/webhook_endpoints", EndpointCreate)
async def create(call: Call[EndpointCreate]) -> Json:
    """The only answer that shows the secret."""
    asked = call.params
    if asked.connect:
        raise StripeError.invalid("There are no connected accounts to receive events from.", param="connect")
    check_address(asked.url, livemode=call.livemode, param="url")
    check_events(tuple(asked.enabled_events))
    endpoint = WebhookEndpoint(
        environment=call.environment,
        id=public("we"),
        sequence=uuid7(),
        url=asked.url,
        enabled_events=tuple(dict.fromkeys(asked.enabled_events)),
        payload="snapshot",
        api_version=None if asked.api_version is None else spoken(asked.api_version),
        description=asked.description,
        metadata=merge_metadata({}, asked.metadata),
        secrets=(Secret(value=store.new_secret()),),
        created=call.now,
        updated=call.now,
    )
    await store.add(call.tx, endpoint)
    return render(endpoint) | {"secret": endpoint.secret}


@routes.get("/v1/webhook_endpoints/{id}", RetrieveParams)
async def retrieve(call: Call[RetrieveParams]) -> Json:
    return render(_of_v1(await store.find(call.tx, call.environment, call.path["id"])))


@routes.post("/v1/webhook_endpoints/{id}", EndpointUpdate)
async def change(call: Call[EndpointUpdate]) -> Json:
    before = _of_v1(await store.lock(call.tx, call.environment, call.path["id"]))
    asked = call.params
    if asked.url is not None:
        check_address(asked.url, livemode=call.livemode, param="url")
    if asked.enabled_events is not None:
        check_events(tuple(asked.enabled_events))
    after = replace(
        before,
        url=asked.url or before.url,
        enabled_events=(
            before.enabled_events if asked.enabled_events is None else tuple(dict.fromkeys(asked.enabled_events))
        ),
        status=before.status if asked.disabled is None else ("disabled" if asked.disabled else "enabled"),
        description=asked.description if asked.sent("description") else before.description,
        metadata=merge_metadata(dict(before.metadata), asked.metadata),
        updated=call.now,
    )
    await store.save(call.tx, after)
    return render(after)


@routes.delete("/v1/webhook_endpoints/{id}", Params)
async def delete(call: Call[Params]) -> Json:
    endpoint = _of_v1(await store.lock(call.tx, call.environment, call.path["id"]))
    await store.remove(call.tx, endpoint)
    await delivery.withdraw(call.tx, endpoint=endpoint.id, now=call.now)
    return {"id": endpoint.id, "object": "webhook_endpoint", "deleted": True}


@routes.get("/v1/webhook_endpoints", ListParams)
async def listed(call: Call[ListParams]) -> Json:
    found = await store.listed(call.tx, call.environment, cursor(call.params), among=[_V1])
    data = [render(row.load(WebhookEndpoint, each)) for each in found.rows]
    return list_of(data, url=call.url, has_more=found.has_more)


_V1: Literal["snapshot"] = "snapshot"


def _of_v1(endpoint: WebhookEndpoint) -> WebhookEndpoint:
    """Endpoints of thin events exist under `/v2/core/event_destinations` only."""
    wanted: Payload = _V1
    if endpoint.payload != wanted:
        raise StripeError.invalid(
            f"No such webhook endpoint: '{endpoint.id}'", code="resource_missing", param="id", status=404
        )
    return endpoint
