"""Usage that comes after its invoice was finalized: billed once on the next one, or never, and always to be seen."""

import json
import threading
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
IN_TIME = datetime(2026, 2, 10, tzinfo=UTC)
END = datetime(2026, 2, 28, 9, 30, tzinfo=UTC)
IN_THE_DRAFT = datetime(2026, 2, 28, 10, 0, tzinfo=UTC)
FINALIZED = datetime(2026, 2, 28, 10, 31, tzinfo=UTC)
NEXT_END = datetime(2026, 3, 31, 9, 30, tzinfo=UTC)
NEXT_FINALIZED = datetime(2026, 3, 31, 10, 31, tzinfo=UTC)

PENNY_AFTER_A_HUNDRED: list[dict[str, Any]] = [
    {"up_to": 100, "unit_amount": 0, "flat_amount": 500},
    {"up_to": "inf", "unit_amount": 1},
]
LABEL = "Late usage of Tokens, 31 Jan 2026 to 28 Feb 2026"


@pytest.fixture(scope="module", autouse=True)
def worker(dsn: str) -> Iterator[None]:
    with working.running(dsn):
        yield


@pytest.fixture
def month(client: stripe.StripeClient) -> Month:
    """A customer with tokens by use: $5, a hundred included, a cent for each one more."""
    made = Month(client, start=START, tiers=PENNY_AFTER_A_HUNDRED)
    made.subscribe(seats=0)
    made.advance(IN_TIME)
    return made


def tell(raw: httpx.Client, month: Month, id: str, tokens: int, *, at: datetime = IN_TIME) -> None:
    """Report usage on our own route."""
    event = {
        "event_name": month.meter.event_name,
        "identifier": id,
        "timestamp": int(at.timestamp()),
        "payload": {"stripe_customer_id": month.customer.id, "value": str(tokens)},
    }
    answer = raw.post("/ingest/events", content=json.dumps([event]), headers={"content-type": "application/json"})
    assert [each["fate"] for each in answer.json()["verdicts"]] == ["accepted"], answer.text


def corrections(invoice: stripe.Invoice) -> list[tuple[str | None, int, str]]:
    """Words, amount and quantity of the lines that are about the month before."""
    return [
        (line.description, line.amount, str(line["quantity_decimal"]))
        for line in invoice.lines.data
        if line.period.start == int(START.timestamp()) and invoice.period_start != line.period.start
    ]


def life(raw: httpx.Client, month: Month, id: str) -> Any:
    return raw.get(f"/ingest/events/{id}", params={"customer": month.customer.id}).json()


def invoices_of(raw: httpx.Client, month: Month, id: str) -> list[str]:
    """The invoices that an event is on."""
    return list(dict.fromkeys(line["invoice"] for line in life(raw, month, id)["invoice_lines"]))


def test_late_usage_is_one_line_of_the_next_invoice_at_the_price_it_comes_to(raw: httpx.Client, month: Month) -> None:
    tell(raw, month, "early", 90)
    month.advance(FINALIZED)
    billed = month.latest_invoice()
    assert billed.status == "paid" and billed.total == 500
    tell(raw, month, "late", 30)
    tell(raw, month, "own-month", 7, at=FINALIZED)

    preview = month.client.v1.invoices.create_preview({"subscription": month.subscription.id})
    month.advance(NEXT_END)
    draft = month.latest_invoice()
    month.advance(NEXT_FINALIZED)
    issued = month.client.v1.invoices.retrieve(str(draft.id))

    assert invoices_of(raw, month, "early") == [billed.id]
    assert invoices_of(raw, month, "late") == invoices_of(raw, month, "own-month") == [issued.id]
    for made in (preview, draft, issued):
        assert corrections(made) == [(LABEL, 20, "30")]
        assert made.total == 500 + 20
    assert month.client.v1.invoices.retrieve(str(billed.id)).total == 500


