"""The gate, top-ups, budgets and units of the seller's own, over plain HTTP."""

from collections.abc import Iterator
from decimal import Decimal
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest

from tests.wire.conftest import SECRET

TOKENS = {
    "name": "Tokens",
    "code": "tokens",
    "publish": True,
    "prices": [
        {
            "name": "Tokens used",
            "pricing_model": "tiered",
            "tiering": {"period": "monthly"},
            "usage_calculation": {
                "event_type": "chat",
                "usage_type": "volume",
                "volume_field": "tokens",
                "billable_dimensions": ["model"],
            },
            "pricing": [
                {
                    "asset": "USD",
                    "values": [
                        {
                            "dimensions": {"model": "large"},
                            "values": [
                                {"up_to": 1000, "volume_rate": "0.001"},
                                {"volume_rate": "0.0005"},
                            ],
                        },
                        {"dimensions": {"model": "*"}, "volume_rate": "0.0001"},
                    ],
                }
            ],
        }
    ],
}


@pytest.fixture(scope="module")
def credyt(base_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=base_url, headers={"X-CREDYT-API-KEY": SECRET}, timeout=60) as opened:
        assert opened.post("/products", json=TOKENS).status_code == 201
        yield opened


@pytest.fixture
def jane(credyt: httpx.Client) -> str:
    made = credyt.post("/customers", json={"name": "Jane", "subscriptions": [{"products": [{"code": "tokens"}]}]})
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


def give(credyt: httpx.Client, jane: str, amount: str, **more: object) -> None:
    made = credyt.post(f"/customers/{jane}/wallet/grants", json={"asset": "USD", "amount": amount, **more})
    assert made.status_code == 201, made.text


def chat(credyt: httpx.Client, jane: str, tokens: int, model: str) -> dict[str, object]:
    event = {"id": str(uuid4()), "event_type": "chat", "data": {"tokens": tokens, "model": model}}
    answered = credyt.post("/events", json={"customer_id": jane, "events": [event]})
    assert answered.status_code == 200, answered.text
    receipt: dict[str, object] = answered.json()["events"][0]
    return receipt


def fee(receipt: dict[str, object]) -> Decimal:
    assert receipt["status"] == "billed", receipt
    fees = receipt["fees"]
    assert isinstance(fees, list)
    return Decimal(fees[0]["amount"])


def wallet(credyt: httpx.Client, jane: str, asset: str = "USD") -> dict[str, object]:
    found: dict[str, object] = credyt.get(f"/customers/{jane}/wallet/default:{asset}").json()
    return found


def test_tiers_go_on_across_events_and_rows_count_apart(credyt: httpx.Client, jane: str) -> None:
    give(credyt, jane, "10")
    assert fee(chat(credyt, jane, 900, "large")) == Decimal("0.9")
    assert fee(chat(credyt, jane, 200, "large")) == Decimal("0.15")
    assert fee(chat(credyt, jane, 100, "small")) == Decimal("0.01")


def test_a_call_is_held_captured_and_the_rest_given_back(credyt: httpx.Client, jane: str) -> None:
    give(credyt, jane, "1")
    call = {
        "customer_id": jane,
        "id": "call_1",
        "event_type": "chat",
        "volume_field": "tokens",
        "quantity": 800,
        "dimensions": {"model": "large"},
    }
    held = credyt.post("/gate/authorize", json=call)
    assert held.status_code == 201, held.text
    assert (held.json()["held"], held.json()["available"]) == ("0.8", "0.2")
    assert credyt.post("/gate/authorize", json=call).json() == held.json()
    refused = credyt.post("/gate/authorize", json=call | {"id": "call_2"})
    assert refused.status_code == 402
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["code"] == "insufficient_funds"

    partly = {"customer_id": jane, "id": "call_1", "capture_id": "first", "amount": "0.1", "final": False}
    assert credyt.post("/gate/capture", json=partly).json()["held"] == "0.7"
    last = {"customer_id": jane, "id": "call_1", "amount": "0.25"}
    done = credyt.post("/gate/capture", json=last).json()
    assert (done["status"], done["captured"], done["available"]) == ("captured", "0.35", "0.65")
    assert credyt.post("/gate/capture", json=last).json() == done
    assert credyt.post("/gate/capture", json=last | {"amount": "0.3"}).status_code == 409


