"""Wallets in live mode: money comes and goes at Stripe; an answer that is lost is found, nobody is charged twice."""

import asyncio
import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import stripe

from meterline.gateway.processor import Collection
from meterline.gateway.stripe_processor import StripeProcessor
from meterline.payment.payment import Outcome, Unknown
from meterline.usecase.ask_processor import PROCESSORS
from tests.wire.live import SECRET, WEBHOOK_SECRET, events, polled, saved_card, told, upstream_payments, work
from tests.wire.test_books_of_business import cents, standing


class Forgetful(StripeProcessor):
    """Stripe behind a line on which an answer can get lost after the money was taken."""

    lose = 0

    def collect(self, collection: Collection) -> Outcome:
        told = super().collect(collection)
        if self.lose:
            self.lose -= 1
            return Unknown()
        return told


@pytest.fixture(scope="module")
def processor(client: stripe.StripeClient) -> Iterator[Forgetful]:
    connected = Forgetful(client, webhook_secret=WEBHOOK_SECRET)
    PROCESSORS["stripe"] = connected
    yield connected
    del PROCESSORS["stripe"]


@pytest.fixture(scope="module")
def credyt(live: stripe.StripeClient, base_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=base_url, headers={"X-CREDYT-API-KEY": SECRET}, timeout=60) as opened:
        yield opened


class Owner:
    """A live customer with a saved card and a wallet."""

    def __init__(
        self,
        credyt: httpx.Client,
        live: stripe.StripeClient,
        upstream: stripe.StripeClient,
        card: str = "pm_card_visa",
    ) -> None:
        self.credyt, self.live = credyt, live
        self.id = str(credyt.post("/customers", json={"name": "Jane"}).json()["id"])
        self.card = saved_card(upstream, card)
        live.v1.payment_methods.attach(self.card, {"customer": self.id})
        gift = {"asset": "USD", "amount": 1, "reason": "gift"}
        assert credyt.post(f"/customers/{self.id}/wallet/adjustments", json=gift).status_code == 201

    def top_up(self, amount: int) -> dict[str, Any]:
        made: dict[str, Any] = self.credyt.post("/top-ups", json={"customer_id": self.id, "amount": amount}).json()
        address = urlsplit(made["redirect_url"])
        self.page = f"{address.path}?{address.query}"
        return made

    def pay(self) -> httpx.Response:
        return self.credyt.post(self.page, data={"card": self.card})

    def status(self, top_up: dict[str, Any]) -> str:
        return str(self.credyt.get(f"/top-ups/{top_up['id']}").json()["status"])

    def available(self) -> Any:
        found = self.credyt.get(f"/customers/{self.id}/wallet/default:USD").json()
        return Decimal(str(found["available"]))

    def charge_of(self, top_up: dict[str, Any]) -> str:
        return str(self.live.v1.payment_intents.retrieve(top_up["payment_intent"]).latest_charge)


@pytest.fixture
def owner(credyt: httpx.Client, live: stripe.StripeClient, client: stripe.StripeClient) -> Owner:
    return Owner(credyt, live, client)


def test_a_top_up_is_paid_with_a_saved_card_and_credited_when_stripe_says_so(
    owner: Owner, client: stripe.StripeClient, dsn: str
) -> None:
    made = owner.top_up(20)
    assert "ending in 4242, saved" in owner.credyt.get(owner.page).text
    assert "pm_card" not in owner.credyt.get(owner.page).text
    assert "as soon as the payment is confirmed" in owner.pay().text
    assert (owner.status(made), owner.available()) == ("pending", 1)
    assert owner.live.v1.payment_intents.retrieve(made["payment_intent"]).status == "processing"
    assert "has a status of processing" in owner.pay().text
    work(dsn)
    assert (owner.status(made), owner.available()) == ("succeeded", 21)
    [upstream] = upstream_payments(client, owner.charge_of(made))
    assert (upstream.status, upstream.amount_received) == ("succeeded", 2000)
    assert standing(dsn)[owner.id, "clearing:stripe"] == -cents(2000)


def test_an_answer_that_is_lost_is_asked_for_again_and_nobody_pays_twice(
    owner: Owner, client: stripe.StripeClient, processor: Forgetful, dsn: str
) -> None:
    made = owner.top_up(30)
    owner.pay()
    processor.lose = 2
    work(dsn)
    assert (owner.status(made), owner.available()) == ("pending", 1)
    work(dsn, rested=True)
    work(dsn, rested=True)
    assert (owner.status(made), owner.available()) == ("succeeded", 31)
    assert [each.amount_received for each in upstream_payments(client, owner.charge_of(made))] == [3000]


