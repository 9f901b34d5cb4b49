"""Money for unused value: one call, and each payment's own refund at its processor, newest first, never too much."""

import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import stripe

from tests.wire import working
from tests.wire.conftest import SECRET
from tests.wire.test_books_of_business import cents, standing


@pytest.fixture(scope="module", autouse=True)
def worker(dsn: str) -> Iterator[None]:
    with working.running(dsn):
        yield


@pytest.fixture(scope="module")
def credyt(base_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=base_url, headers={"X-CREDYT-API-KEY": SECRET}, timeout=60) as opened:
        yield opened


@pytest.fixture
def jane(credyt: httpx.Client) -> str:
    return str(credyt.post("/customers", json={"name": "Jane"}).json()["id"])


def topped_up(credyt: httpx.Client, customer: str, amount: int, card: str = "pm_card_visa", **more: Any) -> str:
    """A paid top-up; the id of its payment."""
    made = credyt.post("/top-ups", json={"customer_id": customer, "amount": amount, **more}).json()
    address = urlsplit(made["redirect_url"])
    assert credyt.post(f"{address.path}?{address.query}", data={"card": card}).status_code == 200
    assert credyt.get(f"/top-ups/{made['id']}").json()["status"] == "succeeded"
    return str(made["payment_intent"])


def account(credyt: httpx.Client, customer: str, asset: str = "USD") -> dict[str, Any]:
    found: dict[str, Any] = credyt.get(f"/customers/{customer}/wallet/default:{asset}").json()
    return found


def available(credyt: httpx.Client, customer: str, asset: str = "USD") -> Any:
    return Decimal(str(account(credyt, customer, asset)["available"]))


def refund(credyt: httpx.Client, customer: str, **more: Any) -> httpx.Response:
    return credyt.post(f"/customers/{customer}/wallet/refunds", json={"asset": "USD", **more})


def spend(credyt: httpx.Client, customer: str, amount: str, asset: str = "USD") -> None:
    asked = {"asset": asset, "amount": amount}
    assert credyt.post(f"/customers/{customer}/wallet/charges", json=asked).status_code == 201


def test_the_newest_payments_are_given_back_first_and_none_more_than_it_was(
    credyt: httpx.Client, client: stripe.StripeClient, jane: str, dsn: str
) -> None:
    older, newer = topped_up(credyt, jane, 20), topped_up(credyt, jane, 10)
    spend(credyt, jane, "5")
    made = refund(credyt, jane, id="rf_1", amount=13)
    assert made.status_code == 201, made.text
    told = made.json()
    assert [(each["payment_intent"], each["amount"]) for each in told["refunds"]] == [(newer, 1000), (older, 300)]
    assert (told["status"], told["amount"], told["available"], told["outside"]) == ("succeeded", "-13", "12", "0")
    refunds = [client.v1.refunds.retrieve(each["id"]) for each in told["refunds"]]
    assert [(each.status, each.amount, each.metadata and each.metadata["wallet_refund"]) for each in refunds] == [
        ("succeeded", 1000, "rf_1"),
        ("succeeded", 300, "rf_1"),
    ]
    books = standing(dsn)
    assert -books[jane, "clearing:test"] == cents(1700)
    assert (books[jane, "paid"], books[jane, "refunds"]) == (cents(1200), cents(0))
    assert refund(credyt, jane, id="rf_1", amount=13).json() == told
    assert refund(credyt, jane, id="rf_1", amount=14).status_code == 409
    too_much = refund(credyt, jane, id="rf_2", amount=13)
    assert (too_much.status_code, too_much.json()["code"]) == (402, "insufficient_funds")
    rest = refund(credyt, jane, id="rf_3").json()
    assert (rest["amount"], rest["available"]) == ("-12", "0")
    assert credyt.get(f"/customers/{jane}/wallet/transactions/rf_3").json()["status"] == "succeeded"


def test_what_was_paid_by_other_means_is_told_apart(credyt: httpx.Client, jane: str, dsn: str) -> None:
    topped_up(credyt, jane, 10)
    cash = {"asset": "USD", "amount": 4, "reason": "external_topup"}
    assert credyt.post(f"/customers/{jane}/wallet/adjustments", json=cash).status_code == 201
    told = refund(credyt, jane).json()
    assert (told["amount"], told["outside"], [each["amount"] for each in told["refunds"]]) == ("-14", "4", [1000])
    books = standing(dsn)
    assert {books[jane, name] for name in ("clearing:test", "clearing:outside", "paid", "refunds")} == {Decimal(0)}


def test_fractions_of_a_cent_stay_in_the_wallet(credyt: httpx.Client, jane: str) -> None:
    topped_up(credyt, jane, 10)
    spend(credyt, jane, "0.1234")
    told = refund(credyt, jane).json()
    assert ([each["amount"] for each in told["refunds"]], told["available"]) == ([987], "0.0066")
    assert refund(credyt, jane, amount="0.005").json()["code"] == "amount_invalid"


