"""API versions: today's shapes, and those of older SDKs."""

from typing import Any

import httpx
import pytest
import stripe

from meterline.api.stripe import version
from meterline.api.stripe.error import StripeError
from meterline.api.stripe.params import Params
from tests.wire.conftest import SECRET, stripe_client

SPOKEN = [
    "2025-03-31.basil", "2025-08-27.basil", "2025-09-30.clover", "2026-02-25.clover", "2026-03-25.dahlia",
    "2026-08-26.dahlia", "2026-09-30.endive", "2026-10-28.endive",
]  # fmt: skip


@pytest.mark.parametrize("spoken", SPOKEN)
def test_versions_since_basil_are_spoken(raw: httpx.Client, spoken: str) -> None:
    answer = raw.get("/v1/products", headers={"stripe-version": spoken})

    assert answer.status_code == 200
    assert answer.headers["stripe-version"] == spoken


@pytest.mark.parametrize("refused", ["2024-06-20", "2025-02-24.acacia", "2020-08-27"])
def test_older_versions_are_refused_with_the_reason(raw: httpx.Client, refused: str) -> None:
    answer = raw.get("/v1/products", headers={"stripe-version": refused})

    assert answer.status_code == 400
    message = answer.json()["error"]["message"]
    assert message.startswith(f"Invalid Stripe API version: {refused}.")
    assert "2025-03-31.basil" in message


@pytest.mark.parametrize(
    "refused", ["latest", "2026-10-28", "2026-10-28.basil", "2025-03-31.endive", "2099-01-01.zinnia"]
)
def test_versions_that_never_were_are_refused(raw: httpx.Client, refused: str) -> None:
    answer = raw.get("/v1/products", headers={"stripe-version": refused})

    assert answer.json()["error"]["message"] == f"Invalid Stripe API version: {refused}"


def test_an_sdk_of_the_basil_days_sees_customers_as_they_were(base_url: str, client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({"business_name": "Ada Ltd", "name": "Ada"}).to_dict()
    basil = stripe_client(base_url, SECRET, version="2025-08-27.basil")

    seen = basil.v1.customers.retrieve(customer["id"]).to_dict()

    assert "business_name" in customer and "business_name" not in seen
    assert seen == {name: value for name, value in customer.items() if name != "business_name"}


@pytest.mark.parametrize("spoken", SPOKEN)
def test_products_and_prices_look_alike_in_every_version(
    base_url: str, client: stripe.StripeClient, spoken: str
) -> None:
    price = client.v1.prices.create({"currency": "usd", "unit_amount": 1, "product_data": {"name": "Tokens"}})
    older = stripe_client(base_url, SECRET, version=spoken)

    assert older.v1.prices.retrieve(price.id) == price
    assert older.v1.products.retrieve(str(price.product)) == client.v1.products.retrieve(str(price.product))


class Anchored(Params):
    anchor: str | None = None


class AnchoredMore(Anchored):
    """A parameter model inherits the upgrades of the one it extends."""


@pytest.fixture(scope="module")
def registered() -> None:
    """Two releases that changed the same object and the same parameter."""

    @version.before("2026-09-30", "thing")
    def plain_anchor(thing: dict[str, Any]) -> None:
        thing["anchor"] = thing["anchor"]["type"]

    @version.before("2025-09-30", "thing")
    def loud_anchor(thing: dict[str, Any]) -> None:
        thing["anchor"] = thing["anchor"].upper()

    @version.accepted_before("2025-09-30", Anchored)
    def quiet(raw: dict[str, Any]) -> None:
        raw["anchor"] = str(raw["anchor"]).lower()

    @version.accepted_before("2026-09-30", Anchored)
    def hash(raw: dict[str, Any]) -> None:
        raw["anchor"] = {"type": raw["anchor"]}


@pytest.mark.parametrize(
    ("spoken", "anchor"),
    [
        ("2026-10-28.endive", {"type": "now"}),
        ("2026-09-30.endive", {"type": "now"}),
        ("2026-08-26.dahlia", "now"),
        ("2025-09-30.clover", "now"),
        ("2025-08-27.basil", "NOW"),
    ],
)
def test_a_response_passes_every_later_release_newest_first(registered: None, spoken: str, anchor: object) -> None:
    body = {"object": "list", "data": [{"object": "thing", "anchor": {"type": "now"}}], "other": {"object": "other"}}

    version.shape(body, spoken)

    assert body["data"] == [{"object": "thing", "anchor": anchor}]


def test_parameters_pass_every_later_release_oldest_first(registered: None) -> None:
    sent = {"anchor": "NOW"}

    assert version.upgraded(AnchoredMore, sent, "2025-08-27.basil") == {"anchor": {"type": "now"}}
    assert version.upgraded(AnchoredMore, sent, "2026-08-26.dahlia") == {"anchor": {"type": "NOW"}}
    assert version.upgraded(AnchoredMore, sent, "2026-10-28.endive") == {"anchor": "NOW"}
    assert sent == {"anchor": "NOW"}, "what was sent stays, for the idempotency key"


def test_no_version_means_the_newest() -> None:
    assert version.spoken(None) == version.LATEST == stripe.api_version


def test_a_version_is_read_strictly() -> None:
    for odd in ("", " 2026-10-28.endive", "2026-10-28.endive\n", "２０２６-10-28.endive"):
        with pytest.raises(StripeError):
            version.spoken(odd)