def test_the_check_says_what_can_be_afforded(credyt: httpx.Client, jane: str) -> None:
    give(credyt, jane, "1.5")
    asked = {"customer_id": jane, "event_type": "chat", "volume_field": "tokens", "dimensions": {"model": "large"}}
    answer = credyt.post("/gate/check", json=asked | {"quantity": 500}).json()
    assert (answer["allowed"], answer["estimate"], answer["affordable_quantity"]) == (True, "0.5", 2000)
    answer = credyt.post("/gate/check", json=asked | {"quantity": 2001}).json()
    assert (answer["allowed"], answer["rule"]) == (False, "insufficient_funds")
    unknown = credyt.post("/gate/check", json={"customer_id": jane, "event_type": "never_priced"}).json()
    assert (unknown["allowed"], unknown["rule"]) == (False, "no_price")


def test_a_budget_refuses_and_names_the_level(credyt: httpx.Client, jane: str) -> None:
    give(credyt, jane, "100")
    for member, parent in (("team", None), ("ann", "team"), ("key_1", "ann")):
        assert credyt.put(f"/customers/{jane}/spenders/{member}", json={"parent": parent}).status_code == 200
    for id, spender, amount in (("whole", None, 50), ("team_day", "team", 5), ("ann_day", "ann", 8)):
        budget = {"spender": spender, "asset": "usd", "amount": amount, "window": "day"}
        assert credyt.put(f"/customers/{jane}/budgets/{id}", json=budget).status_code == 200
    call = {"customer_id": jane, "asset": "USD", "amount": 4, "subject": "key_1"}
    assert credyt.post("/gate/authorize", json=call | {"id": "a"}).status_code == 201
    refused = credyt.post("/gate/authorize", json=call | {"id": "b"})
    assert (refused.status_code, refused.json()["level"], refused.json()["left"]) == (402, "team", "1")
    credyt.post("/gate/capture", json={"customer_id": jane, "id": "a", "amount": 1})
    left = {each["id"]: each["left"] for each in credyt.get(f"/customers/{jane}/budgets").json()["items"]}
    assert left == {"whole": 49, "team_day": 4, "ann_day": 7}
    circle = credyt.put(f"/customers/{jane}/spenders/team", json={"parent": "key_1"})
    assert circle.status_code == 422


def told_of(credyt: httpx.Client, jane: str, type: str) -> list[dict[str, object]]:
    """What was told of a customer, earliest first."""
    events = credyt.get(
        "/v1/events", params={"type": type, "limit": 100}, headers={"Authorization": f"Bearer {SECRET}"}
    )
    objects = [each["data"]["object"] for each in events.json()["data"]]
    return [each for each in objects[::-1] if each["customer"] == jane]


def test_a_refusal_by_a_budget_is_told_once_per_call(credyt: httpx.Client, jane: str) -> None:
    give(credyt, jane, "100")
    budget = {"asset": "usd", "amount": 5, "window": "total"}
    assert credyt.put(f"/customers/{jane}/budgets/cap", json=budget).status_code == 200
    call = {"customer_id": jane, "asset": "USD", "amount": 6}
    for id, retryable in (("kept", False), ("kept", False), ("again", True), ("again", True)):
        refused = credyt.post("/gate/authorize", json=call | {"id": id, "retryable": retryable})
        assert (refused.status_code, refused.json()["budget"]) == (402, "cap")
    assert credyt.post("/gate/check", json=call).json()["allowed"] is False

    told = told_of(credyt, jane, "budget.refused")
    assert [each["id"] for each in told] == ["kept", "again"]
    assert [(each["budget"], each["level"], each["asked"], each["left"]) for each in told] == [
        ("cap", "customer", "6", "5")
    ] * 2
    assert credyt.post("/gate/authorize", json=call | {"id": "again", "amount": 5}).status_code == 201


def test_an_extension_that_a_budget_refuses_is_told_too_and_other_refusals_are_not(
    credyt: httpx.Client, jane: str
) -> None:
    give(credyt, jane, "10")
    credyt.put(f"/customers/{jane}/budgets/cap", json={"asset": "usd", "amount": 5, "window": "day"})
    call = {"customer_id": jane, "asset": "USD", "id": "long"}
    assert credyt.post("/gate/authorize", json=call | {"amount": 4}).status_code == 201
    more = {"customer_id": jane, "id": "long", "extension_id": "more", "amount": 2}
    assert credyt.post("/gate/extend", json=more).status_code == 402
    credyt.put(f"/customers/{jane}/budgets/cap", json={"asset": "usd", "amount": 500, "window": "day"})
    poor = credyt.post("/gate/authorize", json=call | {"id": "poor", "amount": 50})
    assert poor.json()["code"] == "insufficient_funds"

    [told] = told_of(credyt, jane, "budget.refused")
    assert (told["id"], told["asked"], told["left"]) == ("long/more", "2", "1")
    assert told["resets_at"] is not None


