"""`/webhooks`: who is told what happens, and tries of it."""

from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from meterline.api.wallet import notice_view
from meterline.api.wallet.params import Params, Text
from meterline.api.wallet.problem import Problem
from meterline.api.wallet.route import Call, Json, Routes
from meterline.notice.endpoint import (
    ALL_WEBHOOKS,
    EVERYTHING,
    LONGEST_OVERLAP,
    TEST,
    Payload,
    Secret,
    TopicTest,
    WebhookEndpoint,
    check_address,
    check_topics,
    rolled,
)
from meterline.notice.topic import TOPICS
from meterline.refusal import Missing, Refusal
from meterline.store import delivery, notice
from meterline.store import webhook_endpoint as store
from meterline.store.identifier import public, uuid7

routes = Routes("webhook_endpoints")

_OURS: Payload = "wallet"
_THESE = (_OURS,)

Url = Annotated[str, Field(min_length=1, max_length=2000)]
Topics = Annotated[list[Text], Field(min_length=1, max_length=100)]


class WebhookCreate(Params):
    url: Url
    topics: Topics | None = None
    connect: bool | None = None
    enabled: bool | None = None


class WebhookPatch(Params):
    url: Url | None = None
    topics: Topics | None = None
    enabled: bool | None = None


class WebhookList(Params):
    enabled: bool | None = None
    connect: bool | None = None


class Rotation(Params):
    overlap_s: Annotated[int, Field(ge=0, le=int(LONGEST_OVERLAP.total_seconds()))] = 3600


class TestSend(Params):
    """The data of the test; without any, an example of the topic."""

    model_config = ConfigDict(extra="allow", frozen=True)


def render(endpoint: WebhookEndpoint) -> Json:
    """A destination, without its secret."""
    return {
        "id": endpoint.id,
        "url": endpoint.url,
        "topics": list(endpoint.enabled_events),
        "connect": False,
        "enabled": endpoint.status == "enabled",
        "created_at": endpoint.created.isoformat(),
        "updated_at": endpoint.updated.isoformat(),
    }


@routes.post("/webhooks", WebhookCreate, status=201)
async def create(call: Call[WebhookCreate]) -> Json:
    """Make a destination. The only answer, besides that to a rotation, that shows its secret."""
    asked = call.params
    if asked.connect:
        raise Refusal("There are no connected accounts to be told of.", code="connect_unavailable", param="connect")
    chosen = tuple(dict.fromkeys(asked.topics or [EVERYTHING]))
    check_address(asked.url, livemode=call.environment == "live", param="url")
    check_topics(chosen)
    new = WebhookEndpoint(
        environment=call.environment,
        id=public("whd"),
        sequence=uuid7(),
        url=asked.url,
        enabled_events=chosen,
        payload=_OURS,
        api_version=None,
        status="disabled" if asked.enabled is False else "enabled",
        secrets=(Secret(value=store.new_secret()),),
        created=call.now,
        updated=call.now,
    )
    await store.add(call.tx, new)
    return render(new) | {"secret": new.secret}


@routes.get("/webhooks", WebhookList)
async def listed(call: Call[WebhookList]) -> Json:
    """The destinations, oldest first."""
    asked = call.params
    found = [] if asked.connect else await store.all_of(call.tx, call.environment, among=_THESE)
    items = [render(each) for each in found if asked.enabled in (None, each.status == "enabled")]
    return {"items": items, "total_count": len(items)}


@routes.get("/webhooks/topics", Params)
async def topics(_: Call[Params]) -> Json:
    """The topics, and when each is told."""
    return {"items": [{"topic": name, "told_when": when} for name, when in TOPICS.items()], "total_count": len(TOPICS)}


@routes.get("/webhooks/{webhook}", Params)
async def retrieve(call: Call[Params]) -> Json:
    """A destination."""
    return render(await store.find(call.tx, call.environment, call.path["webhook"], among=_THESE))


