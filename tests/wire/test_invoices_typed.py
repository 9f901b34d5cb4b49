"""Everything about invoices carries what the SDK declares, in every state."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import stripe

from tests.wire import working
from tests.wire.billing import Month, customer_with, draft_of
from tests.wire.typed import assert_typed


@pytest.fixture(scope="module", autouse=True)
def worker(dsn: str) -> Iterator[None]:
    with working.running(dsn):
        yield


def test_invoices_in_every_state(client: stripe.StripeClient) -> None:
    customer = customer_with(
        client, name="Ada", shipping={"name": "Ada", "address": {"country": "GB"}}, address={"city": "London"}
    )
    draft = draft_of(
        client,
        customer,
        1000,
        custom_fields=[{"name": "PO", "value": "7"}],
        rendering={"pdf": {"page_size": "a4"}},
        expand=["payments", "confirmation_secret"],
    )
    issued = client.v1.invoices.finalize_invoice(draft.id, {"expand": ["payments", "confirmation_secret"]})
    written_off = client.v1.invoices.mark_uncollectible(issued.id)
    paid = client.v1.invoices.pay(issued.id, {"expand": ["customer", "payments"]})
    void = client.v1.invoices.void_invoice(client.v1.invoices.finalize_invoice(draft_of(client, customer, 90).id).id)

    for invoice in (draft, issued, written_off, paid, void):
        assert_typed(invoice)
    assert_typed(client.v1.invoices.list({"customer": customer.id}))
    assert_typed(client.v1.invoices.line_items.list(paid.id))
    assert_typed(client.v1.invoice_payments.list({"invoice": paid.id}))
    assert_typed(client.v1.invoices.delete(draft_of(client, customer, 1).id))


def test_lines_and_items_of_a_subscription(client: stripe.StripeClient) -> None:
    month = Month(client, start=datetime(2026, 4, 1, tzinfo=UTC))
    month.subscribe(seats=1)
    month.advance(datetime(2026, 4, 16, tzinfo=UTC))
    seats = next(item for item in month.subscription["items"].data if item.price.id == month.seat.id)
    client.v1.subscriptions.update(month.subscription.id, {"items": [{"id": seats.id, "quantity": 3}]})

    prorations = client.v1.invoice_items.list({"customer": month.customer.id})
    preview = client.v1.invoices.create_preview({"subscription": month.subscription.id})

    assert [item.proration for item in prorations.data] == [True, True]
    assert_typed(prorations)
    assert_typed(preview)
    assert_typed(client.v1.invoices.list({"subscription": month.subscription.id}))
    credit = next(item for item in prorations.data if item.amount < 0)
    assert credit.proration_details is not None
    credited = credit.proration_details.credited_items
    assert credited is not None
    assert credited.invoice_line_item_details is not None
    assert credited.invoice_line_item_details.invoice == month.subscription.latest_invoice


def test_items_cards_and_balances(client: stripe.StripeClient) -> None:
    customer = customer_with(client)
    item = client.v1.invoice_items.create({"customer": customer.id, "amount": 5, "currency": "usd"})
    entry = client.v1.customers.balance_transactions.create(customer.id, {"amount": -5, "currency": "usd"})

    assert_typed(item)
    assert_typed(client.v1.invoice_items.retrieve(item.id))
    assert_typed(entry)
    assert_typed(client.v1.customers.balance_transactions.retrieve(customer.id, entry.id))
    assert_typed(client.v1.customers.balance_transactions.list(customer.id))
    assert_typed(client.v1.customers.payment_methods.list(customer.id))
    assert_typed(client.v1.invoice_items.delete(item.id))