def test_news_of_a_top_up_from_everywhere_at_once_credit_once(
    owner: Owner, client: stripe.StripeClient, processor: Forgetful, raw: httpx.Client, dsn: str
) -> None:
    made = owner.top_up(40)
    owner.pay()
    processor.lose = 1
    work(dsn)
    assert len(upstream_payments(client, owner.charge_of(made))) == 1
    news = events(raw, "payment_intent.created", "payment_intent.succeeded")[:2]
    answers: list[int] = []
    racers = [
        threading.Thread(target=lambda: answers.extend(asyncio.run(told(dsn, processor, (news + news[::-1]) * 3)))),
        threading.Thread(target=polled, args=(dsn, processor)),
        threading.Thread(target=work, args=(dsn,), kwargs={"rested": True}),
        threading.Thread(target=owner.pay),
    ]
    for each in racers:
        each.start()
    for each in racers:
        each.join()
    assert set(answers) == {200}
    assert (owner.status(made), owner.available()) == ("succeeded", 41)
    assert [each.amount_received for each in upstream_payments(client, owner.charge_of(made))] == [4000]
    assert -standing(dsn)[owner.id, "clearing:stripe"] == cents(4000)


def test_a_decline_upstream_leaves_the_wallet_and_can_be_tried_again(
    credyt: httpx.Client, live: stripe.StripeClient, client: stripe.StripeClient, dsn: str
) -> None:
    owner = Owner(credyt, live, client, "pm_card_chargeCustomerFail")
    made = owner.top_up(20)
    owner.pay()
    work(dsn)
    assert (owner.status(made), owner.available()) == ("failed", 1)
    assert "Your card was declined." in owner.credyt.get(owner.page).text
    owner.card = saved_card(client)
    live.v1.payment_methods.attach(owner.card, {"customer": owner.id})
    owner.pay()
    work(dsn)
    assert (owner.status(made), owner.available()) == ("succeeded", 21)


def test_a_wallet_recharges_itself_off_session_once_however_often_it_is_looked_at(
    owner: Owner, client: stripe.StripeClient, processor: Forgetful, dsn: str
) -> None:
    rule = {"threshold": 5, "target": 25, "payment_method": owner.card}
    put = owner.credyt.put(f"/customers/{owner.id}/wallet/default:USD/auto-recharge", json=rule)
    assert put.status_code == 200, put.text
    spent = owner.credyt.post(f"/customers/{owner.id}/wallet/charges", json={"asset": "USD", "amount": "0.5"})
    assert spent.status_code == 201
    processor.lose = 1
    work(dsn)
    for _ in range(3):
        owner.credyt.post(f"/customers/{owner.id}/wallet/charges", json={"asset": "USD", "amount": "0.01"})
        work(dsn)
    work(dsn, rested=True)
    assert owner.available() == Decimal("24.97")
    taken = owner.live.v1.payment_intents.list({"customer": owner.id}).data
    assert [(each.status, each.amount_received) for each in taken] == [("succeeded", 2450)]
    log = owner.credyt.get(f"/customers/{owner.id}/wallet/default:USD/auto-recharge").json()["log"]
    decisions = [each["decision"] for each in log if each["decision"] in ("unanswered", "recharged", "declined")]
    assert decisions == ["recharged", "unanswered"]
    assert len(upstream_payments(client, str(taken[0].latest_charge))) == 1


def test_unused_value_goes_back_at_stripe_in_one_call(owner: Owner, client: stripe.StripeClient, dsn: str) -> None:
    charges = []
    for amount in (20, 10):
        made = owner.top_up(amount)
        owner.pay()
        work(dsn)
        charges.append(owner.charge_of(made))
    asked = {"asset": "USD", "amount": 14, "id": "rf_live"}
    told = owner.credyt.post(f"/customers/{owner.id}/wallet/refunds", json=asked).json()
    assert (told["status"], [each["amount"] for each in told["refunds"]]) == ("pending", [1000, 400])
    assert (owner.available(), standing(dsn)[owner.id, "refunds"]) == (17, cents(1400))
    work(dsn)
    now = owner.credyt.get(f"/customers/{owner.id}/wallet/transactions/rf_live").json()
    assert (now["status"], {each["status"] for each in now["refunds"]}) == ("succeeded", {"succeeded"})
    back = [
        client.v1.charges.retrieve(str(upstream_payments(client, charge)[0].latest_charge)).amount_refunded
        for charge in charges
    ]
    assert back == [400, 1000]
    books = standing(dsn)
    assert (books[owner.id, "refunds"], -books[owner.id, "clearing:stripe"]) == (cents(0), cents(1600))


def test_a_refund_that_stripe_refuses_gives_its_value_back(owner: Owner, client: stripe.StripeClient, dsn: str) -> None:
    made = owner.top_up(20)
    owner.pay()
    work(dsn)
    [upstream] = upstream_payments(client, owner.charge_of(made))
    client.v1.refunds.create({"payment_intent": upstream.id, "amount": 1500})
    told = owner.credyt.post(f"/customers/{owner.id}/wallet/refunds", json={"asset": "USD", "id": "rf_no"}).json()
    assert told["status"] == "pending"
    work(dsn)
    now = owner.credyt.get(f"/customers/{owner.id}/wallet/transactions/rf_no").json()
    assert (now["status"], owner.available()) == ("failed", 21)
    assert standing(dsn)[owner.id, "refunds"] == 0