def pay(credyt: httpx.Client, top_up: dict[str, str], card: str) -> httpx.Response:
    address = urlsplit(top_up["redirect_url"])
    return credyt.post(f"{address.path}?{address.query}", data={"card": card})


def test_a_top_up_is_credited_once_it_is_paid_and_only_once(credyt: httpx.Client, jane: str) -> None:
    asked = {"customer_id": jane, "amount": 25.00, "currency": "USD", "return_url": "https://app.example/account"}
    top_up = credyt.post("/top-ups", json=asked).json()
    assert top_up["status"] == "initiated"
    address = urlsplit(top_up["redirect_url"])
    page = credyt.get(f"{address.path}?{address.query}")
    assert page.status_code == 200 and "$25.00" in page.text
    assert wallet(credyt, jane)["available"] == 0

    declined = pay(credyt, top_up, "pm_card_chargeDeclined")
    assert declined.status_code == 200 and "declined" in declined.text
    assert wallet(credyt, jane)["available"] == 0
    for _ in range(3):
        paid = pay(credyt, top_up, "pm_card_visa")
        assert (paid.status_code, paid.headers["location"]) == (303, "https://app.example/account")
    assert wallet(credyt, jane)["available"] == 25
    assert credyt.get(f"/top-ups/{top_up['id']}").json()["status"] == "succeeded"


def test_a_top_up_page_opens_by_its_secret_alone(credyt: httpx.Client, jane: str) -> None:
    top_up = credyt.post("/top-ups", json={"customer_id": jane, "amount": 5}).json()
    path = urlsplit(top_up["redirect_url"]).path
    assert credyt.get(f"{path}?secret=guessed").status_code == 404
    assert credyt.post(f"{path}?secret=guessed", data={"card": "pm_card_visa"}).status_code == 404


def test_debt_is_repaid_first(credyt: httpx.Client, jane: str) -> None:
    assert fee(chat(credyt, jane, 1000, "large")) == 1
    assert (wallet(credyt, jane)["available"], wallet(credyt, jane)["debt"]) == (-1, 1)
    pay(credyt, credyt.post("/top-ups", json={"customer_id": jane, "amount": 10}).json(), "pm_card_visa")
    assert (wallet(credyt, jane)["available"], wallet(credyt, jane)["debt"]) == (9, 0)


def test_what_is_unused_is_refunded_in_one_call(credyt: httpx.Client, jane: str) -> None:
    pay(credyt, credyt.post("/top-ups", json={"customer_id": jane, "amount": 10}).json(), "pm_card_visa")
    give(credyt, jane, "5", funding="promotional")
    assert credyt.post(f"/customers/{jane}/wallet/charges", json={"asset": "USD", "amount": 7}).status_code == 201
    refund = credyt.post(f"/customers/{jane}/wallet/refunds", json={"asset": "USD"})
    assert refund.status_code == 201, refund.text
    assert (refund.json()["amount"], refund.json()["available"]) == ("-8", "0")


def test_units_of_the_sellers_own_are_bought_at_the_rate_of_the_day(credyt: httpx.Client, jane: str) -> None:
    unit = {"code": "coin", "name": "Coins", "rates": [{"rate": "0.10", "valid_from": "2026-01-01T00:00:00Z"}]}
    made = credyt.post("/assets", json=unit)
    assert made.status_code == 201, made.text
    quote = {"amount": 5, "exchange_at": "2026-03-01T00:00:00Z"}
    assert credyt.post("/assets/COIN/quote", json=quote).json()["amount"] == 50
    assert credyt.post("/assets/COIN/quote", json=quote | {"exchange_at": "2025-03-01T00:00:00Z"}).status_code == 422
    asked = {"customer_id": jane, "amount": 5, "destination": {"asset": "COIN"}}
    pay(credyt, credyt.post("/top-ups", json=asked).json(), "pm_card_visa")
    assert wallet(credyt, jane, "COIN")["available"] == 50
    assert wallet(credyt, jane, "USD")["available"] == 0


@pytest.mark.parametrize("amount", ["NaN", "-5", "1e400", "abc", "0.0000000000001", True, 10**30])
def test_amounts_that_cannot_be_are_refused(credyt: httpx.Client, jane: str, amount: object) -> None:
    refused = credyt.post("/top-ups", json={"customer_id": jane, "amount": amount})
    assert refused.status_code == 400, refused.text
    assert "amount" in refused.json()["errors"]


