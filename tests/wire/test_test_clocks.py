"""`/v1/test_helpers/test_clocks`: time tried out by the official SDK, with workers that are killed at work."""

import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import stripe

from tests.wire import working
from tests.wire.selling import Shop, error, unix
from tests.wire.typed import assert_typed


@pytest.fixture
def shop(client: stripe.StripeClient) -> Shop:
    return Shop(client)


@pytest.fixture
def worker(dsn: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A worker on the module's database, for one test."""
    with working.running(dsn) as process:
        yield process


def test_a_clock_carries_every_declared_member(shop: Shop, raw: httpx.Client) -> None:
    clock = shop.v1.test_helpers.test_clocks.create({"frozen_time": unix("2026-01-01"), "name": "January"})

    body = raw.get(f"/v1/test_helpers/test_clocks/{clock.id}").json()

    assert_typed(body)
    assert clock.id.startswith("clock_")
    assert (clock.status, clock.frozen_time, clock.name) == ("ready", unix("2026-01-01"), "January")
    assert clock.deletes_after == clock.created + 30 * 86400
    assert shop.v1.test_helpers.test_clocks.retrieve(clock.id) == clock
    assert shop.v1.test_helpers.test_clocks.list().data[0] == clock


def test_an_advance_is_answered_at_once_and_done_by_a_worker(
    shop: Shop, raw: httpx.Client, worker: "subprocess.Popen[bytes]"
) -> None:
    clock = shop.clock("2026-01-01")

    moving = raw.post(
        f"/v1/test_helpers/test_clocks/{clock.id}/advance", data={"frozen_time": unix("2026-06-01")}
    ).json()
    ready = shop.rested(clock)

    assert_typed(moving)
    assert moving["status"] == "advancing"
    assert moving["status_details"]["advancing"]["target_frozen_time"] == unix("2026-06-01")
    assert (ready.status, ready.frozen_time) == ("ready", unix("2026-06-01"))
    told = [
        event.type
        for event in shop.v1.events.list({"limit": 100}).auto_paging_iter()
        if event.data.object.to_dict().get("id") == clock.id
    ]
    assert told == [f"test_helpers.test_clock.{what}" for what in ("ready", "advancing", "created")]


def test_advances_that_are_refused(shop: Shop, worker: "subprocess.Popen[bytes]") -> None:
    clock = shop.clock("2026-01-31")
    shop.subscribe(shop.customer(clock=clock), shop.price(every="year"))
    shop.subscribe(shop.customer(clock=clock), shop.price())
    idle = shop.clock("2026-01-01")

    assert "Cannot advance to a time in the past" in refusal(shop, clock, "2026-01-31")
    assert "up to two intervals" in refusal(shop, clock, "2026-03-31 00:00:01")
    assert "up to two intervals" in refusal(shop, idle, "2029-01-01")
    assert shop.advance(clock, "2026-03-31").status == "ready"
    assert shop.advance(idle, "2027-12-31").status == "ready"


def test_there_is_one_advance_at_a_time(shop: Shop) -> None:
    clock = shop.clock("2026-01-01")
    shop.v1.test_helpers.test_clocks.advance(clock.id, {"frozen_time": unix("2026-02-01")})

    assert "underway" in refusal(shop, clock, "2026-03-01")
    with pytest.raises(stripe.InvalidRequestError) as refused:
        shop.v1.test_helpers.test_clocks.delete(clock.id)
    assert "underway" in error(refused)[3]


def test_a_clock_has_room_for_three_customers(shop: Shop) -> None:
    clock = shop.clock("2026-01-01")
    for _ in range(3):
        shop.customer(clock=clock)

    with pytest.raises(stripe.InvalidRequestError) as refused:
        shop.customer(clock=clock)

    assert error(refused)[2] == "test_clock"


def test_an_existing_customer_can_be_put_on_a_clock_once(shop: Shop) -> None:
    customer = shop.customer()
    frozen = {"frozen_time": unix("2026-01-01"), "customer": customer.id}

    clock = shop.v1.test_helpers.test_clocks.create(frozen)  # type: ignore[arg-type]
    with pytest.raises(stripe.InvalidRequestError) as refused:
        shop.v1.test_helpers.test_clocks.create(frozen)  # type: ignore[arg-type]

    assert shop.v1.customers.retrieve(customer.id).test_clock == clock.id
    assert error(refused)[2] == "customer"


def test_deleting_a_clock_deletes_who_lives_on_it(shop: Shop) -> None:
    clock = shop.clock("2026-01-01")
    customer = shop.customer(clock=clock)
    subscription = shop.subscribe(customer, shop.price())

    gone = shop.v1.test_helpers.test_clocks.delete(clock.id)

    assert gone.deleted
    assert shop.v1.customers.retrieve(customer.id).deleted
    assert shop.v1.subscriptions.retrieve(subscription.id).status == "canceled"
    with pytest.raises(stripe.InvalidRequestError) as refused:
        shop.v1.test_helpers.test_clocks.retrieve(clock.id)
    assert error(refused)[0] == 404


def test_what_lives_on_a_clock_is_hidden_from_plain_lists(shop: Shop) -> None:
    clock = shop.clock("2026-01-01")
    customer = shop.customer(clock=clock)
    subscription = shop.subscribe(customer, shop.price())

    assert customer.id not in {each.id for each in shop.v1.customers.list({"limit": 100}).data}
    assert subscription.id not in {each.id for each in shop.v1.subscriptions.list({"limit": 100}).data}
    on_clock = shop.v1.subscriptions.list({"test_clock": clock.id})
    assert [each.id for each in on_clock.data] == [subscription.id]
    assert subscription.latest_invoice not in {each.id for each in shop.v1.invoices.list({"limit": 100}).data}


def test_an_advance_survives_workers_killed_at_work(shop: Shop, dsn: str) -> None:
    """Twin clocks: one whose workers are killed again and again, one undisturbed; the bills are the same."""
    prices = [shop.price(700), shop.metered("killed_tokens", "3")]
    stormy_clock, stormy = three_households(shop, prices)
    ask(shop, stormy_clock, "2026-03-10")
    killed_at = [killed_at_work(shop, stormy_clock, dsn) for _ in range(2)]
    calm_clock, calm = three_households(shop, prices)
    ask(shop, calm_clock, "2026-03-10")
    with working.running(dsn, lease_s=0.2):
        assert shop.rested(stormy_clock).status == "ready"
        assert shop.rested(calm_clock).status == "ready"

    assert killed_at == sorted(killed_at)
    assert all(unix("2026-01-10") < instant < unix("2026-03-10") for instant in killed_at)
    assert [bills(shop, each) for each in stormy] == [bills(shop, each) for each in calm]
    assert {len(bills(shop, each)) for each in calm} == {3}


def three_households(
    shop: Shop, prices: list[stripe.Price]
) -> tuple[stripe.test_helpers.TestClock, list[stripe.Subscription]]:
    """Six subscriptions, renewed on six different days of the month."""
    clock = shop.clock("2026-01-10")
    customers = [shop.customer(clock=clock) for _ in range(3)]
    days = iter(range(15, 27, 2))
    return clock, [
        shop.subscribe(customer, *prices, billing_cycle_anchor=unix(f"2026-01-{next(days)}"))
        for customer in customers
        for _ in range(2)
    ]


def ask(shop: Shop, clock: stripe.test_helpers.TestClock, to: str) -> None:
    shop.v1.test_helpers.test_clocks.advance(clock.id, {"frozen_time": unix(to)})


def killed_at_work(shop: Shop, clock: stripe.test_helpers.TestClock, dsn: str) -> int:
    """Start a worker, kill it as soon as the clock has moved; the frozen time it left behind."""
    before = shop.v1.test_helpers.test_clocks.retrieve(clock.id).frozen_time
    worker = working.started(dsn, lease_s=0.2)
    deadline = time.monotonic() + 60
    while shop.v1.test_helpers.test_clocks.retrieve(clock.id).frozen_time == before:
        assert worker.poll() is None and time.monotonic() < deadline, "the worker does not work"
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    left = shop.v1.test_helpers.test_clocks.retrieve(clock.id)
    assert left.status == "advancing"
    return left.frozen_time


def bills(shop: Shop, subscription: stripe.Subscription) -> list[tuple[Any, ...]]:
    return [
        (each.created, each.billing_reason, each.status, each.total, each.attempt_count)
        for each in shop.invoices(subscription)
    ]


def refusal(shop: Shop, clock: stripe.test_helpers.TestClock, to: str) -> str:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        shop.v1.test_helpers.test_clocks.advance(clock.id, {"frozen_time": unix(to)})
    return error(refused)[3]
