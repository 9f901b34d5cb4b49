"""What portals offer, by the official SDK."""

from typing import Any

import pytest
import stripe

from tests.wire.billing import Month
from tests.wire.test_credits import JUNE
from tests.wire.typed import assert_typed


def configuration(client: stripe.StripeClient, features: dict[str, Any], **more: Any) -> Any:
    asked: Any = {"features": {"invoice_history": {"enabled": False}} | features, **more}
    return client.v1.billing_portal.configurations.create(asked)


def changed(client: stripe.StripeClient, id: str, **change: Any) -> Any:
    asked: Any = change
    return client.v1.billing_portal.configurations.update(id, asked)


def test_a_configuration_says_what_customers_may_do(client: stripe.StripeClient) -> None:
    made = configuration(
        client,
        {
            "customer_update": {"enabled": True, "allowed_updates": ["email", "address"]},
            "invoice_history": {"enabled": True},
            "payment_method_update": {"enabled": True},
            "subscription_cancel": {
                "enabled": True,
                "mode": "immediately",
                "proration_behavior": "create_prorations",
                "cancellation_reason": {"enabled": True, "options": ["unused", "other"]},
            },
        },
        business_profile={"headline": "Pixelworks", "privacy_policy_url": "https://pixel.example/privacy"},
        default_return_url="https://pixel.example/account",
        metadata={"plan": "all"},
        name="Everything",
    )
    assert_typed(made)
    assert (made.active, made.is_default, made.name) == (True, False, "Everything")
    assert made.business_profile.headline == "Pixelworks"
    assert made.features.customer_update.allowed_updates == ["email", "address"]
    cancel = made.features.subscription_cancel
    assert (cancel.mode, cancel.proration_behavior) == ("immediately", "create_prorations")
    assert cancel.cancellation_reason.options == ["unused", "other"]
    assert not made.features.subscription_update.enabled
    assert client.v1.billing_portal.configurations.retrieve(made.id).to_dict() == made.to_dict()


def test_a_change_leaves_the_rest_as_it_was(client: stripe.StripeClient) -> None:
    made = configuration(client, {"invoice_history": {"enabled": True}}, name="Bills", metadata={"a": "1"})
    after = changed(
        client,
        made.id,
        features={"subscription_cancel": {"enabled": True}},
        login_page={"enabled": True},
        metadata={"b": "2"},
        name="",
    )
    assert_typed(after)
    assert after.features.invoice_history.enabled and after.features.subscription_cancel.enabled
    assert (after.name, after.metadata.to_dict()) == (None, {"a": "1", "b": "2"})
    assert after.login_page.url is not None and after.login_page.url.endswith(f"/portal/test/login/{made.id}")
    off = changed(client, made.id, active=False, login_page={"enabled": False})
    assert (off.active, off.login_page.url) == (False, None)
    told = client.v1.events.list({"type": "billing_portal.configuration.updated"}).data
    assert_typed(told[0])
    assert told[0].data.previous_attributes is not None
    assert told[0].data.previous_attributes["active"] is True


def test_lists_are_narrowed(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({})
    session = client.v1.billing_portal.sessions.create({"customer": customer.id})
    on = configuration(client, {})
    off = changed(client, configuration(client, {}).id, active=False)
    found = {each.id for each in client.v1.billing_portal.configurations.list({"active": True}).data}
    assert on.id in found and off.id not in found
    [default] = client.v1.billing_portal.configurations.list({"is_default": True}).data
    assert default.id == session.configuration
    assert_typed(default)


def test_products_that_customers_may_move_between(client: stripe.StripeClient) -> None:
    month = Month(client, start=JUNE)
    product = str(month.seat.product)
    made = configuration(
        client,
        {
            "subscription_update": {
                "enabled": True,
                "default_allowed_updates": ["price", "quantity"],
                "products": [
                    {
                        "product": product,
                        "prices": [month.seat.id],
                        "adjustable_quantity": {"enabled": True, "minimum": 1, "maximum": 20},
                    }
                ],
                "proration_behavior": "create_prorations",
            }
        },
    )
    assert_typed(made)
    [offered] = made.features.subscription_update.products
    assert (offered.product, offered.prices, offered.adjustable_quantity.maximum) == (product, [month.seat.id], 20)


def test_what_contradicts_itself_is_refused(client: stripe.StripeClient) -> None:
    month = Month(client, start=JUNE)
    before = len(client.v1.billing_portal.configurations.list({"limit": 100}).data)
    update = {"enabled": True, "default_allowed_updates": ["price"]}
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"customer_update": {"enabled": True, "allowed_updates": []}}, "features[customer_update][allowed_updates]"),
        ({"customer_update": {"enabled": True, "allowed_updates": ["age"]}}, "features[customer_update]"),
        (
            {"subscription_cancel": {"enabled": True, "proration_behavior": "create_prorations"}},
            "features[subscription_cancel][proration_behavior]",
        ),
        ({"subscription_pause": {"enabled": True}}, "features[subscription_pause][enabled]"),
        ({"subscription_update": update}, "features[subscription_update][products]"),
        (
            {"subscription_update": update | {"products": [{"product": "prod_x", "prices": ["price_none"]}]}},
            "features[subscription_update][products][0][prices][0]",
        ),
        (
            {"subscription_update": update | {"products": [{"product": "prod_x", "prices": [month.seat.id]}]}},
            "features[subscription_update][products][0][prices][0]",
        ),
        (
            {
                "subscription_update": update
                | {"products": [{"product": str(month.tokens.product), "prices": [month.tokens.id]}]}
            },
            "features[subscription_update][products][0][prices][0]",
        ),
    ]
    for features, param in wrong:
        with pytest.raises(stripe.InvalidRequestError) as refused:
            configuration(client, features)
        assert str(refused.value.param).startswith(param), features
    with pytest.raises(stripe.InvalidRequestError, match="Not a valid URL"):
        configuration(client, {}, default_return_url="javascript:alert(1)")
    with pytest.raises(stripe.InvalidRequestError, match="No such configuration"):
        client.v1.billing_portal.configurations.retrieve("bpc_none")
    assert len(client.v1.billing_portal.configurations.list({"limit": 100}).data) == before


def test_the_default_configuration_stays_on(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({})
    default = str(client.v1.billing_portal.sessions.create({"customer": customer.id}).configuration)
    with pytest.raises(stripe.InvalidRequestError, match="default"):
        changed(client, default, active=False)
