"""A month of a hybrid subscription: seats in advance, usage in arrears, late events, previews, retries."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import pytest
import stripe

from tests.wire import working
from tests.wire.billing import Month, customer_with

if TYPE_CHECKING:
    from stripe.params import InvoiceCreatePreviewParams


@pytest.fixture(scope="module", autouse=True)
def worker(dsn: str) -> Iterator[None]:
    """Somebody has to do what falls due."""
    with working.running(dsn):
        yield


def test_a_cycle_invoice_is_drafted_counts_late_usage_and_is_paid(client: stripe.StripeClient) -> None:
    month = Month(client, start=datetime(2026, 1, 15, 10, 30, tzinfo=UTC))
    month.subscribe(seats=3)
    month.advance(datetime(2026, 1, 20, tzinfo=UTC))
    month.use(150_000, at=datetime(2026, 1, 20, tzinfo=UTC))

    month.advance(datetime(2026, 2, 15, 10, 30, tzinfo=UTC))
    draft = month.latest_invoice()
    month.use(1_000, at=datetime(2026, 2, 15, 10, 29, 59, tzinfo=UTC))
    month.advance(datetime(2026, 2, 15, 11, 30, tzinfo=UTC))
    paid = client.v1.invoices.retrieve(draft.id)

    assert (draft.status, draft.billing_reason, draft.auto_advance) == ("draft", "subscription_cycle", True)
    assert draft.automatically_finalizes_at == draft.created + 3600
    assert draft.period_end == int(datetime(2026, 2, 15, 10, 30, tzinfo=UTC).timestamp())
    assert [line.description for line in draft.lines.data] == [
        "100000 × Tokens (Tier 1 at $0.00 / month)",
        "50000 × Tokens (Tier 2 at $0.001 / month)",
        "3 × Seat (at $20.00 / month)",
    ]
    assert [line.amount for line in draft.lines.data] == [0, 5000, 6000]
    assert (paid.status, paid.total, paid.amount_paid, paid.attempt_count) == ("paid", 11_100, 11_100, 1)
    assert [line.id for line in paid.lines.data] == [line.id for line in draft.lines.data]
    assert [line.quantity for line in paid.lines.data] == [100_000, 51_000, 3]
    metered = paid.lines.data[1]
    assert metered.pricing is not None
    assert str(metered.pricing.unit_amount_decimal) == "0.1"
    assert metered.parent is not None
    assert metered.parent.subscription_item_details is not None
    assert metered.parent.subscription_item_details.subscription == month.subscription.id
    assert (metered.period.start, metered.period.end) == (draft.period_start, draft.period_end)


def test_the_preview_is_the_invoice_that_comes(client: stripe.StripeClient) -> None:
    month = Month(client, start=datetime(2026, 1, 31, 8, 0, tzinfo=UTC))
    month.subscribe(seats=2)
    month.advance(datetime(2026, 2, 3, tzinfo=UTC))
    month.use(123_457, at=datetime(2026, 2, 3, tzinfo=UTC))
    client.v1.invoice_items.create({"customer": month.customer.id, "amount": 250, "currency": "usd"})
    client.v1.customers.balance_transactions.create(month.customer.id, {"amount": -300, "currency": "usd"})

    preview = client.v1.invoices.create_preview({"subscription": month.subscription.id})
    by_customer = client.v1.invoices.create_preview({"customer": month.customer.id})
    month.advance(datetime(2026, 2, 28, 8, 0, tzinfo=UTC))
    draft = month.latest_invoice()
    month.advance(datetime(2026, 2, 28, 9, 0, tzinfo=UTC))
    issued = client.v1.invoices.retrieve(draft.id)

    assert preview.id is not None
    assert preview.id.startswith("upcoming_in_")
    assert (preview.status, preview.billing_reason, preview.number) == ("draft", "upcoming", None)
    for made in (by_customer, draft, issued):
        assert _comparable_lines(made) == _comparable_lines(preview)
        assert _totals(made) == _totals(preview)
    assert (preview.ending_balance, issued.ending_balance) == (0, 0)
    assert preview.amount_due == issued.amount_due == issued.amount_paid


def _comparable_lines(invoice: stripe.Invoice) -> list[dict[str, object]]:
    lines = [line.to_dict() for line in invoice.lines.data]
    return [{name: value for name, value in line.items() if name not in ("id", "invoice")} for line in lines]


def _totals(invoice: stripe.Invoice) -> dict[str, object]:
    names = ("subtotal", "total", "total_excluding_tax", "amount_due", "starting_balance", "period_start", "period_end")
    return {name: invoice[name] for name in names}


def test_a_preview_shows_live_usage_and_stores_nothing(client: stripe.StripeClient) -> None:
    month = Month(client, start=datetime(2026, 3, 1, tzinfo=UTC))
    month.subscribe(seats=1)

    before = client.v1.invoices.create_preview({"subscription": month.subscription.id})
    month.use(101_000, at=datetime(2026, 3, 1, tzinfo=UTC))
    after = client.v1.invoices.create_preview({"subscription": month.subscription.id})

    assert after.total - before.total == 100
    assert [each.id for each in client.v1.invoices.list({"customer": month.customer.id}).data] == [
        month.subscription.latest_invoice
    ]


def _preview(client: stripe.StripeClient, **asked: Any) -> stripe.Invoice:
    return client.v1.invoices.create_preview(cast("InvoiceCreatePreviewParams", asked))


def test_a_preview_supposes_changes(client: stripe.StripeClient) -> None:
    month = Month(client, start=datetime(2026, 4, 1, tzinfo=UTC))
    month.subscribe(seats=1)
    month.advance(datetime(2026, 4, 16, tzinfo=UTC))
    seats = next(item for item in month.subscription["items"].data if item.price.id == month.seat.id)

    supposed: dict[str, Any] = {"items": [{"id": seats.id, "quantity": 3}]}
    next_one = _preview(client, subscription=month.subscription.id, subscription_details=supposed)
    at_once = _preview(
        client,
        subscription=month.subscription.id,
        subscription_details={**supposed, "proration_behavior": "always_invoice"},
    )
    recurring = _preview(
        client, subscription=month.subscription.id, subscription_details=supposed, preview_mode="recurring"
    )
    client.v1.subscriptions.update(
        month.subscription.id,
        {"items": [{"id": seats.id, "quantity": 3}], "proration_behavior": "always_invoice"},
    )
    made = month.latest_invoice()

    assert sorted(line.amount for line in next_one.lines.data) == [-1000, 0, 3000, 6000]
    assert sorted(line.amount for line in at_once.lines.data) == [-1000, 3000]
    assert sorted(line.amount for line in recurring.lines.data) == [0, 6000]
    assert (made.billing_reason, made.status, made.total) == ("subscription_update", "paid", 2000)
    assert sorted(line.amount for line in made.lines.data) == [-1000, 3000]
    assert sorted(str(line.description) for line in made.lines.data) == [
        "Remaining time on 3 × Seat after 16 Apr 2026",
        "Unused time on Seat after 16 Apr 2026",
    ]


def test_a_preview_of_what_was_never_bought(client: stripe.StripeClient) -> None:
    month = Month(client, start=datetime(2026, 4, 1, tzinfo=UTC))
    items = [{"price": month.seat.id, "quantity": 4}, {"price": month.tokens.id}]

    own = _preview(client, customer=month.customer.id, subscription_details={"items": items})
    strangers = _preview(
        client,
        customer_details={"address": {"country": "DE"}},
        subscription_details={"items": items},
        invoice_items=[{"amount": 150, "currency": "usd", "description": "Set-up"}],
    )

    assert (own.total, own.billing_reason) == (8000, "subscription_create")
    assert (strangers.total, strangers.customer) == (8150, None)
    assert strangers.customer_address is not None
    assert strangers.customer_address.country == "DE"
    assert client.v1.subscriptions.list({"customer": month.customer.id}).data == []


def test_nothing_upcoming_is_said_so(client: stripe.StripeClient) -> None:
    customer = customer_with(client)

    with pytest.raises(stripe.InvalidRequestError) as none:
        client.v1.invoices.create_preview({"customer": customer.id})

    assert (none.value.http_status, none.value.code) == (404, "invoice_upcoming_none")


def test_a_failing_card_is_tried_again_until_the_calendar_ends(client: stripe.StripeClient) -> None:
    month = Month(client, start=datetime(2026, 1, 1, tzinfo=UTC))
    month.subscribe(seats=1)
    month.pay_with("pm_card_chargeCustomerFail")

    month.advance(datetime(2026, 2, 1, 1, 0, tzinfo=UTC))
    first = month.latest_invoice()
    past_due = client.v1.subscriptions.retrieve(month.subscription.id).status
    month.advance(datetime(2026, 2, 2, 1, 0, tzinfo=UTC))
    second = client.v1.invoices.retrieve(first.id)
    month.advance(datetime(2026, 2, 16, tzinfo=UTC))
    last = client.v1.invoices.retrieve(first.id)

    assert (first.status, first.attempt_count, past_due) == ("open", 1, "past_due")
    assert first.next_payment_attempt == int(datetime(2026, 2, 2, 1, 0, tzinfo=UTC).timestamp())
    assert second.attempt_count == 2
    assert (last.status, last.attempt_count, last.next_payment_attempt) == ("open", 9, None)
    assert client.v1.subscriptions.retrieve(month.subscription.id).status == "canceled"


def test_a_better_card_saves_the_subscription(client: stripe.StripeClient) -> None:
    month = Month(client, start=datetime(2026, 1, 1, tzinfo=UTC))
    month.subscribe(seats=1)
    month.pay_with("pm_card_chargeCustomerFail")
    month.advance(datetime(2026, 2, 1, 1, 0, tzinfo=UTC))
    month.pay_with("pm_card_visa")

    month.advance(datetime(2026, 2, 2, 1, 0, tzinfo=UTC))

    assert month.latest_invoice().status == "paid"
    assert client.v1.subscriptions.retrieve(month.subscription.id).status == "active"


def test_a_first_payment_that_fails_leaves_the_subscription_incomplete(client: stripe.StripeClient) -> None:
    month = Month(client, start=datetime(2026, 1, 1, tzinfo=UTC), card="pm_card_chargeCustomerFail")
    month.subscribe(seats=1)
    invoice = month.latest_invoice()
    month.pay_with("pm_card_visa")

    client.v1.invoices.pay(invoice.id)

    assert (month.subscription.status, invoice.status, invoice.next_payment_attempt) == ("incomplete", "open", None)
    assert client.v1.subscriptions.retrieve(month.subscription.id).status == "active"


def test_a_small_cycle_rides_on_the_next_one(client: stripe.StripeClient) -> None:
    month = Month(client, start=datetime(2026, 1, 1, tzinfo=UTC))
    month.subscribe(seats=0)
    month.advance(datetime(2026, 1, 5, tzinfo=UTC))
    month.use(100_300, at=datetime(2026, 1, 5, tzinfo=UTC))

    month.advance(datetime(2026, 2, 1, 1, 0, tzinfo=UTC))

    small = month.latest_invoice()
    assert (small.total, small.amount_due, small.status, small.ending_balance) == (30, 0, "paid", 30)
    assert client.v1.customers.retrieve(month.customer.id).balance == 30
