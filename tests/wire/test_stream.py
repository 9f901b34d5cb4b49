"""The live stream: what happens as it happens, and from where one left off."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import stripe

from meterline.store.database import Database
from meterline.store.feed import Feed
from tests.wire.delivering import delivering, publish_all


def _events(response: httpx.Response) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """The (id, type, object) of each event as it comes."""
    fields: dict[str, str] = {}
    for line in response.iter_lines():
        name, _, value = line.partition(": ")
        if line == "" and "data" in fields:
            yield int(fields["id"]), fields["event"], json.loads(fields["data"])
            fields = {}
        elif name in ("id", "event", "data"):
            fields[name] = value


@pytest.fixture(autouse=True)
def caught_up(dsn: str) -> None:
    publish_all(dsn)


def test_a_change_is_seen_while_it_is_watched_for(client: stripe.StripeClient, raw: httpx.Client, dsn: str) -> None:
    with delivering(dsn), raw.stream("GET", "/ops/stream") as watched:
        assert watched.headers["content-type"].startswith("text/event-stream")
        lines = _events(watched)
        product = client.v1.products.create({"name": "Tokens"})
        _, type, event = next(lines)
    assert type == "product.created"
    assert event == client.v1.events.retrieve(event["id"]).to_dict()
    assert event["data"]["object"]["id"] == product.id


def test_a_watcher_who_comes_back_misses_nothing_and_sees_nothing_twice(
    client: stripe.StripeClient, raw: httpx.Client, dsn: str
) -> None:
    with delivering(dsn), raw.stream("GET", "/ops/stream") as watched:
        lines = _events(watched)
        client.v1.products.create({"name": "first"})
        place, _, _ = next(lines)
    names = ["second", "third", "fourth"]
    for name in names:
        client.v1.products.create({"name": name})
    publish_all(dsn)
    with raw.stream("GET", "/ops/stream", headers={"last-event-id": str(place)}) as again:
        lines = _events(again)
        seen = [next(lines)[2]["data"]["object"]["name"] for _ in names]
    assert seen == names


def test_one_customer_is_watched_alone(client: stripe.StripeClient, raw: httpx.Client, dsn: str) -> None:
    ada = client.v1.customers.create({"name": "Ada"})
    publish_all(dsn)
    with delivering(dsn), raw.stream("GET", "/ops/stream", params={"customer": ada.id}) as watched:
        lines = _events(watched)
        client.v1.customers.create({"name": "somebody else"})
        client.v1.customers.update(ada.id, {"name": "Ada L."})
        _, type, event = next(lines)
    assert (type, event["data"]["object"]["id"]) == ("customer.updated", ada.id)


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"authorization": "Bearer sk_test_nobody000000000000"}, 401), ({"last-event-id": "yesterday"}, 400)],
)
def test_a_stranger_or_a_made_up_place_is_refused(raw: httpx.Client, headers: dict[str, str], status: int) -> None:
    assert raw.get("/ops/stream", headers=headers).status_code == status


def test_a_key_needs_the_permission_to_read_events(base_url: str, add_key: Callable[..., str]) -> None:
    secret = add_key("rk_test_meterlineStreamTests000", kind="restricted", permissions={"prices": "read"})
    answer = httpx.get(f"{base_url}/ops/stream", headers={"authorization": f"Bearer {secret}"})
    assert answer.status_code == 403


async def test_watchers_are_let_go_when_the_process_leaves(database: Database) -> None:
    feed = Feed(database)
    watching = feed.follow("test", after=None)
    assert await anext(watching) == []
    feed.end()
    with pytest.raises(StopAsyncIteration):
        await anext(watching)
    await feed.close()
