"""Cut connections, a database that is away: clients are told to try again, and nothing is half-counted."""

import asyncio
import threading
from collections.abc import Iterator

import httpx
import pytest

from tests.ingest.ruin import CUSTOMERS, SECRET, Postgres, Web, add_meter, furnish, ruins
from tests.ingest.sending import (
    Event,
    assert_counted,
    assert_try_again,
    events,
    own,
    reconnect,
    send_again,
    stream,
    token_of,
    v1,
    v2,
)


@pytest.fixture(scope="module")
def ruined() -> Iterator[tuple[Postgres, Web]]:
    with ruins(webs=1, patience_s=1) as (postgres, (web,)):
        asyncio.run(furnish(postgres.dsn))
        yield postgres, web


@pytest.fixture
def client(ruined: tuple[Postgres, Web]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=ruined[1].url, headers={"authorization": f"Bearer {SECRET}"}, timeout=60) as client:
        yield client


def test_cut_connections_lose_and_double_nothing(ruined: tuple[Postgres, Web], client: httpx.Client) -> None:
    postgres, _ = ruined
    meter_id = asyncio.run(add_meter(postgres.dsn, "cut"))
    done = threading.Event()

    def cut() -> None:
        while not done.wait(0.05):
            postgres.cut()

    cutting = threading.Thread(target=cut)
    cutting.start()
    sent: list[Event] = []
    try:
        for n in range(25):
            batch = events("cut", str(n), 50)
            sent += batch
            answer = own(client, batch)
            if answer.status_code != 200:
                assert_try_again(answer)
    finally:
        done.set()
        cutting.join()
    postgres.cut()
    assert_counted(postgres, meter_id)

    sent += reconnect(client, meter_name="cut")
    send_again(client, sent)
    assert_counted(postgres, meter_id, sent)


def test_a_database_that_stays_away_is_told_in_every_dialect(
    ruined: tuple[Postgres, Web], client: httpx.Client
) -> None:
    postgres, _ = ruined
    meter_id = asyncio.run(add_meter(postgres.dsn, "away"))
    token = token_of(client)
    before = events("away", "before", len(CUSTOMERS))
    assert stream(client, token, before).status_code == 200
    one, two, *batch = events("away", "during", 30)

    postgres.kill()
    try:
        # The session's token and the customers are known, so this one waits in the queue until patience ends.
        assert_try_again(stream(client, token, batch), type="api_error")
        # By now the key has to be looked up again, which fails as well.
        assert_try_again(own(client, batch))
        assert_try_again(v1(client, one), type="api_error")
        assert_try_again(v2(client, two), type="api_error")
    finally:
        postgres.start()
    before += reconnect(client, meter_name="away")

    send_again(client, [*before, one, two, *batch])
    assert_counted(postgres, meter_id, [*before, one, two, *batch])
