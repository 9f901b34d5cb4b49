"""Coupons and promotion codes through the official SDK: offered, restricted, taken back; told as they change."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import stripe

from tests.wire.billing import customer_with, draft_of
from tests.wire.selling import error
from tests.wire.typed import assert_typed


def coupon(client: stripe.StripeClient, **said: Any) -> stripe.Coupon:
    asked: Any = said if "amount_off" in said else {"percent_off": 10, **said}
    return client.v1.coupons.create(asked)


def code(client: stripe.StripeClient, of: stripe.Coupon, **said: Any) -> stripe.PromotionCode:
    asked: Any = {"promotion": {"type": "coupon", "coupon": of.id}, **said}
    return client.v1.promotion_codes.create(asked)


def told(client: stripe.StripeClient, type: str, id: str) -> list[stripe.Event]:
    """The events of that type about that object, oldest first."""
    events: Any = client.v1.events.list({"type": type, "limit": 100})
    return [event for event in reversed(events.data) if event.data.object["id"] == id]


def test_a_coupon_is_what_was_asked_for(client: stripe.StripeClient) -> None:
    product = client.v1.products.create({"name": "Seats"}).id
    made = coupon(
        client,
        id="SPRING-25",
        amount_off=500,
        currency="USD",
        currency_options={"eur": {"amount_off": 450}},
        duration="repeating",
        duration_in_months=3,
        applies_to={"products": [product]},
        max_redemptions=10,
        redeem_by=int(time.time()) + 86_400,
        name="Spring",
        metadata={"k": "v"},
        expand=["applies_to", "currency_options"],
    )

    assert_typed(made)
    assert (made.id, made.amount_off, made.currency, made.percent_off) == ("SPRING-25", 500, "usd", None)
    assert (made.duration, made.duration_in_months, made.times_redeemed, made.valid) == ("repeating", 3, 0, True)
    assert made.applies_to is not None and made.applies_to.products == [product]
    assert made.to_dict()["currency_options"] == {"eur": {"amount_off": 450}, "usd": {"amount_off": 500}}
    seen = client.v1.coupons.retrieve("SPRING-25")
    assert_typed(seen)
    assert "applies_to" not in seen.to_dict()


def test_a_coupon_without_a_name_gets_one_and_lasts_once(client: stripe.StripeClient) -> None:
    made = coupon(client, percent_off=12.5)

    assert (made.percent_off, made.duration, len(made.id)) == (12.5, "once", 8)


@pytest.mark.parametrize(
    ("said", "param"),
    [
        ({"percent_off": None}, None),
        ({"amount_off": 5, "percent_off": 5, "currency": "usd"}, "amount_off"),
        ({"percent_off": 101}, "percent_off"),
        ({"percent_off": 0}, "percent_off"),
        ({"amount_off": 0, "currency": "usd"}, "amount_off"),
        ({"amount_off": 5}, "currency"),
        ({"amount_off": 5, "currency": "nope"}, "currency"),
        ({"duration": "repeating"}, "duration_in_months"),
        ({"duration": "always"}, "duration"),
        ({"redeem_by": 1000}, "redeem_by"),
        ({"max_redemptions": 0}, "max_redemptions"),
        ({"applies_to": {"products": ["prod_nope"]}}, "applies_to[products][0]"),
        ({"wat": 1}, "wat"),
    ],
)
def test_what_no_coupon_can_be_is_refused(client: stripe.StripeClient, said: dict[str, Any], param: str | None) -> None:
    asked = {name: value for name, value in {"percent_off": 10, **said}.items() if value is not None}
    if "amount_off" in said and "percent_off" not in said:
        del asked["percent_off"]
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.coupons.create(asked)  # type: ignore[arg-type]
    assert (refused.value.http_status, refused.value.param) == (400, param)


def test_an_id_is_used_by_one_living_coupon(client: stripe.StripeClient) -> None:
    coupon(client, id="TWICE", percent_off=10)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        coupon(client, id="TWICE", percent_off=20)
    assert error(refused) == (400, "resource_already_exists", "id", "Coupon already exists.")

    assert client.v1.coupons.delete("TWICE").to_dict() == {"id": "TWICE", "object": "coupon", "deleted": True}
    with pytest.raises(stripe.InvalidRequestError) as gone:
        client.v1.coupons.retrieve("TWICE")
    assert error(gone) == (404, "resource_missing", "coupon", "No such coupon: 'TWICE'")
    assert coupon(client, id="TWICE", percent_off=20).percent_off == 20
    assert [each.type for each in _about(client, "TWICE")] == ["coupon.created", "coupon.deleted", "coupon.created"]


def _about(client: stripe.StripeClient, id: str) -> list[stripe.Event]:
    events: Any = client.v1.events.list({"type": "coupon.*", "limit": 100})
    return [event for event in reversed(events.data) if event.data.object["id"] == id]


def test_little_changes_of_a_coupon(client: stripe.StripeClient) -> None:
    made = coupon(client, amount_off=500, currency="usd", name="Old", metadata={"a": "1"})
    changed = client.v1.coupons.update(
        made.id,
        {
            "name": "New",
            "metadata": {"b": "2"},
            "currency_options": {"jpy": {"amount_off": 70}},
            "expand": ["currency_options"],
        },
    )

    assert (changed.name, changed.to_dict()["metadata"]) == ("New", {"a": "1", "b": "2"})
    assert changed.to_dict()["currency_options"]["jpy"] == {"amount_off": 70}
    [event] = told(client, "coupon.updated", made.id)
    assert event.data.to_dict()["previous_attributes"]["name"] == "Old"
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.coupons.update(made.id, {"percent_off": 5})  # type: ignore[arg-type]
    assert refused.value.code == "parameter_unknown"


def test_coupons_are_listed_newest_first(client: stripe.StripeClient) -> None:
    first, second = coupon(client), coupon(client)
    gone = coupon(client)
    client.v1.coupons.delete(gone.id)

    assert [each.id for each in client.v1.coupons.list({"limit": 2}).data] == [second.id, first.id]
    assert client.v1.coupons.list({"starting_after": gone.id, "limit": 1}).data[0].id == second.id


def test_a_promotion_code_is_what_was_asked_for(client: stripe.StripeClient, raw: httpx.Client) -> None:
    buyer = customer_with(client, None)
    offered = coupon(client, max_redemptions=5)
    made = code(
        client,
        offered,
        code="Hello-2026",
        customer=buyer.id,
        max_redemptions=3,
        expires_at=int(time.time()) + 3600,
        metadata={"k": "v"},
        restrictions={
            "first_time_transaction": True,
            "minimum_amount": 1000,
            "minimum_amount_currency": "usd",
            "currency_options": {"eur": {"minimum_amount": 900}},
        },
        expand=["promotion.coupon"],
    )

    assert_typed(made)
    whole = raw.get(f"/v1/promotion_codes/{made.id}?expand[]=restrictions.currency_options").json()
    assert_typed(whole)
    assert (made.code, made.active, made.times_redeemed, made.customer) == ("Hello-2026", True, 0, buyer.id)
    assert isinstance(made.promotion.coupon, stripe.Coupon) and made.promotion.coupon.id == offered.id
    assert (made.restrictions.minimum_amount, made.restrictions.minimum_amount_currency) == (1000, "usd")
    assert whole["restrictions"]["currency_options"]["eur"] == {"minimum_amount": 900}
    assert client.v1.promotion_codes.retrieve(made.id).promotion.coupon == offered.id
    assert len(told(client, "promotion_code.created", made.id)) == 1


def test_a_code_is_made_up_where_none_is_given(client: stripe.StripeClient) -> None:
    made = code(client, coupon(client))

    assert len(made.code) == 8
    assert made.restrictions.to_dict() == {
        "first_time_transaction": False,
        "minimum_amount": None,
        "minimum_amount_currency": None,
    }


@pytest.mark.parametrize(
    ("said", "param"),
    [
        ({"promotion": {"type": "coupon", "coupon": "nope"}}, "promotion[coupon]"),
        ({"promotion": {"type": "gift", "coupon": "nope"}}, "promotion[type]"),
        ({"code": "10 % off"}, "code"),
        ({"customer": "cus_nope"}, "customer"),
        ({"expires_at": 1000}, "expires_at"),
        ({"max_redemptions": 6}, "max_redemptions"),
        ({"restrictions": {"minimum_amount": 5}}, "restrictions[minimum_amount_currency]"),
        ({"restrictions": {"currency_options": {"eur": {"minimum_amount": 5}}}}, "restrictions[currency_options]"),
    ],
)
def test_what_no_promotion_code_can_be_is_refused(
    client: stripe.StripeClient, said: dict[str, Any], param: str
) -> None:
    offered = coupon(client, max_redemptions=5)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        code(client, offered, **said)
    assert (refused.value.http_status, refused.value.param) == (400, param)


def test_no_two_codes_that_work_read_the_same(client: stripe.StripeClient) -> None:
    offered = coupon(client)
    first = code(client, offered, code="SAME")
    with pytest.raises(stripe.InvalidRequestError) as refused:
        code(client, offered, code="same")
    assert refused.value.param == "code"

    assert code(client, offered, code="same", active=False).active is False
    client.v1.promotion_codes.update(first.id, {"active": False})
    second = code(client, offered, code="same")
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.promotion_codes.update(first.id, {"active": True})
    assert [each.id for each in client.v1.promotion_codes.list({"code": "SAME", "active": True}).data] == [second.id]


def test_a_code_for_one_customer_stands_beside_the_same_for_another(client: stripe.StripeClient) -> None:
    offered, ada, ben = coupon(client), customer_with(client, None), customer_with(client, None)
    code(client, offered, code="BIRTHDAY", customer=ada.id)
    code(client, offered, code="BIRTHDAY", customer=ben.id)

    assert [each.customer for each in client.v1.promotion_codes.list({"customer": ada.id}).data] == [ada.id]
    with pytest.raises(stripe.InvalidRequestError):
        code(client, offered, code="birthday", customer=ada.id)


def test_a_code_stops_working_with_its_coupon(client: stripe.StripeClient) -> None:
    offered = coupon(client)
    made = code(client, offered)
    client.v1.coupons.delete(offered.id)

    assert client.v1.promotion_codes.retrieve(made.id).active is False
    assert client.v1.promotion_codes.list({"coupon": offered.id, "active": True}).data == []
    assert len(client.v1.promotion_codes.list({"coupon": offered.id, "active": False}).data) == 1
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.promotion_codes.update(made.id, {"active": True})


def test_a_redemption_is_counted_and_told(client: stripe.StripeClient) -> None:
    buyer, offered = customer_with(client), coupon(client, max_redemptions=1)
    made = code(client, offered, max_redemptions=1)
    client.v1.invoices.create({"customer": buyer.id, "discounts": [{"promotion_code": made.id}]})

    seen = client.v1.coupons.retrieve(offered.id)
    assert (seen.times_redeemed, seen.valid) == (1, False)
    spent = client.v1.promotion_codes.retrieve(made.id)
    assert (spent.times_redeemed, spent.active) == (1, False)
    [event] = told(client, "coupon.updated", offered.id)
    assert event.data.to_dict()["previous_attributes"] == {"times_redeemed": 0, "valid": True}
    assert len(told(client, "promotion_code.updated", made.id)) == 1
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.invoices.create({"customer": buyer.id, "discounts": [{"coupon": offered.id}]})
    assert error(refused) == (
        400,
        "coupon_expired",
        "discounts[0][coupon]",
        f"Coupon {offered.id} is expired and cannot be applied.",
    )


def test_a_coupon_is_redeemed_as_often_as_it_may_be_however_many_try(client: stripe.StripeClient) -> None:
    offered = coupon(client, max_redemptions=3)
    buyers = [customer_with(client, None) for _ in range(8)]

    def redeem(buyer: stripe.Customer) -> bool:
        try:
            client.v1.invoices.create({"customer": buyer.id, "discounts": [{"coupon": offered.id}]})
        except stripe.InvalidRequestError as refused:
            return refused.code != "coupon_expired"
        return True

    with ThreadPoolExecutor(len(buyers)) as pool:
        assert sum(pool.map(redeem, buyers)) == 3
    assert client.v1.coupons.retrieve(offered.id).times_redeemed == 3


@pytest.mark.parametrize(
    ("restrictions", "words"),
    [
        ({"first_time_transaction": True}, "the associated customer has prior transactions"),
        ({"minimum_amount": 1001, "minimum_amount_currency": "usd"}, "below the minimum"),
        ({"minimum_amount": 1, "minimum_amount_currency": "eur"}, "not defined in usd"),
    ],
)
def test_a_code_is_for_who_and_what_it_says(
    client: stripe.StripeClient, restrictions: dict[str, Any], words: str
) -> None:
    buyer = customer_with(client)
    client.v1.invoices.pay(draft_of(client, buyer, 500).id)
    made = code(client, coupon(client), restrictions=restrictions)
    draft = draft_of(client, buyer, 1000)

    with pytest.raises(stripe.InvalidRequestError, match=words) as refused:
        client.v1.invoices.update(draft.id, {"discounts": [{"promotion_code": made.id}]})
    assert refused.value.param == "discounts[0][promotion_code]"
    assert client.v1.promotion_codes.retrieve(made.id).times_redeemed == 0


def test_a_code_that_is_met_is_redeemed(client: stripe.StripeClient) -> None:
    buyer = customer_with(client)
    limits = {"first_time_transaction": True, "minimum_amount": 1000, "minimum_amount_currency": "usd"}
    made = code(client, coupon(client), restrictions=limits, customer=buyer.id)

    draft = client.v1.invoices.update(
        draft_of(client, buyer, 1000).id, {"discounts": [{"promotion_code": made.id}], "expand": ["discounts"]}
    )

    assert draft.total == 900
    [discount] = draft.discounts
    assert isinstance(discount, stripe.Discount)
    assert (discount.promotion_code, discount.source.coupon) == (made.id, made.promotion.coupon)
    other = customer_with(client)
    with pytest.raises(stripe.InvalidRequestError, match="another customer"):
        client.v1.invoices.create({"customer": other.id, "discounts": [{"promotion_code": made.id}]})


def test_before_clover_coupons_were_shown_whole(raw: httpx.Client, client: stripe.StripeClient) -> None:
    basil = {"stripe-version": "2025-08-27.basil"}
    offered = coupon(client, name="Ten")
    made = raw.post("/v1/promotion_codes", data={"coupon": offered.id}, headers=basil).json()
    assert "promotion" not in made
    assert (made["coupon"]["object"], made["coupon"]["percent_off"]) == ("coupon", 10)

    buyer = customer_with(client)
    asked = {"customer": buyer.id, "discounts[0][promotion_code]": made["id"], "expand[]": "discounts"}
    [discount] = raw.post("/v1/invoices", data=asked, headers=basil).json()["discounts"]
    assert "source" not in discount
    assert (discount["coupon"]["id"], discount["coupon"]["name"]) == (offered.id, "Ten")
    newest = raw.get(f"/v1/promotion_codes/{made['id']}").json()
    assert newest["promotion"] == {"coupon": offered.id, "type": "coupon"}
    assert "coupon" not in newest
