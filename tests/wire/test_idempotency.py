"""One execution per Idempotency-Key, whatever happens around it."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import stripe

from meterline.store import idempotency
from meterline.store.database import Database


def create(raw: httpx.Client, key: str, name: str = "Tokens", **more: str) -> httpx.Response:
    return raw.post("/v1/products", data={"name": name, **more}, headers={"idempotency-key": key})


def count(raw: httpx.Client, name: str) -> int:
    found = raw.get("/v1/products/search", params={"query": f"name:'{name}'", "limit": "100"}).json()
    return len(found["data"])


def test_the_same_key_answers_the_same_again(raw: httpx.Client) -> None:
    first = create(raw, "replay", "Replayed")
    second = create(raw, "replay", "Replayed")

    assert (second.status_code, second.content) == (first.status_code, first.content)
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"
    assert second.headers["original-request"] == first.headers["request-id"]
    assert second.headers["request-id"] != first.headers["request-id"]
    assert count(raw, "Replayed") == 1


def test_the_order_of_parameters_does_not_matter(raw: httpx.Client) -> None:
    form = {"content-type": "application/x-www-form-urlencoded", "idempotency-key": "order"}
    first = raw.post("/v1/products", content="name=a&active=true", headers=form)
    second = raw.post("/v1/products", content="active=true&name=a", headers=form)

    assert second.content == first.content


def test_a_key_used_for_something_else_is_refused(raw: httpx.Client) -> None:
    create(raw, "mismatch", "One")
    answer = create(raw, "mismatch", "Other")

    assert answer.status_code == 400
    assert answer.json()["error"] == {
        "message": (
            "Keys for idempotent requests can only be used with the same parameters they were first used with. Try"
            " using a key other than 'mismatch' if you meant to execute a different request."
        ),
        "type": "idempotency_error",
    }


def test_the_same_parameters_on_another_url_are_something_else(raw: httpx.Client) -> None:
    create(raw, "url", "One")
    answer = raw.post("/v1/customers", data={"name": "One"}, headers={"idempotency-key": "url"})

    assert answer.json()["error"]["type"] == "idempotency_error"


def test_what_is_refused_before_execution_can_be_repaired_under_the_same_key(raw: httpx.Client) -> None:
    assert create(raw, "repair", wat="1").status_code == 400
    assert create(raw, "repair").status_code == 200


def test_a_refusal_of_the_domain_can_be_repaired_too(raw: httpx.Client) -> None:
    price = {"currency": "usd", "unit_amount": "1", "product": "later"}
    headers = {"idempotency-key": "domain"}
    assert raw.post("/v1/prices", data=price, headers=headers).status_code == 400

    create(raw, "domain-product", id="later")

    assert raw.post("/v1/prices", data=price, headers=headers).status_code == 200


def test_a_missing_subject_stays_missing_under_its_key(raw: httpx.Client) -> None:
    headers = {"idempotency-key": "missing"}
    first = raw.post("/v1/products/not-yet", data={"name": "x"}, headers=headers)
    create(raw, "missing-made", id="not-yet")
    second = raw.post("/v1/products/not-yet", data={"name": "x"}, headers=headers)

    assert (first.status_code, second.status_code) == (404, 404)
    assert second.headers["idempotent-replayed"] == "true"
    assert raw.post("/v1/products/not-yet", data={"name": "x"}).status_code == 200


def test_a_decline_is_an_answer(raw: httpx.Client) -> None:
    card = {"payment_method": "pm_card_visa_chargeDeclined"}
    headers = {"idempotency-key": "declined"}
    first = raw.post("/v1/customers", data=card, headers=headers)
    second = raw.post("/v1/customers", data=card, headers=headers)

    assert (first.status_code, first.json()["error"]["type"]) == (402, "card_error")
    assert second.content == first.content
    assert second.headers["idempotent-replayed"] == "true"


def test_at_once_the_key_works_once(raw: httpx.Client) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: create(raw, "at-once", "Once"), range(24)))

    statuses = {answer.status_code for answer in answers}
    assert statuses <= {200, 409}
    assert 200 in statuses
    assert len({answer.content for answer in answers if answer.status_code == 200}) == 1
    assert count(raw, "Once") == 1


def test_a_key_in_use_is_a_409(raw: httpx.Client, dsn: str) -> None:
    answer = asyncio.run(_while_in_use(raw, dsn, "in-use"))

    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "idempotency_key_in_use"
    assert answer.json()["error"]["type"] == "idempotency_error"
    assert create(raw, "in-use").status_code == 200


async def _while_in_use(raw: httpx.Client, dsn: str, key: str) -> httpx.Response:
    database = Database(dsn)
    async with database.begin() as tx:
        assert await idempotency.lock(tx, "test", key)
        answer = await asyncio.to_thread(create, raw, key)
    await database.close()
    return answer


def test_keys_belong_to_their_environment(raw: httpx.Client, base_url: str, add_key: object) -> None:
    assert callable(add_key)
    live = add_key("sk_live_idempotency00000", environment="live")
    first = create(raw, "shared")
    second = httpx.post(
        f"{base_url}/v1/products",
        data={"name": "Tokens"},
        headers={"authorization": f"Bearer {live}", "idempotency-key": "shared"},
    )

    assert second.status_code == 200
    assert second.json()["id"] != first.json()["id"]


def test_reads_do_not_use_keys(raw: httpx.Client) -> None:
    product = create(raw, "read").json()["id"]
    headers = {"idempotency-key": "reading"}
    before = raw.get(f"/v1/products/{product}", headers=headers)
    raw.post(f"/v1/products/{product}", data={"name": "New"})
    after = raw.get(f"/v1/products/{product}", headers=headers)

    assert (before.json()["name"], after.json()["name"]) == ("Tokens", "New")


def test_a_key_is_at_most_255_characters_long(raw: httpx.Client) -> None:
    assert create(raw, "k" * 255).status_code == 200
    assert create(raw, "k" * 256).status_code == 400


def test_the_sdk_raises_its_idempotency_error(client: stripe.StripeClient) -> None:
    options: stripe.RequestOptions = {"idempotency_key": "sdk"}
    client.v1.products.create({"name": "One"}, options)

    with pytest.raises(stripe.IdempotencyError):
        client.v1.products.create({"name": "Other"}, options)
