"""Tax rates: what they are called, how they change, what tells of them."""

from collections.abc import Callable

import pytest
import stripe

from tests.wire.conftest import stripe_client
from tests.wire.typed import assert_typed

EVERYTHING: stripe.params.TaxRateCreateParams = {
    "active": False,
    "country": "DE",
    "description": "for goods",
    "display_name": "VAT",
    "inclusive": True,
    "jurisdiction": "Germany",
    "metadata": {"book": "7"},
    "percentage": 19.1234,
    "state": "BE",
    "tax_type": "vat",
}


def test_every_parameter_is_read_back(client: stripe.StripeClient) -> None:
    created = client.v1.tax_rates.create(EVERYTHING)
    read = client.v1.tax_rates.retrieve(created.id)

    assert read == created
    assert_typed(read)
    assert read.id.startswith("txr_") and len(read.id) == 28
    plain = read.to_dict()
    assert {name: plain[name] for name in EVERYTHING} == EVERYTHING


def test_a_rate_made_by_hand_has_nothing_of_automatic_tax(client: stripe.StripeClient) -> None:
    rate = client.v1.tax_rates.create({"display_name": "GST", "inclusive": False, "percentage": 10})

    assert_typed(rate)
    assert (rate.active, rate.percentage, rate.inclusive, rate.livemode) == (True, 10, False, False)
    assert (rate.effective_percentage, rate.flat_amount, rate.jurisdiction_level) == (None, None, None)
    assert (rate.country, rate.state, rate.tax_type) == (None, None, None)


def test_names_change_and_are_told_with_what_they_were(client: stripe.StripeClient) -> None:
    rate = client.v1.tax_rates.create({"display_name": "VAT", "inclusive": False, "percentage": 20, "country": "gb"})

    changed = client.v1.tax_rates.update(
        rate.id,
        {
            "active": False,
            "country": "IE",
            "description": "moved",
            "display_name": "Irish VAT",
            "jurisdiction": "Ireland",
            "metadata": {"a": "b"},
            "state": "D",
            "tax_type": "vat",
        },
    )

    assert_typed(changed)
    assert (changed.active, changed.country, changed.display_name) == (False, "IE", "Irish VAT")
    assert (changed.percentage, changed.inclusive) == (20, False)
    told = client.v1.events.list({"types": ["tax_rate.created", "tax_rate.updated"], "limit": 2}).data
    assert [each.type for each in told] == ["tax_rate.updated", "tax_rate.created"]
    before = told[0].data.previous_attributes
    assert before is not None
    assert {name: before[name] for name in ("active", "country", "display_name")} == {
        "active": True,
        "country": "GB",
        "display_name": "VAT",
    }


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"percentage": 100.5}, "percentage"),
        ({"percentage": -1}, "percentage"),
        ({"percentage": "12.34567"}, "percentage"),
        ({"percentage": "a tenth"}, "percentage"),
        ({"country": "Germany"}, "country"),
        ({"tax_type": "window_tax"}, "tax_type"),
        ({"display_name": ""}, "display_name"),
        ({"rate": 3}, "rate"),
    ],
)
def test_what_is_no_rate_is_refused(client: stripe.StripeClient, wrong: dict[str, object], param: str) -> None:
    asked = {"display_name": "VAT", "inclusive": False, "percentage": 20} | wrong
    before = client.v1.tax_rates.list({"limit": 1}).data

    with pytest.raises(stripe.InvalidRequestError) as raised:
        client.v1.tax_rates.create(asked)  # type: ignore[arg-type]

    assert (raised.value.http_status, raised.value.param) == (400, param)
    assert client.v1.tax_rates.list({"limit": 1}).data == before


def test_what_a_rate_takes_never_changes(client: stripe.StripeClient) -> None:
    rate = client.v1.tax_rates.create({"display_name": "VAT", "inclusive": False, "percentage": 20})

    for fixed in ("percentage", "inclusive"):
        with pytest.raises(stripe.InvalidRequestError) as raised:
            client.v1.tax_rates.update(rate.id, {fixed: 21})  # type: ignore[arg-type]
        assert (raised.value.code, raised.value.param) == ("parameter_unknown", fixed)


def test_an_unknown_rate_is_not_found(client: stripe.StripeClient) -> None:
    for call in (client.v1.tax_rates.retrieve, client.v1.tax_rates.update):
        with pytest.raises(stripe.InvalidRequestError, match="No such tax rate: 'txr_nope'") as raised:
            call("txr_nope")
        assert (raised.value.http_status, raised.value.code, raised.value.param) == (
            404,
            "resource_missing",
            "tax_rate",
        )


def test_rates_are_listed_newest_first_and_narrowed(client: stripe.StripeClient) -> None:
    ids = [
        client.v1.tax_rates.create(
            {"display_name": "VAT", "inclusive": inclusive, "percentage": 20, "active": active}
        ).id
        for inclusive, active in ((False, True), (True, True), (False, False))
    ]

    assert [each.id for each in client.v1.tax_rates.list({"limit": 3}).data] == ids[::-1]
    assert [each.id for each in client.v1.tax_rates.list({"active": True, "limit": 2}).data] == [ids[1], ids[0]]
    assert [each.id for each in client.v1.tax_rates.list({"inclusive": False, "limit": 2}).data] == [ids[2], ids[0]]
    assert client.v1.tax_rates.list({"created": {"lt": 1_000_000}}).data == []
    paged = [each.id for each in client.v1.tax_rates.list({"limit": 1}).auto_paging_iter()]
    assert paged[:3] == ids[::-1]
    assert [each.id for each in client.v1.tax_rates.list({"ending_before": ids[0], "limit": 1}).data] == [ids[1]]


def test_a_restricted_key_needs_its_permission(base_url: str, add_key: Callable[..., str]) -> None:
    reading, other = (
        stripe_client(base_url, add_key(f"rk_test_{name}0000000000", kind="restricted", permissions={name: level}))
        for name, level in (("tax_rates", "read"), ("prices", "write"))
    )

    assert reading.v1.tax_rates.list({"created": {"lt": 1}}).data == []
    with pytest.raises(stripe.PermissionError, match="tax_rates: write"):
        reading.v1.tax_rates.create({"display_name": "VAT", "inclusive": False, "percentage": 20})
    with pytest.raises(stripe.PermissionError, match="tax_rates: read"):
        other.v1.tax_rates.list()


def test_no_rate_crosses_environments(client: stripe.StripeClient, base_url: str, add_key: Callable[..., str]) -> None:
    rate = client.v1.tax_rates.create({"display_name": "VAT", "inclusive": False, "percentage": 20})
    live = stripe_client(base_url, add_key("sk_live_taxRates0000000000", environment="live"))

    assert live.v1.tax_rates.list().data == []
    with pytest.raises(stripe.InvalidRequestError, match="No such tax rate"):
        live.v1.tax_rates.retrieve(rate.id)
    elsewhere = live.v1.customers.create()
    with pytest.raises(stripe.InvalidRequestError, match="No such tax rate") as raised:
        live.v1.invoices.create({"customer": elsewhere.id, "default_tax_rates": [rate.id]})
    assert (raised.value.http_status, raised.value.param) == (400, "default_tax_rates[0]")
