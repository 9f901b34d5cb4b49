"""Two workers, an endpoint that fails at random, and claims that run out: the order of each object's events holds."""

import threading
import time
from datetime import timedelta
from random import Random

import stripe

from tests.wire.delivering import Ahead, delivering
from tests.wire.receiver import Received, receiving

PRODUCTS, CHANGES = 4, 6


def test_an_object_is_told_in_order_whatever_fails(client: stripe.StripeClient, dsn: str) -> None:
    clock, draw, guard = Ahead(), Random(7), threading.Lock()
    acknowledged: dict[str, list[str]] = {}

    def answer(request: Received) -> int:
        product = request.event["data"]["object"]  # type: ignore[index]
        with guard:
            if draw.random() < 0.4:
                return 503
            seen = acknowledged.setdefault(product["id"], [])
            if product["name"] not in seen:
                seen.append(product["name"])
            return 200

    names = [f"version {number:02}" for number in range(CHANGES + 1)]
    with receiving(answer) as receiver, delivering(dsn, clock), delivering(dsn, clock):
        client.v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["*"]})
        made = [client.v1.products.create({"name": names[0]}) for _ in range(PRODUCTS)]
        for name in names[1:]:
            for product in made:
                client.v1.products.update(product.id, {"name": name})
        deadline = time.monotonic() + 90
        while sum(len(seen) for seen in acknowledged.values()) < PRODUCTS * len(names):
            assert time.monotonic() < deadline, f"only {acknowledged} arrived"
            clock.by += timedelta(seconds=20)
            time.sleep(0.05)
    assert acknowledged == {product.id: names for product in made}
