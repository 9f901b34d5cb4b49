"""A full disk: clients are told to try again, and nothing is half-counted; with room again, everything counts once."""

import asyncio
from collections.abc import Iterator

import httpx
import pytest

from tests.ingest.ruin import SECRET, Postgres, add_meter, furnish, ruins, small_disk
from tests.ingest.sending import BATCH, Event, assert_counted, assert_try_again, events, own, reconnect, send_again, v1

MOST_BATCHES = 100
MOST_SINGLES = 500
REASONS = {"a limit on files": "could not extend file", "a small disk": "No space left on device"}


@pytest.fixture(scope="module", params=list(REASONS))
def ruined(request: pytest.FixtureRequest) -> Iterator[tuple[Postgres, httpx.Client, str]]:
    """A server whose disk can be filled, a client of a web process on it, and what the server's log says then."""
    with small_disk() as disk:
        real = disk if request.param == "a small disk" else None
        with ruins(webs=1, patience_s=1, disk=real) as (postgres, (web,)):
            asyncio.run(furnish(postgres.dsn))
            with httpx.Client(base_url=web.url, headers={"authorization": f"Bearer {SECRET}"}, timeout=60) as client:
                yield postgres, client, REASONS[request.param if real else "a limit on files"]


def test_a_full_disk_is_told_and_counts_nothing_by_halves(ruined: tuple[Postgres, httpx.Client, str]) -> None:
    postgres, client, reason = ruined
    meter_id = asyncio.run(add_meter(postgres.dsn, "full"))
    sent: list[Event] = reconnect(client, meter_name="full")
    postgres.fill()
    try:
        reconnect(client, meter_name="full")
        accepted = 0
        for n in range(MOST_BATCHES):
            batch = events("full", str(n), BATCH)
            sent += batch
            refused = own(client, batch)
            if refused.status_code != 200:
                break
            accepted += 1
        assert accepted > 0
        assert_try_again(refused)
        for single in events("full", "single", MOST_SINGLES):
            sent.append(single)
            refused = v1(client, single)
            if refused.status_code != 200:
                break
        assert_try_again(refused, type="api_error")
        product = create_product(client)
        if product.status_code != 200:  # a small table still has room where only files are limited
            assert_try_again(product, type="api_error")
        assert reason in postgres.log
    finally:
        postgres.free()
    assert_counted(postgres, meter_id)

    reconnect(client, meter_name="full")
    send_again(client, sent)
    assert_counted(postgres, meter_id, sent)
    assert create_product(client).status_code == 200
    found = client.get("/v1/products/search", params={"query": "name:'No room'"}).json()
    assert len(found["data"]) == 1


def create_product(client: httpx.Client) -> httpx.Response:
    return client.post("/v1/products", data={"name": "No room"}, headers={"idempotency-key": "no-room"})
