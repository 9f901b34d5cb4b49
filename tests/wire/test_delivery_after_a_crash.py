"""A worker killed between sending and recording: every event arrives, under the same id, in order per object."""

import threading

import stripe

from tests.wire.delivering_process import started
from tests.wire.receiver import Received, receiving


def test_nothing_is_lost_and_ids_stay_when_the_worker_is_killed_while_sending(
    client: stripe.StripeClient, dsn: str
) -> None:
    killed = threading.Event()

    def answer(_: Received) -> int:
        killed.wait(60)
        return 200

    with receiving(answer) as receiver:
        endpoint = client.v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["*"]})
        for number in range(20):
            product = client.v1.products.create({"name": f"product {number}"})
            client.v1.products.update(product.id, {"name": f"product {number}, renamed"})
        victim = started(dsn, lease_s=1)
        try:
            unconfirmed = receiver.wait_for_count(5)
        finally:
            victim.kill()
            victim.wait()
            killed.set()
        told = {event.id for event in client.v1.events.list({"limit": 100}).data}
        heir = started(dsn, lease_s=10)
        try:
            arrived = receiver.wait_for(lambda received: _ids(received) == told)
            arrived = receiver.wait_for(lambda received: _ids(received[len(unconfirmed) :]) == told)
        finally:
            heir.terminate()
            heir.wait(60)

    assert len(told) == 40
    for request in unconfirmed:
        times = [again.event["id"] for again in arrived].count(request.event["id"])
        assert times >= 2, "sent, not recorded, and so sent again under the same id"
    assert endpoint.secret is not None
    first_seen: dict[object, list[object]] = {}
    for request in arrived:
        event = client.construct_event(request.body, request.signature, endpoint.secret)
        seen = first_seen.setdefault(event.data.object["id"], [])
        if event.type not in seen:
            seen.append(event.type)
    assert set(map(tuple, first_seen.values())) == {("product.created", "product.updated")}


def _ids(received: list[Received]) -> set[object]:
    return {request.event["id"] for request in received}
