"""Payouts bring money from the processor to the bank; the statement says which, and the books agree."""

from typing import Any

import httpx
import pytest
import stripe

from meterline.gateway.stripe_processor import StripeProcessor
from tests.wire.billing import customer_with, draft_of
from tests.wire.live import SECRET, payer, polled, work
from tests.wire.test_books_of_business import cents, standing
from tests.wire.typed import assert_typed


def automatic(raw: httpx.Client, currency: str = "usd") -> dict[str, Any]:
    answer = raw.post("/ops/payouts", data={"currency": currency})
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


def paid(client: stripe.StripeClient, amount: int, card: str = "pm_card_visa") -> tuple[str, str]:
    """A customer who has paid, and their charge."""
    customer = customer_with(client, card)
    client.v1.invoices.pay(draft_of(client, customer, amount).id)
    return customer.id, client.v1.charges.list({"customer": customer.id}).data[0].id


def balance_of(client: stripe.StripeClient, currency: str = "usd") -> int:
    return sum(each.amount for each in client.v1.balance.retrieve().available if each.currency == currency)


def lines_of(client: stripe.StripeClient, payout: str) -> list[stripe.BalanceTransaction]:
    return client.v1.balance_transactions.list({"payout": payout, "limit": 100}).data


def unbroken(raw: httpx.Client, key: str | None = None) -> None:
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    report = raw.get("/ops/invariants", headers=headers).json()
    assert {each["name"]: each["rows"] for each in report["data"] if not each["holds"]} == {}


def test_every_movement_is_on_the_statement(client: stripe.StripeClient, raw: httpx.Client) -> None:
    before = balance_of(client)
    _, charge = paid(client, 2500)
    refund = client.v1.refunds.create({"charge": charge, "amount": 400})
    _, other = paid(client, 900, "pm_card_createDispute")
    [dispute] = client.v1.disputes.list({"charge": other}).data
    told = client.v1.charges.retrieve(charge, {"expand": ["balance_transaction"]}).balance_transaction
    assert isinstance(told, stripe.BalanceTransaction)
    assert_typed(told)
    assert (told.amount, told.fee, told.net, told.type, told.source) == (2500, 0, 2500, "charge", charge)
    assert refund.balance_transaction is not None
    back = client.v1.balance_transactions.retrieve(str(refund.balance_transaction), {"expand": ["source"]})
    assert (back.amount, back.type, isinstance(back.source, stripe.Refund)) == (-400, "refund", True)
    [gone] = client.v1.balance_transactions.list({"source": dispute.id}).data
    assert (gone.amount, gone.type, gone.reporting_category) == (-900, "adjustment", "dispute")
    client.v1.disputes.update(dispute.id, {"evidence": {"uncategorized_text": "winning_evidence"}})
    assert balance_of(client) == before + 2500 - 400 + 900
    unbroken(raw)


def test_an_automatic_payout_empties_the_account_and_says_what_it_was_made_of(
    client: stripe.StripeClient, raw: httpx.Client, dsn: str
) -> None:
    customer, charge = paid(client, 3100)
    refund = client.v1.refunds.create({"charge": charge, "amount": 100})
    whole = balance_of(client)
    payout = client.v1.payouts.retrieve(automatic(raw)["id"])
    assert_typed(payout)
    assert (payout.amount, payout.status, payout.automatic) == (whole, "paid", True)
    assert payout.reconciliation_status == "completed"
    lines = lines_of(client, payout.id)
    assert sum(each.net for each in lines) == 0
    assert {charge, refund.id, payout.id} <= {each.source for each in lines}
    assert balance_of(client) == 0
    books = standing(dsn)
    assert (books[customer, "clearing:test"], -books[customer, "clearing:bank"]) == (cents(0), cents(3000))
    assert raw.post("/ops/payouts", data={"currency": "usd"}).status_code == 400
    unbroken(raw)


def test_a_payout_by_hand_takes_the_oldest_money_first(
    client: stripe.StripeClient, raw: httpx.Client, dsn: str
) -> None:
    (first, _), (second, _) = paid(client, 1000), paid(client, 1000)
    payout = client.v1.payouts.create({"amount": 1400, "currency": "usd", "metadata": {"week": "7"}})
    assert (payout.status, payout.automatic, payout.metadata and payout.metadata["week"]) == ("paid", False, "7")
    books = standing(dsn)
    assert (books[first, "clearing:test"], -books[second, "clearing:test"]) == (cents(0), cents(600))
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.payouts.create({"amount": 601, "currency": "usd"})
    assert refused.value.code == "balance_insufficient"
    with pytest.raises(stripe.InvalidRequestError, match="pending"):
        client.v1.payouts.cancel(payout.id)
    assert client.v1.payouts.list({"status": "paid"}).data[0].id == payout.id
    automatic(raw)
    unbroken(raw)


# Live mode: the statement of Stripe


def live_payment(live: stripe.StripeClient, client: stripe.StripeClient, dsn: str, amount: int) -> tuple[str, str]:
    customer = payer(live, client)
    live.v1.invoices.pay(draft_of(live, customer, amount).id)
    work(dsn)
    [charge] = live.v1.charges.list({"customer": customer.id}).data
    assert charge.balance_transaction is None
    return customer.id, charge.id


def test_an_automatic_payout_of_stripe_is_explained_and_clears_the_account(
    live: stripe.StripeClient,
    client: stripe.StripeClient,
    raw: httpx.Client,
    processor: StripeProcessor,
    dsn: str,
) -> None:
    customer, charge = live_payment(live, client, dsn, 4200)
    refund = live.v1.refunds.create({"charge": charge, "amount": 200})
    work(dsn)
    polled(dsn, processor)
    told = live.v1.charges.retrieve(charge, {"expand": ["balance_transaction"]}).balance_transaction
    assert isinstance(told, stripe.BalanceTransaction)
    assert (told.amount, told.source) == (4200, charge)
    assert live.v1.refunds.retrieve(refund.id).balance_transaction is not None
    unbroken(raw, SECRET)

    theirs = automatic(raw)
    for _ in range(3):
        polled(dsn, processor)
    [payout] = [each for each in live.v1.payouts.list({}).data if each.amount == theirs["amount"]]
    assert (payout.status, payout.automatic) == ("paid", True)
    assert {charge, refund.id} <= {each.source for each in lines_of(live, payout.id)}
    books = standing(dsn)
    assert (books[customer, "clearing:stripe"], -books[customer, "clearing:bank"]) == (cents(0), cents(4000))
    unbroken(raw, SECRET)


def test_a_payout_by_hand_at_stripe_is_explained_by_the_oldest_money(
    live: stripe.StripeClient,
    client: stripe.StripeClient,
    raw: httpx.Client,
    processor: StripeProcessor,
    dsn: str,
) -> None:
    customer, _ = live_payment(live, client, dsn, 1500)
    polled(dsn, processor)
    client.v1.payouts.create({"amount": 900, "currency": "usd"})
    polled(dsn, processor)
    polled(dsn, processor)
    books = standing(dsn)
    assert (-books[customer, "clearing:stripe"], -books[customer, "clearing:bank"]) == (cents(600), cents(900))
    with pytest.raises(stripe.InvalidRequestError, match="made at Stripe"):
        live.v1.payouts.create({"amount": 100, "currency": "usd"})
    unbroken(raw, SECRET)