def test_an_unknown_customer_a_wrong_key_and_an_unknown_field(credyt: httpx.Client, base_url: str) -> None:
    assert credyt.get("/customers/cus_nobody/wallet").status_code == 404
    assert credyt.post("/top-ups", json={"customer_id": "cus_nobody", "amount": 5}).status_code == 422
    assert credyt.post("/products", json=TOKENS).status_code == 409
    assert credyt.post("/products", json=TOKENS | {"surprise": 1}).status_code == 400
    assert httpx.get(f"{base_url}/products", headers={"X-CREDYT-API-KEY": "sk_test_wrong"}).status_code == 401


def test_a_frozen_wallet_holds_nothing_new(credyt: httpx.Client, jane: str) -> None:
    give(credyt, jane, "5")
    credyt.patch(f"/customers/{jane}/wallet", json={"status": "frozen"})
    refused = credyt.post("/gate/authorize", json={"customer_id": jane, "id": "x", "asset": "USD", "amount": 1})
    assert (refused.status_code, refused.json()["code"]) == (403, "wallet_frozen")


def test_costs_make_a_margin_by_task_and_by_vendor(credyt: httpx.Client, jane: str) -> None:
    give(credyt, jane, "5")
    vendor = credyt.post("/vendors", json={"name": "Models Inc"}).json()["id"]
    event = {
        "id": str(uuid4()),
        "event_type": "chat",
        "subject": "run_7",
        "data": {"tokens": 500, "model": "large"},
        "costs": [{"vendor_id": vendor, "category": "inference", "units": 500, "unit_price": "0.0004"}],
    }
    credyt.post("/events", json={"customer_id": jane, "events": [event]})
    task = credyt.get(f"/customers/{jane}/tasks/run_7").json()
    assert task["margins"] == [
        {"asset": "USD", "events": 1, "gross_revenue": 0.5, "total_costs": 0.2, "net_revenue": 0.3}
    ]
    assert task["costs"] == [{"vendor": vendor, "category": "inference", "currency": "USD", "amount": 0.2}]
    shown = credyt.get(f"/events/{event['id']}").json()
    assert shown["stats"]["net_revenue"] == 0.3


def test_a_balance_of_the_past(credyt: httpx.Client, jane: str) -> None:
    give(credyt, jane, "5")
    rows = credyt.get(f"/customers/{jane}/wallet/transactions").json()["items"]
    then = rows[0]["booked_at"]
    credyt.post(f"/customers/{jane}/wallet/charges", json={"asset": "USD", "amount": 2})
    stood = credyt.get(f"/customers/{jane}/wallet/default:USD", params={"as_of": then}).json()
    assert (stood["posted"], wallet(credyt, jane)["available"]) == (5, 3)


def test_a_call_is_debited_by_its_tokens(credyt: httpx.Client, jane: str) -> None:
    cost_map = {"big": {"litellm_provider": "m", "input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05}}
    taken = credyt.post("/token-prices/import", json={"cost_map": cost_map})
    assert taken.json() == {"models": 1, "changed": 1, "without_token_prices": []}
    assert credyt.post("/token-prices/import", json={"cost_map": cost_map}).json()["changed"] == 0
    give(credyt, jane, "1")
    used = {"model": "big", "usage": {"input": 1000, "output": 100}, "markup_percent": 100}
    assert credyt.post("/token-prices/quote", json=used).json()["amount"] == "0.009"
    charged = credyt.post(f"/customers/{jane}/wallet/token-charges", json=used | {"transaction_id": "call_7"})
    assert (charged.status_code, charged.json()["available"]) == (201, "0.991")
    unknown = credyt.post("/token-prices/quote", json=used | {"model": "never_heard_of"})
    assert unknown.status_code == 422


def test_a_price_is_tried_out_before_anybody_pays_it(credyt: httpx.Client) -> None:
    draft = {"prices": TOKENS["prices"], "publish": False}
    version = credyt.post("/products/tokens", json=draft).json()["version"]
    events = [
        {"event_type": "chat", "data": {"tokens": 900, "model": "large"}},
        {"event_type": "chat", "data": {"tokens": 200, "model": "large"}},
        {"event_type": "chat", "data": {"model": "large"}},
        {"event_type": "never_priced"},
    ]
    tried = credyt.post(f"/products/tokens/{version}/simulate-usage", json={"events": events}).json()
    assert [fee["amount"] for fee in tried["fees"]] == [0.9, 0.15]
    assert tried["total"] == {"USD": 1.05}
    assert len(tried["warnings"]) == 2