def test_gifts_debt_and_what_is_held_are_no_money(credyt: httpx.Client, jane: str) -> None:
    gift = {"asset": "USD", "amount": 5, "reason": "gift"}
    credyt.post(f"/customers/{jane}/wallet/adjustments", json=gift)
    assert refund(credyt, jane).json()["code"] == "nothing_refundable"


def test_units_go_back_at_what_they_were_bought_for(credyt: httpx.Client, jane: str, dsn: str) -> None:
    made = credyt.post("/assets", json={"code": "GEM", "name": "Gems", "rates": [{"source": "USD", "rate": "0.03"}]})
    assert made.status_code == 201, made.text
    topped_up(credyt, jane, 10, destination={"asset": "GEM"})
    bought = available(credyt, jane, "GEM")
    spend(credyt, jane, "100", "GEM")
    told = credyt.post(f"/customers/{jane}/wallet/refunds", json={"asset": "GEM"}).json()
    assert told["refunds"][0]["amount"] == round((bought - 100) * 1000 / bought)
    assert available(credyt, jane, "GEM") == 0
    books: dict[Any, Any] = dict(standing(dsn))
    assert (books[jane, "refunds"], -books[jane, "clearing:test"]) == (0, cents(1000 - told["refunds"][0]["amount"]))


def test_a_refund_that_the_bank_does_not_take_gives_its_value_back(
    credyt: httpx.Client, client: stripe.StripeClient, jane: str, dsn: str
) -> None:
    topped_up(credyt, jane, 20)
    topped_up(credyt, jane, 10, "pm_card_refundFail")
    told = refund(credyt, jane, id="rf_fails").json()
    assert [each["status"] for each in told["refunds"]] == ["succeeded", "succeeded"]
    for _ in range(200):
        now = credyt.get(f"/customers/{jane}/wallet/transactions/rf_fails").json()
        if now["status"] != "succeeded":
            break
        threading.Event().wait(0.1)
    assert (now["status"], [each["status"] for each in now["refunds"]]) == ("partly_failed", ["failed", "succeeded"])
    assert available(credyt, jane) == 10
    books = standing(dsn)
    assert {-books[jane, "clearing:test"], books[jane, "paid"]} == {cents(1000)}
    assert books[jane, "refunds"] == cents(0)


def test_a_refund_through_the_other_door_takes_the_value_too_and_what_was_spent_is_debt(
    credyt: httpx.Client, client: stripe.StripeClient, jane: str, dsn: str
) -> None:
    payment = topped_up(credyt, jane, 20)
    spend(credyt, jane, "15")
    client.v1.refunds.create({"payment_intent": payment, "amount": 1200})
    assert (available(credyt, jane), account(credyt, jane)["debt"]) == (-7, 7)
    assert standing(dsn)[jane, "refunds"] == 0
    assert refund(credyt, jane).json()["code"] == "nothing_refundable"


@pytest.mark.parametrize(("evidence", "left"), [("winning_evidence", 30), ("losing_evidence", 0)])
def test_a_disputed_top_up_takes_its_value_until_the_dispute_is_won(
    credyt: httpx.Client, client: stripe.StripeClient, jane: str, dsn: str, evidence: str, left: int
) -> None:
    payment = topped_up(credyt, jane, 30, "pm_card_createDispute")
    assert available(credyt, jane) == 0
    [dispute] = client.v1.disputes.list({"payment_intent": payment}).data
    client.v1.disputes.update(dispute.id, {"evidence": {"uncategorized_text": evidence}})
    assert available(credyt, jane) == left
    books = standing(dsn)
    assert (-books[jane, "clearing:test"], books[jane, "dispute"]) == (cents(left * 100), cents(0))


def test_refunds_in_parallel_give_back_what_there_is_and_no_more(
    credyt: httpx.Client, client: stripe.StripeClient, base_url: str, jane: str, dsn: str, raw: httpx.Client
) -> None:
    payments = [topped_up(credyt, jane, 10) for _ in range(3)]
    charges = [str(client.v1.payment_intents.retrieve(each).latest_charge) for each in payments]
    codes: list[int] = []

    def by_wallet() -> None:
        with httpx.Client(base_url=base_url, headers={"X-CREDYT-API-KEY": SECRET}, timeout=60) as mine:
            codes.append(refund(mine, jane, amount=9).status_code)

    def by_charge() -> None:
        with httpx.Client(base_url=base_url, headers={"authorization": f"Bearer {SECRET}"}, timeout=60) as mine:
            codes.append(mine.post("/v1/refunds", data={"charge": charges[0], "amount": "400"}).status_code)

    racers = [threading.Thread(target=act) for act in (by_wallet, by_charge) * 4]
    for each in racers:
        each.start()
    for each in racers:
        each.join()
    assert set(codes) <= {200, 201, 400, 402}
    taken = [client.v1.charges.retrieve(each) for each in charges]
    assert all(each.amount_refunded <= each.amount for each in taken)
    left = sum(each.amount - each.amount_refunded for each in taken)
    books = standing(dsn)
    assert (-books[jane, "clearing:test"], available(credyt, jane)) == (cents(left), cents(left))
    report = raw.get("/ops/invariants").json()
    assert {each["name"]: each["rows"] for each in report["data"] if not each["holds"]} == {}
