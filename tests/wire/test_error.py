"""Every kind of refusal, as Stripe words it: status, type, code, param and message."""

from collections.abc import Iterator

import httpx
import pytest
import stripe

from tests.wire.conftest import SECRET


@pytest.fixture(scope="module")
def product(client: stripe.StripeClient) -> str:
    return client.v1.products.create({"name": "Tokens"}).id


def error_of(answer: httpx.Response) -> dict[str, str]:
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert body.keys() == {"error"}
    error: dict[str, str] = body["error"]
    assert None not in error.values(), "null members are left out"
    return error


REFUSALS = [
    ("POST", "/v1/products", "name=a&wat=1", 400, "parameter_unknown", "wat", "Received unknown parameter: wat"),
    (
        "POST", "/v1/customers", "invoice_settings[nope]=1", 400, "parameter_unknown", "invoice_settings[nope]",
        "Received unknown parameter: invoice_settings[nope]",
    ),
    (
        "POST", "/v1/products", "wat=1&wut=2", 400, "parameter_unknown", "wat",
        "Received unknown parameters: wat, wut",
    ),
    ("POST", "/v1/products", "", 400, "parameter_missing", "name", "Missing required param: name."),
    (
        "POST", "/v1/prices", "currency=usd&product=x&recurring[interval_count]=2", 400, "parameter_missing",
        "recurring[interval]", "Missing required param: recurring[interval].",
    ),
    ("GET", "/v1/products", "limit=abc", 400, "parameter_invalid_integer", "limit", "Invalid integer: abc"),
    ("GET", "/v1/products", "limit=1e400", 400, "parameter_invalid_integer", "limit", "Invalid integer: 1e400"),
    ("GET", "/v1/products", "limit=NaN", 400, "parameter_invalid_integer", "limit", "Invalid integer: NaN"),
    ("GET", "/v1/products", "active=yes", 400, None, "active", "Invalid boolean: yes"),
    (
        "POST", "/v1/products", "name=", 400, "parameter_invalid_empty", "name",
        ("You passed an empty string for 'name'. We assume empty values are an attempt to unset a field; however"
        " 'name' cannot be unset. You should remove 'name' from your request or supply a non-empty value."),
    ),
    ("GET", "/v1/products/prod_nope", "", 404, "resource_missing", "id", "No such product: 'prod_nope'"),
    ("GET", "/v1/prices/price_nope", "", 404, "resource_missing", "price", "No such price: 'price_nope'"),
    ("GET", "/v1/customers/cus_nope", "", 404, "resource_missing", "id", "No such customer: 'cus_nope'"),
    (
        "GET", "/v1/products", "starting_after=prod_nope", 400, "resource_missing", "starting_after",
        "No such product: 'prod_nope'",
    ),
    (
        "GET", "/v1/products", "starting_after=a&ending_before=b", 400, None, None,
        "Received both starting_after and ending_before parameters. Please pass in only one.",
    ),
    (
        "GET", "/v1/prices", "type=weekly", 400, None, "type",
        "Invalid type: must be one of one_time or recurring",
    ),
    (
        "GET", "/v1/prices", "recurring[interval]=hour", 400, None, "recurring[interval]",
        "Invalid recurring[interval]: must be one of day, month, week, or year",
    ),
    ("POST", "/v1/prices", "currency=xxx&product=x", 400, None, "currency", "Invalid currency: xxx"),
    (
        "POST", "/v1/products", "name=a&metadata[k]=" + "v" * 501, 400, None, "metadata",
        ("Metadata values can have up to 500 characters. You passed in a value for key 'k' that is 501 characters"
        " long."),
    ),
    (
        "POST", "/v1/billing/meter_events", "event_name=x&payload[a]=b&identifier=" + "i" * 101, 400, None,
        "identifier", "Invalid string: iiiiiiiiiiiiiiiiiiii...; must be at most 100 characters",
    ),
    (
        "POST", "/v1/customers", "email=nobody", 400, "email_invalid", "email", "Invalid email address: nobody",
    ),
    (
        "GET", "/v1/products", "expand[]=data.name", 400, None, None, "This property cannot be expanded (data.name).",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "sent", "status", "code", "param", "message"), REFUSALS, ids=lambda it: str(it)[:40]
)
def test_refusals_are_worded_like_stripes(
    raw: httpx.Client,
    product: str,
    method: str,
    path: str,
    sent: str,
    status: int,
    code: str | None,
    param: str | None,
    message: str,
) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    answer = raw.request(method, path, content=sent, headers=form) if method == "POST" else raw.get(f"{path}?{sent}")

    error = error_of(answer)
    assert (answer.status_code, error["type"]) == (status, "invalid_request_error")
    assert (error.get("code"), error.get("param"), error["message"]) == (code, param, message)


