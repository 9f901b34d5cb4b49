"""Who may do what: secret keys, restricted keys, environments."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import httpx
import pytest
import stripe

from meterline.store import api_key
from meterline.store.database import Database
from tests.wire.conftest import SECRET, stripe_client

Ask = Callable[[str], httpx.Response]


@pytest.fixture(scope="module")
def ask(base_url: str) -> Ask:
    def asking(authorization: str) -> httpx.Response:
        return httpx.get(f"{base_url}/v1/products", headers={"authorization": authorization})

    return asking


def test_the_key_is_a_bearer_token(ask: Ask) -> None:
    assert ask(f"Bearer {SECRET}").status_code == 200
    assert ask(f"bearer {SECRET}").status_code == 200


def test_the_key_is_the_user_name_of_basic_auth(base_url: str) -> None:
    assert httpx.get(f"{base_url}/v1/products", auth=(SECRET, "")).status_code == 200


@pytest.mark.parametrize("authorization", ["", "Bearer", "Basic", "Basic !!!", "Basic Og==", "Digest x"])
def test_no_key_is_a_401(ask: Ask, authorization: str) -> None:
    answer = ask(authorization)

    assert answer.status_code == 401
    assert answer.json()["error"]["message"].startswith("You did not provide an API key.")


@pytest.mark.parametrize("scheme", ["Basic", "Bearer"])
@pytest.mark.parametrize("path", ["/v1/products", "/v1/billing/meter_events", "/api/v1/events", "/gate/authorize"])
def test_credentials_that_are_not_ascii_are_a_401(base_url: str, scheme: str, path: str) -> None:
    headers = [
        (b"authorization", f"{scheme} k\u00e9y".encode("latin-1")),
        (b"content-type", b"application/x-www-form-urlencoded"),
    ]
    answer = httpx.post(f"{base_url}{path}", headers=headers, content=b"event_name=x&payload[value]=1")

    assert answer.status_code == 401


def test_a_wrong_key_is_told_without_showing_it(ask: Ask) -> None:
    answer = ask("Bearer sk_test_thisIsNotAKey1234")

    assert answer.status_code == 401
    assert answer.json()["error"] == {
        "message": "Invalid API Key provided: sk_test_********1234",
        "type": "invalid_request_error",
    }


def test_the_sdk_raises_an_authentication_error(base_url: str) -> None:
    with pytest.raises(stripe.AuthenticationError):
        stripe_client(base_url, "sk_test_nobodys").v1.products.list()


def test_a_revoked_key_is_refused_within_seconds(base_url: str, dsn: str, add_key: Callable[..., str]) -> None:
    secret = add_key("sk_test_soonRevoked0000000000")
    client = stripe_client(base_url, secret)
    client.v1.products.list()

    asyncio.run(_revoke(dsn, secret))

    with pytest.raises(stripe.AuthenticationError):
        _call_until_refused(client)


def _call_until_refused(client: stripe.StripeClient) -> None:
    for _ in range(100_000):
        client.v1.products.list()


async def _revoke(dsn: str, secret: str) -> None:
    database = Database(dsn)
    async with database.begin() as tx:
        key = await api_key.find(tx, secret)
        assert key is not None
        await api_key.revoke(tx, key.id, now=datetime.now(UTC))
    await database.close()


def test_a_restricted_key_does_what_it_is_permitted(base_url: str, add_key: Callable[..., str]) -> None:
    permissions = {"products": "write", "prices": "read"}
    client = stripe_client(base_url, add_key("rk_test_some0000000000", kind="restricted", permissions=permissions))

    product = client.v1.products.create({"name": "Tokens"})

    assert client.v1.products.retrieve(product.id).name == "Tokens"
    assert client.v1.prices.list().data == []
    with pytest.raises(stripe.PermissionError, match="'prices: write'"):
        client.v1.prices.create({"currency": "usd", "unit_amount": 1, "product": product.id})
    with pytest.raises(stripe.PermissionError, match="'customers: read'"):
        client.v1.customers.list()


def test_a_restricted_key_cannot_expand_what_it_cannot_read(
    base_url: str, client: stripe.StripeClient, add_key: Callable[..., str]
) -> None:
    price = client.v1.prices.create({"currency": "usd", "unit_amount": 1, "product_data": {"name": "Tokens"}})
    narrow = stripe_client(
        base_url, add_key("rk_test_prices000000000", kind="restricted", permissions={"prices": "read"})
    )

    with pytest.raises(stripe.PermissionError, match="'products: read'"):
        narrow.v1.prices.retrieve(price.id, {"expand": ["product"]})


def test_environments_do_not_see_each_other(
    base_url: str, client: stripe.StripeClient, add_key: Callable[..., str]
) -> None:
    live = stripe_client(base_url, add_key("sk_live_environments00000", environment="live"))
    sandbox = stripe_client(base_url, add_key("sk_test_sandbox0000000000", environment="sandbox-1"))
    product = client.v1.products.create({"name": "Tokens", "id": "tokens"})

    assert product.livemode is False
    for other, livemode in ((live, True), (sandbox, False)):
        with pytest.raises(stripe.InvalidRequestError, match="No such product: 'tokens'"):
            other.v1.products.retrieve("tokens")
        with pytest.raises(stripe.InvalidRequestError, match="No such product"):
            other.v1.products.list({"starting_after": product.id})
        with pytest.raises(stripe.InvalidRequestError, match="No such product"):
            other.v1.prices.create({"currency": "usd", "unit_amount": 1, "product": "tokens"})
        own = other.v1.products.create({"name": "Mine", "id": "tokens"})
        assert own.livemode is livemode
        assert [each.name for each in other.v1.products.list()] == ["Mine"]


def test_other_accounts_are_out_of_reach(client: stripe.StripeClient) -> None:
    own = client.v1.accounts.retrieve_current().id
    assert client.v1.products.list(options={"stripe_account": own}).data is not None

    with pytest.raises(stripe.PermissionError, match="does not have access to account 'acct_other'"):
        client.v1.products.list(options={"stripe_account": "acct_other"})


def test_the_account_is_the_keys_environment(base_url: str, client: stripe.StripeClient) -> None:
    account = client.v1.accounts.retrieve_current()

    assert account.id.startswith("acct_")
    assert account.settings is not None and account.settings.dashboard.display_name == "test"
