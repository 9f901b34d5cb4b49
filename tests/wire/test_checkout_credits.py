"""Billing credits sold by a checkout: granted once when it is paid, whoever finds out, and in the books as sold."""

import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import stripe

from tests.wire import working
from tests.wire.billing import Month
from tests.wire.test_books_of_business import cents, standing
from tests.wire.test_credits import JUNE
from tests.wire.test_hosted_pages import PAYER, checkout, submit, top_up


@pytest.fixture
def browser(base_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=base_url, follow_redirects=False, timeout=60) as opened:
        yield opened


def selling(client: stripe.StripeClient, customer: str, **metadata: str) -> stripe.checkout.Session:
    return checkout(client, customer=customer, metadata={"credit_grant": "paid", **metadata})


def grants(client: stripe.StripeClient, customer: str) -> list[stripe.billing.CreditGrant]:
    return client.v1.billing.credit_grants.list({"customer": customer, "limit": 100}).data


def holder_page(browser: httpx.Client, session: stripe.checkout.Session) -> str:
    """Pay with a card that asks its holder; where they are asked."""
    asked = submit(browser, session.url, PAYER | {"number": "4000002760003184"})
    return str(browser.base_url.join(asked.headers["location"]))


def test_credits_are_granted_when_the_checkout_is_paid(
    client: stripe.StripeClient, browser: httpx.Client, dsn: str
) -> None:
    customer = client.v1.customers.create({})
    session = selling(client, customer.id, credit_grant_name="Starter pack", credit_grant_days="30")
    assert grants(client, customer.id) == []
    assert submit(browser, session.url, PAYER).status_code == 303
    [grant] = grants(client, customer.id)
    assert grant.amount.monetary is not None
    assert (grant.amount.monetary.value, grant.category, grant.name) == (5000, "paid", "Starter pack")
    assert grant.expires_at is not None and grant.effective_at is not None
    assert grant.expires_at - grant.effective_at == 30 * 86_400
    assert grant.metadata["checkout_session"] == session.id
    books = standing(dsn)
    assert (books[customer.id, "credit_paid"], books[customer.id, "revenue"]) == (cents(5000), cents(0))
    assert -books[customer.id, "clearing:test"] == cents(5000)
    client.v1.billing.credit_grants.void_grant(grant.id)
    assert standing(dsn)[customer.id, "revenue"] == cents(5000)


def test_more_than_is_paid_is_a_gift_in_the_books(client: stripe.StripeClient, browser: httpx.Client, dsn: str) -> None:
    month = Month(client, start=JUNE)
    customer = month.customer.id
    session = selling(client, customer, credit_grant="6000", credit_grant_prices=month.tokens.id)
    submit(browser, session.url, PAYER)
    [grant] = grants(client, customer)
    assert grant.amount.monetary is not None and grant.amount.monetary.value == 6000
    assert grant.applicability_config.scope.prices is not None
    assert [each.id for each in grant.applicability_config.scope.prices] == [month.tokens.id]
    books = standing(dsn)
    assert (books[customer, "credit_paid"], -books[customer, "promo_expense"]) == (cents(6000), cents(1000))


def test_a_customer_is_made_for_the_credits(client: stripe.StripeClient, browser: httpx.Client) -> None:
    session = checkout(client, customer_creation="always", metadata={"credit_grant": "paid"})
    submit(browser, session.url, PAYER)
    done = client.v1.checkout.sessions.retrieve(session.id)
    assert len(grants(client, str(done.customer))) == 1


def test_whoever_finds_out_that_it_is_paid_they_are_granted_once(
    client: stripe.StripeClient, browser: httpx.Client, base_url: str
) -> None:
    customer = client.v1.customers.create({})
    session = selling(client, customer.id)
    step = holder_page(browser, session)
    assert grants(client, customer.id) == []

    def decide() -> None:
        httpx.post(step, data={"decision": "confirm"}, timeout=60)

    def look() -> None:
        httpx.get(f"{base_url}/hosted/checkout/test/{session.id}", timeout=60)

    racers = [threading.Thread(target=act) for act in (decide, look) * 4]
    for each in racers:
        each.start()
    for each in racers:
        each.join()
    assert client.v1.checkout.sessions.retrieve(session.id).status == "complete"
    assert len(grants(client, customer.id)) == 1


def test_a_payer_who_never_comes_back_has_the_credits(client: stripe.StripeClient, browser: httpx.Client) -> None:
    customer = client.v1.customers.create({})
    session = selling(client, customer.id)
    httpx.post(holder_page(browser, session), data={"decision": "confirm"}, timeout=60)
    assert client.v1.checkout.sessions.retrieve(session.id).payment_status == "paid"
    assert len(grants(client, customer.id)) == 1


def test_an_answer_that_was_lost_grants_them_when_it_is_found(
    client: stripe.StripeClient, browser: httpx.Client, dsn: str
) -> None:
    customer = client.v1.customers.create({})
    session = selling(client, customer.id)
    submit(browser, session.url, PAYER | {"number": "4000000000009235"})
    with working.running(dsn):
        for _ in range(300):
            if grants(client, customer.id):
                break
            threading.Event().wait(0.1)
    assert client.v1.checkout.sessions.retrieve(session.id).status == "complete"
    assert len(grants(client, customer.id)) == 1


def test_a_checkout_that_expires_or_is_declined_grants_nothing(
    client: stripe.StripeClient, browser: httpx.Client
) -> None:
    customer = client.v1.customers.create({})
    declined, expired = selling(client, customer.id), selling(client, customer.id)
    assert submit(browser, declined.url, PAYER | {"number": "4000000000000002"}).status_code == 402
    client.v1.checkout.sessions.expire(expired.id)
    assert grants(client, customer.id) == []


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"metadata": {"credit_grant": "lots"}}, "metadata[credit_grant]"),
        ({"metadata": {"credit_grant": "0"}}, "metadata[credit_grant]"),
        ({"metadata": {"credit_grant": "-5"}}, "metadata[credit_grant]"),
        ({"metadata": {"credit_grant": "paid", "credit_grant_days": "soon"}}, "metadata[credit_grant_days]"),
        ({"metadata": {"credit_grant": "paid", "credit_grant_priority": "101"}}, "metadata[credit_grant_priority]"),
        ({"metadata": {"credit_grant": "paid", "credit_grant_prices": "price_x"}}, "metadata[credit_grant_prices]"),
        ({"metadata": {"credit_grant": "paid"}, "customer": None}, "customer"),
        ({"metadata": {"credit_grant": "paid"}, "mode": "setup", "line_items": None}, "metadata[credit_grant]"),
    ],
)
def test_an_order_that_cannot_be_filled_is_refused_before_anybody_pays(
    client: stripe.StripeClient, more: dict[str, Any], param: str
) -> None:
    customer = client.v1.customers.create({})
    asked = {"mode": "payment", "line_items": [top_up(5000)], "customer": customer.id} | more
    wanted = {name: value for name, value in asked.items() if value is not None}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.checkout.sessions.create(wanted)  # type: ignore[arg-type]
    assert refused.value.param == param
