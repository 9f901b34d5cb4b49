"""Calls other than events when the database or the server breaks: told to come back, done once, keys not used up."""

import asyncio
import time
from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest

from tests.ingest.ruin import CUSTOMERS, SECRET, Postgres, Web, furnish, ruins


@pytest.fixture(scope="module")
def ruined() -> Iterator[tuple[Postgres, Web]]:
    with ruins(webs=1, patience_s=1) as (postgres, (web,)):
        asyncio.run(furnish(postgres.dsn))
        yield postgres, web


@pytest.fixture
def client(ruined: tuple[Postgres, Web]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=ruined[1].url, headers={"authorization": f"Bearer {SECRET}"}, timeout=60) as client:
        yield client


def create(client: httpx.Client, key: str, **more: str) -> httpx.Response:
    """A product of the key's name, under the key."""
    return client.post("/v1/products", data={"name": key}, headers={"idempotency-key": key, **more})


def made(postgres: Postgres, table: str, column: str, value: str) -> int:
    count: int = postgres.ask(lambda c: c.fetchval(f"select count(*) from {table} where {column} = $1", value))
    return count


def until_answered(client: httpx.Client, key: str) -> httpx.Response:
    """The call again under its key, until the process has noticed that its old connections are gone."""
    for _ in range(50):
        answer = create(client, key)
        if answer.status_code != 503:
            break
        time.sleep(0.05)
    return answer


def assert_come_back(answer: httpx.Response) -> None:
    """503 in Stripe's envelope, and the SDK is told to try again."""
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.headers["stripe-should-retry"] == "true"
    assert answer.json()["error"]["type"] == "api_error"


def test_a_database_that_is_away_is_told_in_every_dialect(ruined: tuple[Postgres, Web], client: httpx.Client) -> None:
    postgres, _ = ruined
    key = uuid4().hex
    postgres.kill()
    try:
        assert_come_back(create(client, key))
        assert_come_back(client.post("/v1/products", data={"name": "without a key"}))
        assert_come_back(client.get("/v1/customers"))
        assert_come_back(client.get("/v2/core/events"))
        assert_come_back(client.get("/ingest/parked"))
        assert_come_back(client.get("/ops/stream"))
        assert_come_back(client.post("/v1/payment_methods/pm_card_visa/attach", data={"customer": CUSTOMERS[0]}))
        hold = {"customer_id": CUSTOMERS[0], "id": "call", "amount": 1, "asset": "USD"}
        for told in (client.post("/customers", json={"name": "Jane"}), client.post("/gate/authorize", json=hold)):
            assert (told.status_code, told.headers["retry-after"]) == (503, "1")
            assert told.headers["content-type"] == "application/problem+json"
            assert told.json()["code"] == "unavailable"
        page = client.get("/hosted/invoice/test/in_1")
        assert (page.status_code, page.headers["retry-after"]) == (503, "1")
        assert "Back in a moment" in page.text
    finally:
        postgres.start()

    answer = until_answered(client, key)

    assert answer.status_code == 200, answer.text
    assert made(postgres, "product", "name", key) == 1
    assert made(postgres, "product", "name", "without a key") == 0


def test_a_database_that_only_reads_is_told_and_nothing_is_half_done(
    ruined: tuple[Postgres, Web], client: httpx.Client
) -> None:
    postgres, _ = ruined
    key, attaching = uuid4().hex, {"idempotency-key": uuid4().hex}
    until_answered(client, uuid4().hex)
    read_only(postgres, "on")
    try:
        assert_come_back(create(client, key))
        assert_come_back(attach(client, attaching))
        assert client.get("/v1/products").status_code == 200
        assert client.post("/customers", json={"name": "Jane"}).status_code == 503
    finally:
        read_only(postgres, "off")

    assert create(client, key).status_code == 200
    assert attach(client, attaching).status_code == 200
    assert made(postgres, "product", "name", key) == 1


def attach(client: httpx.Client, headers: dict[str, str]) -> httpx.Response:
    return client.post("/v1/payment_methods/pm_card_visa/attach", data={"customer": CUSTOMERS[0]}, headers=headers)


