"""Tax on its way through the books: the order of calculation, checkouts, credit notes, what is undone."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

import httpx
import pytest
import stripe

from tests.wire import working
from tests.wire.billing import Month, customer_with, draft_of
from tests.wire.test_books_of_business import standing
from tests.wire.test_credits import JULY, JUNE, grant
from tests.wire.test_hosted_pages import PAYER, submit
from tests.wire.test_taxes import rate, taxes
from tests.wire.typed import assert_typed


@pytest.fixture(scope="module", autouse=True)
def worker(dsn: str) -> Iterator[None]:
    """Somebody has to do what falls due."""
    with working.running(dsn):
        yield


@pytest.fixture
def browser(base_url: str) -> Iterator[httpx.Client]:
    """Somebody with nothing but links."""
    with httpx.Client(base_url=base_url, follow_redirects=False, timeout=30) as opened:
        yield opened


def test_discount_credit_tax_and_balance_in_their_order(client: stripe.StripeClient, dsn: str) -> None:
    month = Month(client, start=JUNE, tiers=[{"up_to": "inf", "unit_amount": 1}])
    coupon = client.v1.coupons.create({"percent_off": 10, "duration": "forever"})
    grant(client, month.customer.id, 5000)
    ten = rate(client, 10)
    month.subscription = client.v1.subscriptions.create(
        {
            "customer": month.customer.id,
            "items": [{"price": month.tokens.id}],
            "default_tax_rates": [ten],
            "discounts": [{"coupon": coupon.id}],
        }
    )
    client.v1.customers.balance_transactions.create(month.customer.id, {"amount": -1000, "currency": "usd"})
    month.advance(datetime(2026, 6, 10, tzinfo=UTC))
    month.use(10_000, at=datetime(2026, 6, 10, tzinfo=UTC))
    preview = client.v1.invoices.create_preview({"subscription": month.subscription.id})
    month.advance(JULY + timedelta(hours=2))

    billed = month.latest_invoice()
    for invoice in (preview, billed):
        assert_typed(invoice)
        assert (invoice.subtotal, invoice.total_excluding_tax, invoice.total) == (10_000, 4000, 4400)
        assert (invoice.starting_balance, invoice.amount_due, invoice.ending_balance) == (-1000, 3400, 0)
        assert taxes(invoice) == [(400, 4000, "exclusive")]
        before_tax = [(each.type, each.amount) for each in invoice.total_pretax_credit_amounts or []]
        assert before_tax == [("discount", 1000), ("credit_balance_transaction", 5000)]
    assert (billed.status, billed.amount_paid, billed.amount_overpaid) == ("paid", 3400, 0)
    assert standing(dsn)[month.customer.id, "tax"] == Decimal(4)


def test_what_undoes_an_invoice_undoes_its_tax(client: stripe.StripeClient, raw: httpx.Client, dsn: str) -> None:
    customer = customer_with(client)
    both = [rate(client, 20), rate(client, 10, inclusive=True)]

    def issued() -> str:
        draft = draft_of(client, customer, 1100, default_tax_rates=both)
        return client.v1.invoices.finalize_invoice(draft.id).id

    def tax() -> Decimal:
        return standing(dsn).get((customer.id, "tax"), Decimal(0))

    first, second = issued(), issued()
    assert tax() == Decimal(6)
    client.v1.invoices.void_invoice(first)
    assert tax() == Decimal(3)
    client.v1.invoices.mark_uncollectible(second)
    assert (tax(), standing(dsn)[customer.id, "bad_debt"]) == (Decimal(3), Decimal(-13))
    client.v1.invoices.void_invoice(second)
    assert (tax(), standing(dsn)[customer.id, "bad_debt"]) == (Decimal(0), Decimal(0))
    report = raw.get("/ops/invariants").json()
    assert [each["name"] for each in report["data"] if not each["holds"]] == []


def test_a_credit_note_gives_its_share_of_the_tax_back(client: stripe.StripeClient, dsn: str) -> None:
    customer = customer_with(client)
    draft = draft_of(client, customer, 1000, default_tax_rates=[rate(client, 20)])
    invoice = client.v1.invoices.pay(draft.id)
    [line] = invoice.lines.data

    note = client.v1.credit_notes.create(
        {
            "invoice": invoice.id,
            "lines": [{"type": "invoice_line_item", "invoice_line_item": line.id, "amount": 500}],
            "refund_amount": 600,
        }
    )

    assert_typed(note)
    assert (note.total, note.total_excluding_tax) == (600, 500)
    assert standing(dsn)[customer.id, "tax"] == Decimal(1)


def test_a_credit_note_in_words_of_its_own_names_its_rates(client: stripe.StripeClient) -> None:
    customer = customer_with(client)
    invoice = client.v1.invoices.pay(draft_of(client, customer, 5000).id)
    ten = rate(client, 10)
    asked: Any = {
        "invoice": invoice.id,
        "lines": [
            {"type": "custom_line_item", "description": "Sorry", "quantity": 1, "unit_amount": 1000, "tax_rates": [ten]}
        ],
        "credit_amount": 1100,
    }

    note = client.v1.credit_notes.create(asked)

    assert_typed(note)
    [line] = note.lines.data
    assert [each.id for each in line.tax_rates] == [ten]
    assert (note.total, note.total_excluding_tax) == (1100, 1000)
    asked["lines"][0]["tax_rates"] = ["txr_no"]
    with pytest.raises(stripe.InvalidRequestError, match="No such tax rate") as raised:
        client.v1.credit_notes.create(asked)
    assert raised.value.param == "lines[0][tax_rates][0]"


def test_a_credit_note_of_an_exempt_customer_gives_back_what_was_paid(client: stripe.StripeClient) -> None:
    customer = customer_with(client, tax_exempt="exempt")
    draft = draft_of(client, customer, 10_000, default_tax_rates=[rate(client, 10, inclusive=True)])
    invoice = client.v1.invoices.pay(draft.id)
    assert invoice.amount_paid == 9091
    [line] = invoice.lines.data

    half = client.v1.credit_notes.create(
        {
            "invoice": invoice.id,
            "lines": [{"type": "invoice_line_item", "invoice_line_item": line.id, "amount": 5000}],
            "credit_amount": 4545,
        }
    )
    rest = client.v1.credit_notes.create({"invoice": invoice.id, "amount": 4546, "credit_amount": 4546})

    assert (half.total, rest.total) == (4545, 4546)


def sold(client: stripe.StripeClient, mode: str, **more: Any) -> stripe.checkout.Session:
    asked = {"mode": mode, "success_url": "https://shop.example/done"} | more
    return client.v1.checkout.sessions.create(cast("stripe.params.checkout.SessionCreateParams", asked))


def test_a_checkout_takes_tax_and_books_it(client: stripe.StripeClient, browser: httpx.Client, dsn: str) -> None:
    customer = client.v1.customers.create()
    ten = rate(client, 10)
    line = {
        "price_data": {"currency": "usd", "unit_amount": 5000, "product_data": {"name": "Book"}},
        "quantity": 2,
        "tax_rates": [ten],
    }
    session = sold(
        client, "payment", customer=customer.id, line_items=[line],
        expand=["line_items.data.taxes", "total_details.breakdown"],
    )  # fmt: skip

    assert (session.amount_subtotal, session.amount_total) == (10_000, 11_000)
    assert session.total_details is not None and session.total_details.breakdown is not None
    assert session.total_details.amount_tax == 1000
    [tax] = session.total_details.breakdown.taxes
    assert (tax.amount, tax.rate.id, tax.taxable_amount) == (1000, ten, 10_000)
    assert session.line_items is not None
    [item] = session.line_items.data
    assert (item.amount_subtotal, item.amount_tax, item.amount_total) == (10_000, 1000, 11_000)
    assert [each.rate.id for each in item.taxes or []] == [ten]
    shown = browser.get(str(session.url)).text
    assert "VAT (10% on $100.00)" in shown and "$110.00" in shown
    assert submit(browser, session.url, PAYER).status_code == 303
    books = standing(dsn)
    assert (books[customer.id, "revenue"], books[customer.id, "tax"]) == (Decimal(100), Decimal(10))


def test_a_checkout_is_taxed_on_what_its_discount_leaves(client: stripe.StripeClient) -> None:
    coupon = client.v1.coupons.create({"percent_off": 10, "duration": "once"})
    line = {
        "price_data": {"currency": "usd", "unit_amount": 3000, "product_data": {"name": "Book"}},
        "quantity": 1,
        "tax_rates": [rate(client, 5)],
    }

    session = sold(client, "payment", line_items=[line], discounts=[{"coupon": coupon.id}])

    assert session.total_details is not None
    assert (session.total_details.amount_discount, session.total_details.amount_tax) == (300, 135)
    assert (session.amount_subtotal, session.amount_total) == (3000, 2835)


def test_a_subscription_is_bought_with_tax_by_rates_that_were_agreed_on(
    client: stripe.StripeClient, browser: httpx.Client
) -> None:
    customer = client.v1.customers.create()
    ten, twenty = rate(client, 10), rate(client, 20)
    prices = [
        client.v1.prices.create(
            {
                "currency": "usd",
                "unit_amount": 1000,
                "recurring": {"interval": "month"},
                "product_data": {"name": name},
            }
        ).id
        for name in ("Seat", "Desk")
    ]
    session = sold(
        client,
        "subscription",
        customer=customer.id,
        line_items=[{"price": prices[0], "quantity": 1}, {"price": prices[1], "quantity": 1, "tax_rates": [twenty]}],
        subscription_data={"default_tax_rates": [ten]},
    )
    assert (session.amount_subtotal, session.amount_total) == (2000, 2300)
    client.v1.tax_rates.update(twenty, {"active": False})

    assert submit(browser, session.url, PAYER).status_code == 303

    done = client.v1.checkout.sessions.retrieve(session.id, {"expand": ["subscription", "invoice"]})
    assert isinstance(done.subscription, stripe.Subscription) and isinstance(done.invoice, stripe.Invoice)
    assert [each.id for each in done.subscription.default_tax_rates or []] == [ten]
    assert (done.invoice.status, done.invoice.total) == ("paid", 2300)
    page = browser.get(f"/hosted/invoice/test/{done.invoice.id}").text
    assert "VAT (10% on $10.00)" in page and "VAT (20% on $10.00)" in page and "$23.00" in page


def test_rates_a_checkout_cannot_have(client: stripe.StripeClient) -> None:
    ten = rate(client, 10)
    data = {"currency": "usd", "unit_amount": 5000, "product_data": {"name": "Book"}, "tax_behavior": "inclusive"}

    for line, param in (
        ({"price_data": data, "quantity": 1, "tax_rates": ["txr_no"]}, "line_items[0][tax_rates][0]"),
        ({"price_data": data, "quantity": 1, "tax_rates": [ten]}, "line_items[0][tax_rates]"),
    ):
        with pytest.raises(stripe.InvalidRequestError) as raised:
            sold(client, "payment", line_items=[line])
        assert raised.value.param == param


def test_a_page_says_who_accounts_for_the_tax(client: stripe.StripeClient, browser: httpx.Client) -> None:
    customer = customer_with(client, tax_exempt="reverse")
    draft = draft_of(client, customer, 1000, default_tax_rates=[rate(client, 10, inclusive=True)])
    issued = client.v1.invoices.finalize_invoice(draft.id)

    page = browser.get(f"/hosted/invoice/test/{issued.id}").text

    assert "Reverse charge" in page and "VAT (10%, not charged)" in page and "-$0.91" in page and "$9.09" in page