@routes.patch("/webhooks/{webhook}", WebhookPatch)
async def change(call: Call[WebhookPatch]) -> Json:
    """Change where a destination is, what it is told, or whether it is."""
    before = await store.lock(call.tx, call.environment, call.path["webhook"], among=_THESE)
    asked = call.params
    if asked.url is not None:
        check_address(asked.url, livemode=before.livemode, param="url")
    chosen = before.enabled_events if asked.topics is None else tuple(dict.fromkeys(asked.topics))
    check_topics(chosen)
    after = replace(
        before,
        url=asked.url or before.url,
        enabled_events=chosen,
        status=before.status if asked.enabled is None else "enabled" if asked.enabled else "disabled",
        updated=call.now,
    )
    await store.save(call.tx, after)
    if after.status == "enabled":
        await delivery.kick(call.tx)
    return render(after)


@routes.delete("/webhooks/{webhook}", Params)
async def remove(call: Call[Params]) -> None:
    """Tell a destination nothing more."""
    endpoint = await store.lock(call.tx, call.environment, call.path["webhook"], among=_THESE)
    await store.remove(call.tx, endpoint)
    await delivery.withdraw(call.tx, endpoint=endpoint.id, now=call.now)


@routes.post("/webhooks/{webhook}/rotate-secret", Rotation)
async def rotate(call: Call[Rotation]) -> Json:
    """Give a destination a new secret, shown now and never again; the old one signs beside it for a while."""
    before = await store.lock(call.tx, call.environment, call.path["webhook"], among=_THESE)
    overlap = timedelta(seconds=call.params.overlap_s)
    after = rolled(before, secret=store.new_secret(), overlap=overlap, now=call.now)
    await store.save(call.tx, after)
    return render(after) | {"secret": after.secret, "old_secret_until": (call.now + overlap).isoformat()}


@routes.post("/webhooks/test/{topic}", TestSend, status=HTTPStatus.ACCEPTED)
async def test_all(call: Call[TestSend]) -> Json:
    """Send a test of a topic to every destination that wants it."""
    return await _test(call, ALL_WEBHOOKS)


@routes.post("/webhooks/{webhook}/test/{topic}", TestSend, status=HTTPStatus.ACCEPTED)
async def test_one(call: Call[TestSend]) -> Json:
    """Send a test of a topic to one destination, whether it wants it or not."""
    endpoint = await store.find(call.tx, call.environment, call.path["webhook"], among=_THESE)
    if endpoint.status == "disabled":
        raise Refusal("The destination is disabled: enable it before testing it.", code="webhook_disabled")
    return await _test(call, endpoint.id)


@routes.post("/webhooks/test/{topic}/{account}", TestSend, status=HTTPStatus.ACCEPTED)
async def test_connected(call: Call[TestSend]) -> Json:
    """Refused: there are no connected accounts."""
    raise _no_accounts(call)


@routes.post("/webhooks/{webhook}/test/{topic}/{account}", TestSend, status=HTTPStatus.ACCEPTED)
async def test_one_connected(call: Call[TestSend]) -> Json:
    """Refused: there are no connected accounts."""
    raise _no_accounts(call)


def _no_accounts(call: Call[Any]) -> Problem:
    return Problem(
        status=HTTPStatus.NOT_FOUND,
        detail=f"No such connected account: '{call.path['account']}'; connected accounts are not offered.",
        code="resource_missing",
    )


async def _test(call: Call[TestSend], object_id: str) -> Json:
    topic = call.path["topic"]
    if topic not in TOPICS:
        raise Missing("topic", topic, subject=True)
    sample = notice_view.SAMPLES.get(topic.partition(".")[0], notice_view.SAMPLE)
    id = await notice.add(
        call.tx,
        environment=call.environment,
        customer_id=None,
        type=TEST,
        subject=TopicTest(id=object_id, topic=topic, data=dict(call.params.model_extra or {}) or sample),
        now=call.now,
    )
    return {"id": id}