def test_the_sdk_raises_its_own_errors(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as raised:
        client.v1.prices.retrieve("price_nope")

    assert raised.value.http_status == 404
    assert raised.value.code == "resource_missing"
    assert raised.value.param == "price"


def test_a_body_that_is_no_form_is_refused(raw: httpx.Client) -> None:
    answer = raw.post("/v1/products", json={"name": "Tokens"})

    assert answer.status_code == 400
    assert "application/x-www-form-urlencoded" in error_of(answer)["message"]


HOSTILE = {
    "invalid UTF-8": b"name=%ff%fe",
    "raw invalid UTF-8": b"name=\xff\xfe",
    "a lone surrogate": b"name=%ED%A0%80",
    "a null byte": b"name=a%00b",
    "a null byte in a key": b"name=a&metadata[%00]=b",
    "nesting without end": b"name=a&metadata" + b"[a]" * 5000 + b"=1",
    "an open bracket": b"name[=a",
    "brackets in brackets": b"name=a&metadata[[x]]=1",
    "value and container": b"name=a&metadata=x&metadata[a]=b",
    "container and value": b"name=a&images[0]=x&images=y",
    "no name": b"=x",
    "only brackets": b"[]=x",
    "too many parameters": b"&".join(b"metadata[%d]=x" % number for number in range(20_000)),
    "a list as text": b"name[]=a",
    "a hash as text": b"name[x]=a",
    "a huge index": b"name=a&images[999999999999999999999999]=x&images[1]=y&wat=1",
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_bodies_are_refused(raw: httpx.Client, body: bytes) -> None:
    answer = raw.post("/v1/products", content=body, headers={"content-type": "application/x-www-form-urlencoded"})

    assert answer.status_code == 400
    assert error_of(answer)["type"] == "invalid_request_error"


def test_ten_megabytes_are_too_many(raw: httpx.Client) -> None:
    def body() -> Iterator[bytes]:
        yield b"name="
        for _ in range(160):
            yield b"x" * 65_536

    answer = raw.post("/v1/products", content=body())

    assert answer.status_code == 413
    assert error_of(answer)["type"] == "invalid_request_error"


@pytest.mark.parametrize("path", ["/v1/products/%00", "/v1/products/" + "x" * 3000, "/v1/products/%ff"])
def test_ids_that_cannot_exist_name_nothing(raw: httpx.Client, path: str) -> None:
    assert raw.get(path).status_code == 404


def test_an_unknown_url_says_so(raw: httpx.Client) -> None:
    answer = raw.get("/v1/customers/")

    assert answer.status_code == 404
    assert error_of(answer)["message"].startswith(
        "Unrecognized request URL (GET: /v1/customers/). If you are trying to list objects, remove the trailing slash."
    )


@pytest.mark.parametrize("method", ["PUT", "PATCH", "OPTIONS", "TRACE"])
def test_a_method_that_a_url_does_not_have_is_an_unknown_url(raw: httpx.Client, method: str) -> None:
    answer = raw.request(method, "/v1/products")

    assert answer.status_code == 404
    assert error_of(answer)["message"] == f"Unrecognized request URL ({method}: /v1/products)."


def test_legacy_usage_records_are_an_unknown_url(raw: httpx.Client) -> None:
    assert raw.post("/v1/subscription_items/si_1/usage_records").status_code == 404


def test_head_has_no_body(raw: httpx.Client) -> None:
    answer = raw.head("/v1/products")

    assert (answer.status_code, answer.content) == (404, b"")


def test_every_answer_carries_its_own_id(raw: httpx.Client) -> None:
    answers = [raw.get("/v1/products"), raw.get("/v1/nope"), raw.get("/v1/products?wat=1"), httpx.get(raw.base_url)]

    ids = [answer.headers["request-id"] for answer in answers]
    assert all(id.startswith("req_") and len(id) == 18 for id in ids)
    assert len(set(ids)) == len(ids)


def test_the_version_is_echoed_even_when_it_is_not_spoken(raw: httpx.Client) -> None:
    answer = raw.get("/v1/products", headers={"stripe-version": "not-a-real-version"})

    assert answer.status_code == 400
    assert error_of(answer)["message"] == "Invalid Stripe API version: not-a-real-version"
    assert answer.headers["stripe-version"] == "not-a-real-version"
    assert raw.get("/v1/products").headers["stripe-version"] == "2026-10-28.endive"


def test_the_key_is_not_in_any_answer(raw: httpx.Client, base_url: str) -> None:
    wrong = SECRET + "x"
    answer = httpx.get(f"{base_url}/v1/products", headers={"authorization": f"Bearer {wrong}"})

    assert wrong not in answer.text
