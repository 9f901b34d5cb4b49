"""Credyt's own SDK against this server: only the endpoint and the key are changed."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, cast
from uuid import uuid4

import pytest
from corehttp.credentials import ServiceKeyCredential
from corehttp.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from credytapi import CredytApiClient
from credytapi import models as m

from tests.wire.conftest import SECRET


@pytest.fixture(scope="module")
def credyt(base_url: str) -> Iterator[CredytApiClient]:
    with CredytApiClient(ServiceKeyCredential(SECRET), endpoint=base_url, retry_total=0) as opened:
        yield opened


def usage_price(event_type: str, unit_price: object, **more: Any) -> m.UsageBasedPrice:
    return m.UsageBasedPrice(
        name="Per Image",
        usage_calculation=m.UsageCalculation(event_type=event_type, usage_type="unit"),
        billing_model=m.RealTimeBilling(),
        pricing=[m.UsageBasedAssetPricing(asset="USD", values_property=[m.PriceValue({"unit_price": unit_price})])],
        **more,
    )


@pytest.fixture(scope="module")
def product(credyt: CredytApiClient) -> m.CreateProductResponse:
    made = credyt.products.create(
        m.CreateProductRequest(
            name="AI Images", code="sdk_images", prices=[usage_price("sdk_image", Decimal("0.05"))], publish=True
        )
    )
    assert (made.code, made.version, made.status, made.is_default) == ("sdk_images", 1, "published", True)
    return made


def subscribed(credyt: CredytApiClient, external: str, code: str = "sdk_images") -> str:
    made = credyt.customers.create(
        m.CreateCustomerRequest(
            name="Jane",
            external_id=external,
            email=f"{external}@example.com",
            subscriptions=[m.CreateCustomerSubscription(products=[m.CustomerSubscriptionProduct(code=code)])],
        )
    )
    assert [each.status for each in made.subscriptions] == ["active"]
    return str(made.id)


def give(credyt: CredytApiClient, customer: str, amount: str, asset: str = "USD") -> None:
    credyt.wallets.customer_wallet_ops.create_adjustment(
        customer,
        m.CreateAdjustmentRequest(
            transaction_id=str(uuid4()), asset=asset, amount=Decimal(amount), reason=m.AdjustmentReason.GIFT
        ),
    )


def available(credyt: CredytApiClient, customer: str, asset: str = "USD") -> Decimal:
    return credyt.wallets.customer_wallet_ops.get_account(customer, f"default:{asset}").available


def event(**more: Any) -> m.UsageEvent:
    told: dict[str, Any] = {"id": str(uuid4()), "event_type": "sdk_image", "occurred_at": datetime.now(UTC)}
    return m.UsageEvent(**(told | more))


@pytest.mark.usefixtures("product")
def test_usage_is_sent_and_read_again_with_its_fee_and_its_cost(credyt: CredytApiClient) -> None:
    jane = subscribed(credyt, "sdk_usage")
    give(credyt, jane, "1")
    vendor = credyt.vendors.vendors_ops.create_vendor(m.CreateVendorRequest(name="GPU", external_id="sdk_gpu"))
    cost = m.CostData(
        {"id": "cost_1", "vendor_external_id": "sdk_gpu", "category": "compute", "amount": Decimal("0.02")}
    )
    told = event(subject="sdk_job", data={"size": "large"}, costs=[cost])
    credyt.events.send_usage(m.UsageRequest(customer_external_id="sdk_usage", events=[told]))
    assert available(credyt, jane) == Decimal("0.95")

    found = credyt.events.get(told.id)
    [fee] = found.fees
    assert (found.customer_id, found.data) == (jane, {"size": "large"})
    assert (fee["amount"], fee["unit_price"], fee.currency, fee.usage_type) == (0.05, 0.05, "USD", "unit")
    assert (fee.product_code, fee.product_version, fee.price_name) == ("sdk_images", 1, "Per Image")
    assert [each["amount"] for each in found.costs or []] == [0.02]
    assert found.stats is not None and (found.stats["net_revenue"], found.stats["margin"]) == (0.03, 60)

    listed = credyt.events.list(customer_id=jane, subject="sdk_job", has_fees=True)
    assert [each.id for each in listed.items_property] == [told.id]
    assert listed.total_count == 1
    assert credyt.events.list(customer_id=jane, has_fees=False).total_count == 0
    assert credyt.events.list(event_id=told.id, period_from=datetime.now(UTC).date()).total_count == 1
    stats = credyt.vendors.vendors_ops.get_vendor_stats(vendor.id)
    assert [(each.category, each["cost"]) for each in stats.categories] == [("compute", 0.02)]
    assert credyt.customers.get_stats(jane)["gross_revenue"] == 0.05
    page = credyt.customers.list_stats(limit=500)
    assert jane in [each.id for each in page.items_property] and page.summary.currency == "USD"


@pytest.mark.usefixtures("product")
def test_rejected_usage_is_an_error_for_who_reads_no_answers(credyt: CredytApiClient) -> None:
    jane = subscribed(credyt, "sdk_rejected")
    told = event(subject="one")
    credyt.events.send_usage(m.UsageRequest(customer_id=jane, events=[told]))
    credyt.events.send_usage(m.UsageRequest(customer_id=jane, events=[told]))
    other = event(id=told.id, subject="another")
    with pytest.raises(ResourceExistsError):
        credyt.events.send_usage(m.UsageRequest(customer_id=jane, events=[other]))
    tokens = m.UsageBasedPrice(
        name="Tokens",
        usage_calculation=m.UsageCalculation(event_type="sdk_tokens", usage_type="volume", volume_field="tokens"),
        billing_model=m.RealTimeBilling(),
        pricing=[m.UsageBasedAssetPricing(asset="USD", values_property=[m.PriceValue(volume_rate=2)])],
    )
    asked = m.CreateProductRequest(name="Tokens", code="sdk_tokens", prices=[tokens], publish=True)
    credyt.products.create(asked)
    joe = subscribed(credyt, "sdk_without_volume", "sdk_tokens")
    empty = event(event_type="sdk_tokens", data={"words": 7})
    with pytest.raises(HttpResponseError) as refused:
        credyt.events.send_usage(m.UsageRequest(customer_id=joe, events=[empty]))
    assert refused.value.status_code == 422
    problem = cast("m.ValidationProblem", refused.value.model)
    assert problem.errors == {"events[0]": ["The event needs a number under 'tokens'."]}
    with pytest.raises(ResourceNotFoundError):
        credyt.events.get("never_told")


def test_a_product_has_drafts_and_versions_that_stay_as_they_are(
    credyt: CredytApiClient, product: m.CreateProductResponse
) -> None:
    draft = credyt.products.create_version(
        product.id, m.CreateProductVersionRequest(prices=[usage_price("sdk_image", Decimal("0.08"))])
    )
    assert (draft.version, draft.status, draft.is_default) == (2, "draft", False)
    fees = credyt.products.simulate_usage(product.id, 2, m.SimulateUsageRequest(events=[event()]))
    assert [(each["amount"], each.price_name) for each in fees.fees] == [(0.08, "Per Image")]
    nothing = credyt.products.simulate_usage(product.id, 1, m.SimulateUsageRequest(events=[event(event_type="x")]))
    assert nothing.fees == [] and nothing.warnings

    jane = subscribed(credyt, "sdk_versions")
    credyt.products.update_version(product.id, 2, m.UpdateProductVersionRequest(publish=True, make_default=True))
    whole = credyt.products.get(product.id)
    assert whole.default_version.version == 2
    [price] = whole.default_version.prices
    assert (price["pricing"][0]["values"][0]["unit_price"], price["pricing_model"]) == (0.08, "flat")
    assert [(each.version, each.status) for each in whole.versions] == [(2, "published"), (1, "published")]
    [item] = credyt.products.list(code="sdk_images").items_property
    assert (item.id, item.name) == (product.id, "AI Images")

    [subscription] = credyt.customers.get(jane).subscriptions or []
    assert [each.version for each in subscription.products] == [1]
    credyt.customers.update_subscription_product(
        jane, subscription.id, product.id, m.UpdateCustomerSubscriptionProductRequest(version="default")
    )
    [row] = [each for each in credyt.products.get_subscribers(product.id).items_property if each.customer_id == jane]
    assert (row.version, row.subscription_status, row.customer_name) == (2, "active", "Jane")
    credyt.products.archive_version(product.id, 1)
    assert credyt.products.get_version(product.id, 1).status == "archived"
    with pytest.raises(HttpResponseError):
        credyt.products.archive_version(product.id, 2)


def test_a_product_that_was_never_used_is_deleted_and_a_used_one_is_archived(credyt: CredytApiClient) -> None:
    asked = m.CreateProductRequest(name="Gone", code="sdk_gone", prices=[usage_price("sdk_gone", 1)], publish=True)
    unused = credyt.products.create(asked)
    credyt.products.delete(unused.id)
    with pytest.raises(ResourceNotFoundError):
        credyt.products.get(unused.id)
    used = credyt.products.create(asked)
    subscribed(credyt, "sdk_gone", "sdk_gone")
    credyt.products.delete(used.id)
    assert credyt.products.get_version(used.id, 1).status == "archived"
    assert credyt.products.list(code="sdk_gone").total_count == 0


@pytest.mark.usefixtures("product")
def test_customers_are_found_by_what_they_are_called(credyt: CredytApiClient) -> None:
    jane = subscribed(credyt, "sdk_found")
    assert credyt.customers.list(email="sdk_found@example.com").items_property[0].id == jane
    assert credyt.customers.list(customer_id=jane, status="active").items_property[0].active_subscription_count == 1
    assert credyt.customers.list(customer_id=jane, status="inactive").items_property == []
    with pytest.raises(ResourceNotFoundError):
        credyt.customers.list(external_id="sdk_nobody")
    credyt.customers.update(jane, m.UpdateCustomerRequest(name="Janet", external_id="sdk_found_2"))
    found = credyt.customers.get(jane)
    assert (found.name, found.external_id, found.email) == ("Janet", "sdk_found_2", "sdk_found@example.com")
    with pytest.raises(ResourceExistsError):
        credyt.customers.create(m.CreateCustomerRequest(name="Copy", external_id="sdk_found_2"))
    stripe = m.ExternalAccount(provider="stripe", provider_id="cus_of_stripe")
    other = credyt.customers.create(m.CreateCustomerRequest(name="Both", external_accounts=[stripe]))
    assert [each.provider_id for each in credyt.customers.get(other.id).external_accounts or []] == ["cus_of_stripe"]


@pytest.mark.usefixtures("product")
def test_a_subscription_ends_and_begins_again(credyt: CredytApiClient) -> None:
    jane = subscribed(credyt, "sdk_again")
    [subscription] = credyt.customers.get(jane).subscriptions or []
    for status in ("inactive", "active"):
        credyt.customers.update_subscription(
            jane, subscription.id, m.UpdateCustomerSubscriptionRequest({"status": status})
        )
        [found] = credyt.customers.get(jane).subscriptions or []
        assert found.status == status
    later = datetime.now(UTC) + timedelta(days=3)
    scheduled = credyt.customers.create_subscription(
        jane,
        m.CreateCustomerSubscription(
            products=[m.CustomerSubscriptionProduct(code="sdk_images")],
            starts_at=later,
            renews_at=later + timedelta(days=30),
        ),
    )
    assert (scheduled.status, scheduled.started_at) == ("scheduled", None)
    assert scheduled.renews_at == later + timedelta(days=30)


def test_units_of_the_sellers_own_are_sold_at_dated_rates(credyt: CredytApiClient) -> None:
    credyt.assets.create(
        m.CreateAssetRequest(
            code="SDKC",
            name="Credits",
            precision=2,
            symbol="✨",
            rates=[m.StartingExchangeRate(source="USD", inverse_rate=Decimal(3))],
        )
    )
    then = datetime.now(UTC)
    credyt.assets.add_rate("SDKC", m.AddAssetRateRequest(source="USD", rate=Decimal("0.25")))
    asset = credyt.assets.get("SDKC")
    assert (asset.precision, asset.symbol, asset.label) == (2, "✨", "SDKC")
    [rates] = asset.rates or []
    newest, oldest = rates.schedule
    assert (newest.rate, newest.valid_to, newest.inverse_rate) == (Decimal("0.25"), None, Decimal(4))
    assert oldest.valid_to == newest.valid_from
    quote = credyt.assets.quote("SDKC", m.QuoteAssetRequest(source="USD", amount=Decimal(10)))
    assert (quote.destination, quote.destination_amount) == ("SDKC", Decimal(40))
    past = credyt.assets.quote("SDKC", m.QuoteAssetRequest(source="USD", amount=Decimal("0.5"), exchange_at=then))
    assert past.destination_amount == Decimal("1.5")
    assert "SDKC" in [each.code for each in credyt.assets.list(limit=500).items_property]
    assert credyt.assets.get("USD").precision == 2


@pytest.mark.usefixtures("product")
def test_value_is_moved_by_hand_and_shown(credyt: CredytApiClient) -> None:
    jane, ops = subscribed(credyt, "sdk_moved"), credyt.wallets.customer_wallet_ops
    ends = datetime.now(UTC) + timedelta(days=9)
    gift = m.CreateAdjustmentRequest(
        transaction_id="sdk_gift",
        asset="USD",
        amount=Decimal("5.5"),
        reason="gift",
        description="Welcome",
        expires_at=ends,
        metadata={"campaign": "spring"},
    )
    made = ops.create_adjustment(jane, gift)
    assert (made.id, ops.create_adjustment(jane, gift).created_at) == ("sdk_gift", made.created_at)
    found = ops.get_transaction(jane, "sdk_gift")
    assert (found.type, found.account_id, found.amount) == ("adjustment", "default:USD", Decimal("5.5"))
    assert (found.metadata, found.executed_at) == ({"campaign": "spring"}, made.created_at)

    ops.create_charge(
        jane,
        m.CreateChargeRequest(
            transaction_id="sdk_charge", asset="USD", amount=Decimal("1.5"), subject="run", input_units=3
        ),
    )
    assert ops.get_transaction(jane, "sdk_charge").amount == Decimal("-1.5")
    assert [(each.id, each.available) for each in ops.get_customer_wallet(jane).accounts] == [
        ("default:USD", Decimal(4))
    ]
    [grant] = ops.get_credit_grants(jane, "default:USD", exclude_expired=True).items_property
    assert (grant.available, grant.expires_at.date()) == (4, ends.date())
    late = datetime.now(UTC) + timedelta(days=1)
    assert ops.get_credit_grants(jane, "default:USD", effective_from=late).total_count == 0
    assert ops.get_credit_grants(jane, "default:USD", expired_to=late).items_property == []

    coming = m.CreateAdjustmentRequest(
        transaction_id="sdk_later", asset="USD", amount=Decimal(7), reason="other", effective_at=late
    )
    ops.create_adjustment(jane, coming)
    account = ops.get_account(jane, "default:USD")
    assert (account.available, account.pending_in, account.pending_out) == (Decimal(4), Decimal(7), Decimal(0))
    assert ops.get_transaction(jane, "sdk_later").executed_at is None
    with pytest.raises(HttpResponseError) as refused:
        ops.create_charge(jane, m.CreateChargeRequest(transaction_id="sdk_much", asset="USD", amount=Decimal(100)))
    assert refused.value.status_code == 402


@pytest.mark.usefixtures("product")
def test_a_top_up_says_what_it_buys(credyt: CredytApiClient) -> None:
    jane = subscribed(credyt, "sdk_topped")
    credyt.assets.create(m.CreateAssetRequest(code="SDKT", name="Tokens", precision=0))
    made = credyt.top_ups.initiate(
        m.InitiateTopUpRequest(
            customer_id=jane,
            amount=Decimal("25.00"),
            currency="USD",
            destination=m.TopUpDestination(asset="SDKT", exchange_rate=Decimal("0.03")),
            return_url="https://app.example.com/back",
            failure_url="https://app.example.com/failed",
        )
    )
    assert made.status == "initiated" and made.redirect_url.startswith("http")
    found = credyt.top_ups.get(made.id)
    assert (found.amount, found.currency, found.destination and found.destination.asset) == (Decimal(25), "USD", "SDKT")


def test_the_account_of_the_key_is_the_only_one(credyt: CredytApiClient) -> None:
    own = credyt.accounts.get_context()
    assert own.environment == "test"
    assert credyt.accounts.list().items_property == []
    with pytest.raises(HttpResponseError) as refused:
        credyt.accounts.create(m.CreateAccountRequest(name="Connected"))
    assert refused.value.status_code == 422
    assert "not offered" in str(refused.value)
    with pytest.raises(HttpResponseError):
        credyt.assets.list(headers={"X-CREDYT-ACCOUNT": "acc_somebody"})
    assert credyt.assets.list(headers={"X-CREDYT-ACCOUNT": own.account_id}).offset == 0