def read_only(postgres: Postgres, state: str) -> None:
    """Every connection, old and new, may only read from now on, or may write again."""
    postgres.ask(lambda c: c.execute(f"alter system set default_transaction_read_only = {state}"))
    postgres.ask(lambda c: c.fetchval("select pg_reload_conf()"))
    deadline = time.monotonic() + 10
    while postgres.ask(lambda c: c.fetchval("show default_transaction_read_only")) != state:
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Died(Exception):
    """The server was killed before it answered."""


def last_words(client: httpx.Client, web: Web, path: str, *, headers: dict[str, str], **sent: object) -> None:
    """Send a request whose work is done and whose answer never leaves, because the process is killed."""
    with pytest.raises(httpx.TransportError):
        client.post(path, headers={"x-last-answer": "yes", **headers}, **sent)  # type: ignore[arg-type]
    web.kill()
    web.start()
    web.wait()


def test_an_answer_lost_with_its_process_is_given_again(ruined: tuple[Postgres, Web], client: httpx.Client) -> None:
    postgres, web = ruined
    key = uuid4().hex
    last_words(client, web, "/v1/products", headers={"idempotency-key": key}, data={"name": key})

    answer, again = create(client, key), create(client, key)

    assert answer.status_code == 200
    assert answer.headers["idempotent-replayed"] == "true"
    assert answer.content == again.content
    assert made(postgres, "product", "name", key) == made(postgres, "product", "id", answer.json()["id"]) == 1


def test_money_taken_before_the_process_died_is_taken_once(ruined: tuple[Postgres, Web], client: httpx.Client) -> None:
    _, web = ruined
    customer = client.post("/v1/customers", data={"payment_method": "pm_card_visa"}).json()["id"]
    method = client.get("/v1/payment_methods", params={"customer": customer}).json()["data"][0]["id"]
    client.post(f"/v1/customers/{customer}", data={"invoice_settings[default_payment_method]": method})
    client.post("/v1/invoiceitems", data={"customer": customer, "currency": "usd", "amount": "700"})
    draft = {"customer": customer, "pending_invoice_items_behavior": "include"}
    invoice = client.post("/v1/invoices", data=draft).json()["id"]
    key = {"idempotency-key": uuid4().hex}
    last_words(client, web, f"/v1/invoices/{invoice}/pay", headers=key)

    answer = client.post(f"/v1/invoices/{invoice}/pay", headers=key)

    assert (answer.status_code, answer.json()["status"], answer.json()["amount_paid"]) == (200, "paid", 700)
    assert answer.headers["idempotent-replayed"] == "true"
    charges = client.get("/v1/charges", params={"customer": customer}).json()["data"]
    assert [charge["amount"] for charge in charges] == [700]


def test_a_call_in_stages_is_answered_again_as_well(ruined: tuple[Postgres, Web], client: httpx.Client) -> None:
    _, web = ruined
    key = {"idempotency-key": uuid4().hex}
    path = "/v1/payment_methods/pm_card_mastercard/attach"
    last_words(client, web, path, headers=key, data={"customer": CUSTOMERS[1]})

    answer = client.post(path, data={"customer": CUSTOMERS[1]}, headers=key)

    assert answer.status_code == 200
    assert answer.headers["idempotent-replayed"] == "true"
    attached = client.get("/v1/payment_methods", params={"customer": CUSTOMERS[1]}).json()["data"]
    assert [method["id"] for method in attached] == [answer.json()["id"]]


def test_a_grant_under_its_id_happens_once(ruined: tuple[Postgres, Web], client: httpx.Client) -> None:
    _, web = ruined
    jane = client.post("/customers", json={"name": "Jane"}).json()["id"]
    path = f"/customers/{jane}/wallet/grants"
    grant = {"id": "welcome", "asset": "USD", "amount": 10}
    last_words(client, web, path, headers={}, json=grant)

    answer = client.post(path, json=grant)

    assert answer.status_code == 201, answer.text
    wallet = client.get(f"/customers/{jane}/wallet").json()
    assert [account["available"] for account in wallet["accounts"]] == [10]