def test_usage_that_comes_later_still_is_billed_for_the_difference_only(raw: httpx.Client, month: Month) -> None:
    tell(raw, month, "early", 100)
    month.advance(FINALIZED)
    tell(raw, month, "late", 10)
    month.advance(NEXT_END)
    tell(raw, month, "later", 5, at=datetime(2026, 2, 27, tzinfo=UTC))
    assert corrections(month.latest_invoice()) == [(LABEL, 15, "15")]
    month.advance(NEXT_FINALIZED)
    assert corrections(month.latest_invoice()) == [(LABEL, 15, "15")]

    tell(raw, month, "last", 2, at=datetime(2026, 2, 28, 9, 0, tzinfo=UTC))
    tell(raw, month, "last-month", 2, at=datetime(2026, 3, 10, tzinfo=UTC))
    month.advance(datetime(2026, 4, 30, 10, 31, tzinfo=UTC))
    april = month.latest_invoice()
    assert [(line.description, line.amount) for line in april.lines.data][-2:] == [
        (LABEL, 2),
        ("Late usage of Tokens, 28 Feb 2026 to 31 Mar 2026", 0),
    ]
    month.advance(datetime(2026, 5, 31, 10, 31, tzinfo=UTC))
    assert all("Late" not in str(line.description) for line in month.latest_invoice().lines.data)


def test_usage_that_comes_while_the_invoice_is_a_draft_is_on_it(raw: httpx.Client, month: Month) -> None:
    month.advance(END)
    tell(raw, month, "in-the-draft", 120)
    month.advance(FINALIZED)
    billed = month.latest_invoice()
    assert billed.total == 520
    assert life(raw, month, "in-the-draft")["late"] == []
    month.advance(NEXT_FINALIZED)
    assert corrections(month.latest_invoice()) == []


def test_through_stripes_routes_late_usage_is_on_no_invoice_and_stays_in_sight(raw: httpx.Client, month: Month) -> None:
    tell(raw, month, "early", 100)
    month.advance(FINALIZED)
    billed = month.latest_invoice()
    sent = {"event_name": month.meter.event_name, "timestamp": int(IN_TIME.timestamp()), "identifier": "stripes"}
    payload = {"stripe_customer_id": month.customer.id, "value": "40"}
    month.client.v1.billing.meter_events.create({**sent, "payload": payload})  # type: ignore[typeddict-item]
    tell(raw, month, "ours", 3)
    month.advance(NEXT_FINALIZED)

    assert corrections(month.latest_invoice()) == [(LABEL, 3, "3")]
    assert life(raw, month, "stripes")["late"] == [{"after": billed.id, "billed_on": None, "fate": "not_billed"}]
    assert life(raw, month, "ours")["late"] == [
        {"after": billed.id, "billed_on": month.latest_invoice().id, "fate": "billed"}
    ]
    (window,) = raw.get("/ingest/late", params={"customer": month.customer.id}).json()["data"]
    assert (window["events"], window["events_through_stripe"]) == (1, 1)
    assert window["invoice"] == billed.id and window["quantity_billed"] == "103"
    assert [each["amount"] for each in window["corrections"]] == [3]
    assert window["pending"] is None


def test_an_environment_can_leave_late_usage_unbilled_and_still_sees_it(raw: httpx.Client, month: Month) -> None:
    tell(raw, month, "early", 100)
    month.advance(FINALIZED)
    tell(raw, month, "late", 30)
    assert life(raw, month, "late")["late"][0]["fate"] == "next_invoice"
    raw.post("/ingest/policy", data={"keep_events_days": "400"})
    kept = raw.post("/ingest/policy", data={"late_usage": "ignore"}).json()
    try:
        assert (kept["late_usage"], kept["keep_events_days"]) == ("ignore", 400)
        month.advance(NEXT_FINALIZED)
        assert corrections(month.latest_invoice()) == []
        assert life(raw, month, "late")["late"][0]["fate"] == "ignored"
        (window,) = raw.get("/ingest/late", params={"customer": month.customer.id}).json()["data"]
        assert window["events"] == 1 and window["corrections"] == [] and window["pending"] is None
    finally:
        raw.post("/ingest/policy", data={"late_usage": "next_invoice", "keep_events_days": ""})
    assert life(raw, month, "late")["late"][0]["fate"] == "next_invoice"


