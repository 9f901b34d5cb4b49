"""A draft that bills usage shows what is known at the moment somebody looks, and is finalized as it looked."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import stripe

from tests.wire import working
from tests.wire.billing import Month, customer_with, draft_of

START = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
IN_TIME = datetime(2026, 2, 10, tzinfo=UTC)
END = datetime(2026, 2, 28, 9, 30, tzinfo=UTC)
FINALIZED = datetime(2026, 2, 28, 10, 31, tzinfo=UTC)

PENNY_AFTER_A_HUNDRED: list[dict[str, Any]] = [
    {"up_to": 100, "unit_amount": 0, "flat_amount": 500},
    {"up_to": "inf", "unit_amount": 1},
]


@pytest.fixture(scope="module", autouse=True)
def worker(dsn: str) -> Iterator[None]:
    with working.running(dsn):
        yield


@pytest.fixture
def month(client: stripe.StripeClient) -> Month:
    """A customer with one seat, and tokens by use: $5, a hundred included, a cent for each one more."""
    made = Month(client, start=START, tiers=PENNY_AFTER_A_HUNDRED)
    made.subscribe(seats=1)
    made.advance(IN_TIME)
    return made


def ids(invoice: stripe.Invoice) -> list[str]:
    return [line.id for line in invoice.lines.data]


def numbers(invoice: stripe.Invoice) -> list[tuple[str, int, Any, str | None]]:
    return [(line.id, line.amount, line["quantity_decimal"], line.description) for line in invoice.lines.data]


def test_late_usage_is_on_the_draft_at_once_and_the_draft_is_what_is_finalized(month: Month) -> None:
    month.use(90, at=IN_TIME)
    month.advance(END)
    drafted = month.latest_invoice()
    assert drafted.status == "draft" and drafted.total == 2000 + 500

    month.use(30, at=IN_TIME)
    invoices = month.client.v1.invoices
    shown = invoices.retrieve(drafted.id)
    assert shown.status == "draft"
    assert shown.total == shown.amount_due == 2000 + 500 + 20
    assert set(ids(drafted)) < set(ids(shown)), "the tier that was reached is a line of its own"
    assert numbers(month.latest_invoice()) == numbers(shown)
    expanded = month.client.v1.subscriptions.retrieve(month.subscription.id, {"expand": ["latest_invoice"]})
    assert isinstance(expanded.latest_invoice, stripe.Invoice)
    assert numbers(expanded.latest_invoice) == numbers(shown)

    month.advance(FINALIZED)
    issued = invoices.retrieve(drafted.id)
    assert issued.status == "paid"
    assert numbers(issued) == numbers(shown)
    assert (issued.total, issued.amount_due) == (shown.total, shown.amount_due)


def test_the_lines_of_a_draft_are_paged_as_it_looks_now(month: Month) -> None:
    month.advance(END)
    drafted = month.latest_invoice()
    month.use(150, at=IN_TIME)
    invoices = month.client.v1.invoices
    whole = ids(invoices.retrieve(drafted.id))
    assert len(whole) > len(drafted.lines.data)

    first = invoices.line_items.list(drafted.id, {"limit": 1})
    assert first.has_more
    assert [line.id for line in first.auto_paging_iter()] == whole
    back = invoices.line_items.list(drafted.id, {"ending_before": whole[-1], "limit": 1})
    assert [line.id for line in back.data] == [whole[-2]] and back.has_more
    last = invoices.line_items.list(drafted.id, {"starting_after": whole[-2]})
    assert [line.id for line in last.data] == [whole[-1]] and not last.has_more
    with pytest.raises(stripe.InvalidRequestError) as unknown:
        invoices.line_items.list(drafted.id, {"starting_after": "il_nowhere"})
    assert unknown.value.param == "starting_after"


def test_a_draft_shows_credits_and_balance_as_they_would_be_used_now(month: Month) -> None:
    month.advance(END)
    drafted = month.latest_invoice()
    month.use(300, at=IN_TIME)
    month.client.v1.billing.credit_grants.create(
        {
            "customer": month.customer.id,
            "category": "promotional",
            "amount": {"type": "monetary", "monetary": {"value": 600, "currency": "usd"}},
            "applicability_config": {"scope": {"price_type": "metered"}},
            "effective_at": int(IN_TIME.timestamp()),
        }
    )
    month.client.v1.customers.balance_transactions.create(month.customer.id, {"amount": -50, "currency": "usd"})

    shown = month.client.v1.invoices.retrieve(drafted.id)
    assert shown.total == 2000 + 500 + 200 - 600
    assert (shown.starting_balance, shown.amount_due) == (-50, shown.total - 50)
    month.advance(FINALIZED)
    issued = month.client.v1.invoices.retrieve(drafted.id)
    assert (issued.total, issued.amount_due, issued.amount_paid) == (shown.total, shown.amount_due, shown.amount_due)


def test_a_draft_without_usage_shows_the_balance_as_it_is_now(client: stripe.StripeClient) -> None:
    customer = customer_with(client)
    drafted = str(draft_of(client, customer, 900).id)
    client.v1.customers.balance_transactions.create(customer.id, {"amount": -250, "currency": "usd"})

    shown = client.v1.invoices.retrieve(drafted)
    assert (shown.starting_balance, shown.ending_balance, shown.amount_due) == (-250, None, 650)
    assert client.v1.invoices.finalize_invoice(drafted).amount_due == 650


def test_looking_at_a_draft_stores_nothing(month: Month) -> None:
    month.advance(END)
    drafted = month.latest_invoice()
    month.use(150, at=IN_TIME)
    invoices = month.client.v1.invoices
    assert invoices.retrieve(drafted.id).total == 2000 + 500 + 50
    month.use(10, at=IN_TIME)
    assert numbers(invoices.retrieve(drafted.id)) == numbers(invoices.retrieve(drafted.id))
    assert invoices.retrieve(drafted.id).total == 2000 + 500 + 60
    told = month.client.v1.events.list({"type": "invoice.updated"})
    assert all(event.data.object["id"] != drafted.id for event in told.data)
