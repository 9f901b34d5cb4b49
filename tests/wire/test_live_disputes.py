"""Banks dispute live payments: heard from Stripe in any order, argued from here, the money booked once each way."""

import asyncio

import httpx
import pytest
import stripe

from meterline.gateway.stripe_processor import StripeProcessor
from tests.wire.billing import draft_of
from tests.wire.live import events, payer, polled, told, work
from tests.wire.test_books_of_business import cents, standing


def disputed(live: stripe.StripeClient, client: stripe.StripeClient, dsn: str, amount: int) -> tuple[str, str]:
    """A customer whose payment is disputed upstream, and the charge here, which has not heard of it."""
    customer = payer(live, client, "pm_card_createDispute")
    invoice = live.v1.invoices.pay(draft_of(live, customer, amount).id)
    work(dsn)
    assert live.v1.invoices.retrieve(invoice.id).status == "paid"
    [charge] = live.v1.charges.list({"customer": customer.id}).data
    assert not charge.disputed
    return customer.id, charge.id


def of_charge(live: stripe.StripeClient, charge: str) -> stripe.Dispute:
    [found] = live.v1.disputes.list({"charge": charge}).data
    return found


@pytest.mark.parametrize(("evidence", "status", "left"), [("winning", "won", 1700), ("losing", "lost", 0)])
def test_a_dispute_is_found_argued_and_decided(
    live: stripe.StripeClient,
    client: stripe.StripeClient,
    processor: StripeProcessor,
    dsn: str,
    evidence: str,
    status: str,
    left: int,
) -> None:
    customer, charge = disputed(live, client, dsn, 1700)
    assert polled(dsn, processor) >= 2
    dispute = of_charge(live, charge)
    assert (dispute.status, dispute.amount, dispute.reason) == ("needs_response", 1700, "fraudulent")
    assert live.v1.charges.retrieve(charge).disputed
    books = standing(dsn)
    assert (-books[customer, "dispute"], books[customer, "clearing:stripe"]) == (cents(1700), cents(0))

    staged = live.v1.disputes.update(dispute.id, {"evidence": {"product_description": "Tokens"}, "submit": False})
    assert staged.evidence.product_description == "Tokens"
    live.v1.disputes.update(dispute.id, {"evidence": {"uncategorized_text": f"{evidence}_evidence"}})
    assert of_charge(live, charge).status == "needs_response"
    work(dsn)
    assert of_charge(live, charge).status == status
    newest = client.v1.disputes.list({"limit": 1}).data[0]
    assert (newest.status, newest.evidence.product_description) == (status, "Tokens")
    assert -standing(dsn)[customer, "clearing:stripe"] == cents(left)
    with pytest.raises(stripe.InvalidRequestError, match="already closed"):
        live.v1.disputes.close(dispute.id)


def test_a_dispute_that_is_accepted_is_lost(
    live: stripe.StripeClient, client: stripe.StripeClient, processor: StripeProcessor, dsn: str
) -> None:
    customer, charge = disputed(live, client, dsn, 900)
    polled(dsn, processor)
    live.v1.disputes.close(of_charge(live, charge).id)
    work(dsn)
    assert of_charge(live, charge).status == "lost"
    assert standing(dsn)[customer, "clearing:stripe"] == 0


def test_news_in_any_order_and_often_book_the_money_once_each_way(
    live: stripe.StripeClient, client: stripe.StripeClient, processor: StripeProcessor, raw: httpx.Client, dsn: str
) -> None:
    customer, charge = disputed(live, client, dsn, 2300)
    [upstream] = client.v1.disputes.list({"limit": 1}).data
    client.v1.disputes.update(upstream.id, {"evidence": {"uncategorized_text": "winning_evidence"}})
    bodies = [each for each in events(raw, *DISPUTE_NEWS) if upstream.id.encode() in each]
    assert len(bodies) == 5
    assert set(asyncio.run(told(dsn, processor, bodies + bodies[::-1] + bodies))) == {200}
    assert polled(dsn, processor) >= 1
    assert of_charge(live, charge).status == "won"
    assert not live.v1.charges.retrieve(charge).disputed
    books = standing(dsn)
    assert (-books[customer, "clearing:stripe"], books.get((customer, "dispute"), cents(0))) == (cents(2300), cents(0))


DISPUTE_NEWS = (
    "charge.dispute.created",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.updated",
    "charge.dispute.closed",
    "charge.dispute.funds_reinstated",
)
