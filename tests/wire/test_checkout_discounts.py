"""Discounts on hosted checkouts: given by the shop, or typed as a code by whoever pays."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import stripe

from tests.wire.billing import customer_with
from tests.wire.selling import error
from tests.wire.test_coupons import code, coupon
from tests.wire.test_hosted_pages import PAYER, checkout, submit, top_up

BUYER = {"email": "ada@example.com", "name": "Ada"}


@pytest.fixture
def browser(base_url: str) -> Iterator[httpx.Client]:
    """Somebody with nothing but links."""
    with httpx.Client(base_url=base_url, follow_redirects=False, timeout=30) as opened:
        yield opened


def type_code(browser: httpx.Client, session: stripe.checkout.Session, typed: str) -> httpx.Response:
    return submit(browser, session.url, {"act": "discount", "promotion_code": typed})


def seen(client: stripe.StripeClient, session: stripe.checkout.Session) -> stripe.checkout.Session:
    return client.v1.checkout.sessions.retrieve(session.id, {"expand": ["line_items", "payment_intent"]})


def test_a_checkout_is_opened_with_a_discount_and_paid_for_the_rest(
    client: stripe.StripeClient, browser: httpx.Client
) -> None:
    offered = coupon(client, name="Spring sale")
    session = checkout(client, discounts=[{"coupon": offered.id}])
    assert (session.amount_subtotal, session.amount_total) == (5000, 4500)
    assert session.total_details is not None and session.total_details.amount_discount == 500
    assert [each.to_dict() for each in session.discounts or []] == [{"coupon": offered.id, "promotion_code": None}]
    assert client.v1.coupons.retrieve(offered.id).times_redeemed == 0

    shown = browser.get(str(session.url)).text
    assert "Spring sale" in shown and "-$5.00" in shown and "$45.00" in shown
    assert submit(browser, session.url, PAYER).status_code == 303
    done: Any = seen(client, session)
    assert (done.payment_status, done.payment_intent.amount_received) == ("paid", 4500)
    [line] = done.line_items.data
    assert (line.amount_subtotal, line.amount_discount, line.amount_total) == (5000, 500, 4500)
    assert client.v1.coupons.retrieve(offered.id).times_redeemed == 1


def test_a_code_is_typed_taken_back_and_typed_again(client: stripe.StripeClient, browser: httpx.Client) -> None:
    made = code(client, coupon(client, amount_off=2000, currency="usd"), code="TYPE-ME")
    session = checkout(client, allow_promotion_codes=True)
    assert session.allow_promotion_codes is True
    assert "Promotion code" in browser.get(str(session.url)).text

    wrong = type_code(browser, session, "NOPE")
    assert (wrong.status_code, "This code is invalid." in wrong.text) == (400, True)
    assert type_code(browser, session, "type-me").status_code == 303
    applied = seen(client, session)
    assert applied.amount_total == 3000
    assert [each.to_dict() for each in applied.discounts or []] == [{"coupon": None, "promotion_code": made.id}]
    assert "Remove the promotion code" in browser.get(str(session.url)).text
    assert type_code(browser, session, "").status_code == 303
    assert seen(client, session).amount_total == 5000
    type_code(browser, session, "TYPE-ME")
    assert submit(browser, session.url, PAYER).status_code == 303

    assert client.v1.promotion_codes.retrieve(made.id).times_redeemed == 1
    type_code(browser, session, "")
    assert seen(client, session).amount_total == 3000


def test_a_code_does_not_work_where_the_shop_takes_none(client: stripe.StripeClient, browser: httpx.Client) -> None:
    code(client, coupon(client), code="UNWANTED")
    session = checkout(client)

    assert "Promotion code" not in browser.get(str(session.url)).text
    assert type_code(browser, session, "UNWANTED").status_code == 400
    assert seen(client, session).amount_total == 5000


def test_codes_of_customers_and_their_limits(client: stripe.StripeClient, browser: httpx.Client) -> None:
    ada = customer_with(client, None)
    offered = coupon(client)
    code(client, offered, code="FOR-ADA", customer=ada.id)
    code(client, offered, code="BIG", restrictions={"minimum_amount": 5001, "minimum_amount_currency": "usd"})
    stranger, known = (
        checkout(client, allow_promotion_codes=True),
        checkout(client, allow_promotion_codes=True, customer=ada.id),
    )

    assert type_code(browser, stranger, "FOR-ADA").status_code == 400
    assert type_code(browser, known, "FOR-ADA").status_code == 303
    small = type_code(browser, stranger, "BIG")
    assert (small.status_code, "minimum" in small.text) == (400, True)


def test_what_is_discounted_away_needs_no_card(client: stripe.StripeClient, browser: httpx.Client) -> None:
    session = checkout(client, discounts=[{"coupon": coupon(client, percent_off=100).id}])
    assert (session.amount_total, session.payment_status) == (0, "no_payment_required")
    assert "Complete the order" in browser.get(str(session.url)).text

    assert submit(browser, session.url, BUYER).status_code == 303
    done = seen(client, session)
    assert (done.status, done.payment_status, done.payment_intent) == ("complete", "no_payment_required", None)


def test_a_discount_leaves_nothing_or_what_can_be_paid(client: stripe.StripeClient, browser: httpx.Client) -> None:
    nearly = coupon(client, amount_off=4970, currency="usd")
    with pytest.raises(stripe.InvalidRequestError) as refused:
        checkout(client, discounts=[{"coupon": nearly.id}])
    assert error(refused)[2] == "discounts[0][coupon]"
    code(client, nearly, code="NEARLY")
    session = checkout(client, allow_promotion_codes=True)
    assert type_code(browser, session, "NEARLY").status_code == 400


def test_a_subscription_is_bought_at_a_discount_that_stays(client: stripe.StripeClient, browser: httpx.Client) -> None:
    price = client.v1.prices.create(
        {
            "currency": "usd",
            "unit_amount": 2000,
            "recurring": {"interval": "month"},
            "product_data": {"name": "Seats"},
        }
    )
    made = code(client, coupon(client, duration="forever"), code="FOR-GOOD")
    session = checkout(
        client, "subscription", allow_promotion_codes=True, line_items=[{"price": price.id, "quantity": 2}]
    )
    assert type_code(browser, session, "for-good").status_code == 303
    assert submit(browser, session.url, PAYER).status_code == 303

    done = client.v1.checkout.sessions.retrieve(session.id, {"expand": ["subscription.discounts", "invoice"]})
    assert isinstance(done.subscription, stripe.Subscription) and isinstance(done.invoice, stripe.Invoice)
    assert done.amount_total == done.invoice.amount_paid == 3600
    [discount] = done.subscription.discounts
    assert isinstance(discount, stripe.Discount)
    assert (discount.promotion_code, discount.checkout_session) == (made.id, None)


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"discounts": [{"coupon": "nope"}]}, "discounts[0][coupon]"),
        ({"discounts": [{"coupon": "a"}], "allow_promotion_codes": True}, "discounts"),
        ({"discounts": [{"coupon": "a"}, {"coupon": "b"}]}, "discounts"),
        ({"discounts": [{"discount": "di_1"}]}, "discounts[0][discount]"),
    ],
)
def test_what_no_checkout_can_offer_is_refused(client: stripe.StripeClient, more: dict[str, Any], param: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        checkout(client, line_items=[top_up(5000)], **more)
    assert refused.value.param == param