def test_what_is_voided_after_finalization_is_given_back(raw: httpx.Client, month: Month) -> None:
    tell(raw, month, "right", 100)
    tell(raw, month, "wrong", 60)
    month.advance(FINALIZED)
    assert month.latest_invoice().total == 560
    voided = raw.post("/ingest/events/wrong/void", data={"customer": month.customer.id, "reason": "sent twice"})
    assert voided.status_code == 200, voided.text
    (window,) = raw.get("/ingest/late", params={"customer": month.customer.id}).json()["data"]
    assert window["pending"] == {"amount": -60, "quantity": "-60"}
    month.advance(NEXT_FINALIZED)
    taken = "Usage taken back of Tokens, 31 Jan 2026 to 28 Feb 2026"
    assert corrections(month.latest_invoice()) == [(taken, -60, "-60")]


def test_a_cancellation_through_stripes_route_changes_no_finalized_invoice(raw: httpx.Client, month: Month) -> None:
    tell(raw, month, "right", 100)
    tell(raw, month, f"wrong-{month.clock.id}", 60)
    month.advance(FINALIZED)
    month.client.v1.billing.meter_event_adjustments.create(
        {
            "type": "cancel",
            "event_name": month.meter.event_name,
            "cancel": {"identifier": f"wrong-{month.clock.id}"},
        }
    )
    month.advance(NEXT_FINALIZED)
    assert corrections(month.latest_invoice()) == []


def test_the_last_invoice_of_a_subscription_carries_late_usage_too(raw: httpx.Client, month: Month) -> None:
    tell(raw, month, "early", 100)
    month.advance(FINALIZED)
    month.client.v1.subscriptions.update(str(month.subscription.id), {"cancel_at_period_end": True})
    tell(raw, month, "late", 30)
    month.advance(NEXT_END)
    last = month.latest_invoice()
    assert corrections(last) == [(LABEL, 30, "30")]


def test_what_a_void_invoice_billed_is_given_up(raw: httpx.Client, client: stripe.StripeClient) -> None:
    month = Month(client, start=START, tiers=PENNY_AFTER_A_HUNDRED, card="pm_card_chargeCustomerFail")
    month.subscribe(seats=0)
    month.advance(IN_TIME)
    tell(raw, month, "early", 100)
    month.advance(FINALIZED)
    billed = month.latest_invoice()
    client.v1.invoices.void_invoice(str(billed.id))
    tell(raw, month, "late", 30)
    month.advance(NEXT_FINALIZED)
    assert corrections(month.latest_invoice()) == []


def test_events_that_race_the_finalization_are_billed_exactly_once(raw: httpx.Client, month: Month) -> None:
    month.advance(END)
    sent: list[int] = []
    stop = threading.Event()

    def keep_telling(lane: int) -> None:
        with httpx.Client(base_url=raw.base_url, headers=raw.headers, timeout=60) as own:
            while not stop.is_set():
                tell(own, month, f"race-{lane}-{len(sent)}", 101)
                sent.append(101)

    def wait_for(count: int) -> None:
        while len(sent) < count and any(writer.is_alive() for writer in writers):
            stop.wait(0.01)

    writers = [threading.Thread(target=keep_telling, args=(lane,)) for lane in range(4)]
    for writer in writers:
        writer.start()
    wait_for(8)
    month.advance(FINALIZED)
    billed = month.latest_invoice()
    wait_for(len(sent) + 20)
    stop.set()
    for writer in writers:
        writer.join()
    month.advance(NEXT_FINALIZED)

    used = sum(Decimal(str(line["quantity_decimal"])) for line in billed.lines.data)
    (late,) = corrections(month.latest_invoice())
    assert used > 0 and used + Decimal(late[2]) == sum(sent)
    assert billed.total + late[1] == 500 + sum(sent) - 100
