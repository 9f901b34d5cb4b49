"""One price, three ways to pay: by invoice, from the wallet, from the wallet and then by invoice."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest
import stripe

from tests.wire import working
from tests.wire.billing import Month

START = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
FIRST = datetime(2026, 2, 5, tzinfo=UTC)
SECOND = datetime(2026, 2, 10, tzinfo=UTC)
THIRD = datetime(2026, 2, 15, tzinfo=UTC)
FINALIZED = datetime(2026, 2, 28, 10, 31, tzinfo=UTC)
NEXT = datetime(2026, 3, 5, tzinfo=UTC)
NEXT_FINALIZED = datetime(2026, 3, 31, 10, 31, tzinfo=UTC)

DOLLAR_THEN_HALF: list[dict[str, Any]] = [
    {"up_to": 100, "unit_amount": 100},
    {"up_to": "inf", "unit_amount": 50},
]


@pytest.fixture(scope="module", autouse=True)
def worker(dsn: str) -> Iterator[None]:
    with working.running(dsn):
        yield


@pytest.fixture
def month(client: stripe.StripeClient) -> Month:
    """A customer with tokens by use: a dollar each up to a hundred in a month, half a dollar after."""
    made = Month(client, start=START, tiers=DOLLAR_THEN_HALF)
    made.subscribe(seats=0)
    made.advance(FIRST)
    return made


def collect(raw: httpx.Client, month: Month, way: str, **more: object) -> dict[str, Any]:
    path = f"/customers/{month.customer.id}/collection/{month.tokens.id}"
    answered = raw.put(path, json={"collection": way, **more})
    assert answered.status_code == 200, answered.text
    found: dict[str, Any] = answered.json()
    return found


def put_money(raw: httpx.Client, month: Month, amount: int) -> None:
    path = f"/customers/{month.customer.id}/wallet/adjustments"
    assert raw.post(path, json={"asset": "USD", "amount": amount, "reason": "external_topup"}).status_code == 201


def pocket(raw: httpx.Client, month: Month) -> tuple[Decimal | int, Decimal | int]:
    """What is available in the wallet, and what it owes."""
    found = raw.get(f"/customers/{month.customer.id}/wallet/default:USD").json()
    return Decimal(str(found["available"])), Decimal(str(found["debt"]))


def tell(raw: httpx.Client, month: Month, id: str, tokens: int, *, at: datetime) -> None:
    event = {
        "event_name": month.meter.event_name,
        "identifier": id,
        "timestamp": int(at.timestamp()),
        "payload": {"stripe_customer_id": month.customer.id, "value": str(tokens)},
    }
    answer = raw.post("/ingest/events", content=json.dumps([event]), headers={"content-type": "application/json"})
    assert [each["fate"] for each in answer.json()["verdicts"]] == ["accepted"], answer.text


def lines(invoice: stripe.Invoice) -> list[tuple[str | None, int]]:
    return [(line.description, line.amount) for line in invoice.lines.data]


def preview(month: Month) -> stripe.Invoice:
    return month.client.v1.invoices.create_preview({"subscription": month.subscription.id})


def test_what_the_wallet_pays_as_it_happens_is_shown_and_not_billed_again(raw: httpx.Client, month: Month) -> None:
    shown = collect(raw, month, "wallet")
    assert (shown["collection"], shown["windows"]) == ("wallet", [])
    put_money(raw, month, 300)
    month.use(80, at=FIRST)
    month.use(40, at=FIRST)
    assert pocket(raw, month) == (300 - 110, 0)

    upcoming = preview(month)
    month.advance(FINALIZED)
    billed = month.latest_invoice()
    assert (
        lines(billed)
        == lines(upcoming)
        == [
            ("100 × Tokens (Tier 1 at $1.00 / month) ($100.00 paid from wallet)", 0),
            ("20 × Tokens (Tier 2 at $0.50 / month) ($10.00 paid from wallet)", 0),
        ]
    )
    assert (billed.status, billed.total, upcoming.total) == ("paid", 0, 0)

    month.advance(NEXT)
    month.use(1, at=NEXT)
    assert pocket(raw, month) == (190 - 1, 0)


def test_what_the_wallet_does_not_have_is_on_the_invoice(raw: httpx.Client, month: Month) -> None:
    collect(raw, month, "wallet_then_invoice")
    put_money(raw, month, 90)
    month.use(60, at=FIRST)
    month.use(60, at=FIRST)
    assert pocket(raw, month) == (0, 0)
    assert preview(month).total == 2000
    month.advance(FINALIZED)
    billed = month.latest_invoice()
    assert (billed.total, billed.amount_paid) == (2000, 2000)
    assert lines(billed)[0] == ("100 × Tokens (Tier 1 at $1.00 / month) ($90.00 paid from wallet)", 1000)


def test_tiers_go_on_where_the_invoice_stood_when_the_wallet_takes_over_and_back(
    raw: httpx.Client, month: Month
) -> None:
    collect(raw, month, "wallet", effective_at=SECOND.isoformat())
    put_money(raw, month, 500)
    month.use(90, at=FIRST)
    month.advance(SECOND)
    month.use(30, at=SECOND)
    assert pocket(raw, month)[0] == 500 - 10 - 10
    collect(raw, month, "invoice", effective_at=THIRD.isoformat())
    month.advance(THIRD)
    month.use(10, at=THIRD)
    assert pocket(raw, month)[0] == 480
    assert preview(month).total == (100 + 15 - 20) * 100
    month.advance(FINALIZED)
    assert month.latest_invoice().total == 9500


def test_late_usage_is_debited_when_it_comes_and_not_billed_on_the_next_invoice(
    raw: httpx.Client, month: Month
) -> None:
    collect(raw, month, "wallet")
    put_money(raw, month, 500)
    tell(raw, month, "early", 90, at=FIRST)
    month.advance(NEXT)
    tell(raw, month, "late", 30, at=SECOND)
    assert pocket(raw, month)[0] == 500 - 90 - 20
    month.use(5, at=SECOND)
    assert pocket(raw, month)[0] == 390 - Decimal("2.5")
    month.advance(NEXT_FINALIZED)
    billed = month.latest_invoice()
    assert billed.total == 0
    assert ("Late usage of Tokens, 31 Jan 2026 to 28 Feb 2026", 0) in lines(billed)


def test_a_discount_is_on_what_is_invoiced(raw: httpx.Client, month: Month) -> None:
    coupon = month.client.v1.coupons.create({"percent_off": 50, "duration": "forever"})
    month.client.v1.subscriptions.update(month.subscription.id, {"discounts": [{"coupon": coupon.id}]})
    collect(raw, month, "wallet_then_invoice")
    put_money(raw, month, 60)
    month.use(80, at=FIRST)
    assert pocket(raw, month) == (0, 0)
    upcoming = preview(month)
    assert (upcoming.subtotal, upcoming.total) == (2000, 1000)
    month.advance(FINALIZED)
    assert (month.latest_invoice().subtotal, month.latest_invoice().amount_paid) == (2000, 1000)


def test_the_other_door_sees_how_usage_is_collected(raw: httpx.Client, month: Month) -> None:
    collect(raw, month, "wallet")
    [item] = month.client.v1.subscriptions.retrieve(month.subscription.id)["items"].data
    assert item.metadata.to_dict() == {"collection": "wallet"}
    collect(raw, month, "invoice")
    [item] = month.client.v1.subscriptions.retrieve(month.subscription.id)["items"].data
    assert item.metadata.to_dict() == {}
    listed = raw.get(f"/customers/{month.customer.id}/collection").json()
    assert [each["collection"] for each in listed["items"]] == ["invoice"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"collection": "barter"}, 400, "validation"),
        ({"collection": "wallet", "effective_at": "2026-01-01T00:00:00Z"}, 422, "in_past"),
        ({}, 400, "validation"),
    ],
)
def test_a_wrong_request_is_refused(
    raw: httpx.Client, month: Month, body: dict[str, str], status: int, code: str
) -> None:
    path = f"/customers/{month.customer.id}/collection/{month.tokens.id}"
    answered = raw.put(path, json=body)
    assert (answered.status_code, answered.json()["code"]) == (status, code)


def test_only_usage_is_paid_from_a_wallet(raw: httpx.Client, month: Month) -> None:
    path = f"/customers/{month.customer.id}/collection/{month.seat.id}"
    answered = raw.put(path, json={"collection": "wallet"})
    assert (answered.status_code, answered.json()["code"]) == (422, "not_metered")
    missing = raw.put(f"/customers/{month.customer.id}/collection/price_nobody", json={"collection": "wallet"})
    assert missing.status_code == 404
