"""Tax on invoices by rates: who names them, what they come to, when they stop changing."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import httpx
import pytest
import stripe

from tests.wire import working
from tests.wire.billing import Month, customer_with, draft_of
from tests.wire.typed import assert_typed

NOV = datetime(2026, 11, 1, tzinfo=UTC)
DEC = datetime(2026, 12, 1, tzinfo=UTC)


@pytest.fixture(scope="module", autouse=True)
def worker(dsn: str) -> Iterator[None]:
    """Somebody has to do what falls due."""
    with working.running(dsn):
        yield


def rate(client: stripe.StripeClient, percentage: float, *, inclusive: bool = False, **more: Any) -> str:
    asked = {"display_name": "VAT", "inclusive": inclusive, "percentage": percentage, **more}
    return client.v1.tax_rates.create(cast("stripe.params.TaxRateCreateParams", asked)).id


def taxes(thing: stripe.Invoice | stripe.InvoiceLineItem) -> list[tuple[int, int | None, str]]:
    """Amount, base and behaviour of each tax of an invoice or a line."""
    found = thing.total_taxes if isinstance(thing, stripe.Invoice) else thing.taxes
    assert found is not None
    return [(tax.amount, tax.taxable_amount, tax.tax_behavior) for tax in found]


def test_default_rates_of_an_invoice_tax_every_line(client: stripe.StripeClient) -> None:
    five = rate(client, 5)
    draft = draft_of(client, customer_with(client), 450, 900, default_tax_rates=[five])

    assert_typed(draft)
    assert [each.id for each in draft.default_tax_rates] == [five]
    assert [taxes(line) for line in draft.lines.data] == [[(23, 450, "exclusive")], [(45, 900, "exclusive")]]
    assert (draft.subtotal, draft.total_excluding_tax, draft.total, draft.amount_due) == (1350, 1350, 1418, 1418)
    [tax] = draft.total_taxes or []
    assert (tax.amount, tax.taxability_reason, tax.type) == (68, "not_available", "tax_rate_details")
    assert tax.tax_rate_details is not None and tax.tax_rate_details.tax_rate == five
    issued = client.v1.invoices.finalize_invoice(draft.id)
    assert_typed(issued)
    assert (issued.total, issued.amount_remaining, taxes(issued)) == (1418, 1418, [(68, 1350, "exclusive")])


def test_rates_inside_and_on_top(client: stripe.StripeClient) -> None:
    both = [rate(client, 5, inclusive=True), rate(client, 7)]
    draft = draft_of(client, customer_with(client), 450, 900, default_tax_rates=both)

    assert [taxes(line) for line in draft.lines.data] == [
        [(21, 429, "inclusive"), (30, 429, "exclusive")],
        [(43, 857, "inclusive"), (60, 857, "exclusive")],
    ]
    assert (draft.total, draft.subtotal_excluding_tax, draft.total_excluding_tax) == (1440, 1286, 1286)


def test_an_items_own_rates_take_the_place_of_the_invoices(client: stripe.StripeClient) -> None:
    five, twenty = rate(client, 5), rate(client, 20)
    customer = customer_with(client)
    draft = draft_of(client, customer, 1000, default_tax_rates=[five])
    item = client.v1.invoice_items.create(
        {"customer": customer.id, "invoice": draft.id, "amount": 1000, "currency": "usd", "tax_rates": [twenty]}
    )

    assert_typed(item)
    assert [each.id for each in item.tax_rates or []] == [twenty]
    assert client.v1.invoices.retrieve(draft.id).total == 2250
    bare = client.v1.invoice_items.update(item.id, {"tax_rates": ""})
    assert bare.tax_rates == []
    assert client.v1.invoices.retrieve(draft.id).total == 2100


def test_a_draft_is_taxed_anew_when_its_rates_change(client: stripe.StripeClient) -> None:
    five, ten = rate(client, 5), rate(client, 10)
    draft = draft_of(client, customer_with(client), 1000)
    assert (draft.total, draft.total_taxes) == (1000, [])

    assert client.v1.invoices.update(draft.id, {"default_tax_rates": [five, ten]}).total == 1150
    assert client.v1.invoices.update(draft.id, {"description": "no word of tax"}).total == 1150
    assert client.v1.invoices.update(draft.id, {"default_tax_rates": ""}).total == 1000


def test_lines_are_added_and_changed_with_rates(client: stripe.StripeClient) -> None:
    five, ten = rate(client, 5), rate(client, 10)
    draft = draft_of(client, customer_with(client))

    added = client.v1.invoices.add_lines(draft.id, {"lines": [{"amount": 1000, "tax_rates": [five]}, {"amount": 1000}]})
    assert added.total == 2050
    first, second = added.lines.data
    changed = client.v1.invoices.update_lines(
        draft.id, {"lines": [{"id": first.id, "tax_rates": ""}, {"id": second.id, "tax_rates": [ten]}]}
    )
    assert changed.total == 2100
    line = client.v1.invoices.line_items.update(draft.id, first.id, {"tax_rates": [five, ten]})
    assert_typed(line)
    assert taxes(line) == [(50, 1000, "exclusive"), (100, 1000, "exclusive")]
    assert client.v1.invoices.retrieve(draft.id).total == 2250


def test_money_given_back_gives_its_tax_back(client: stripe.StripeClient) -> None:
    draft = draft_of(client, customer_with(client), 1000, -250, default_tax_rates=[rate(client, 10)])

    assert [taxes(line) for line in draft.lines.data] == [[(100, 1000, "exclusive")], [(-25, -250, "exclusive")]]
    assert (draft.total, taxes(draft)) == (825, [(75, 750, "exclusive")])


@pytest.mark.parametrize(("status", "reason"), [("exempt", "customer_exempt"), ("reverse", "reverse_charge")])
def test_an_exempt_customer_is_not_asked_for_tax(client: stripe.StripeClient, status: str, reason: str) -> None:
    both = [rate(client, 10, inclusive=True), rate(client, 7)]
    draft = draft_of(client, customer_with(client, tax_exempt=status), 10_000, default_tax_rates=both)

    assert draft.customer_tax_exempt == status
    assert (draft.subtotal, draft.total, draft.total_excluding_tax) == (10_000, 9091, 9091)
    assert taxes(draft) == [(0, 0, "inclusive"), (0, 0, "exclusive")]
    assert {tax.taxability_reason for tax in draft.total_taxes or []} == {reason}
    assert client.v1.invoices.finalize_invoice(draft.id).amount_due == 9091


def test_a_draft_follows_its_customers_exemption_and_an_issued_invoice_does_not(client: stripe.StripeClient) -> None:
    customer = customer_with(client)
    draft = draft_of(client, customer, 1000, default_tax_rates=[rate(client, 10)])
    issued = client.v1.invoices.finalize_invoice(
        draft_of(client, customer, 1000, default_tax_rates=[rate(client, 10)]).id
    )

    client.v1.customers.update(customer.id, {"tax_exempt": "exempt"})

    shown = client.v1.invoices.retrieve(draft.id)
    assert (shown.total, shown.customer_tax_exempt) == (1000, "exempt")
    kept = client.v1.invoices.retrieve(issued.id)
    assert (kept.total, kept.customer_tax_exempt, taxes(kept)) == (1100, "none", [(100, 1000, "exclusive")])
    assert client.v1.invoices.finalize_invoice(draft.id).total == 1000


def test_a_renamed_rate_is_shown_by_its_name_wherever_it_is(client: stripe.StripeClient) -> None:
    ten = rate(client, 10)
    draft = draft_of(client, customer_with(client), 1000, default_tax_rates=[ten])

    client.v1.tax_rates.update(ten, {"display_name": "Sales tax", "active": False})

    [shown] = client.v1.invoices.retrieve(draft.id).default_tax_rates
    assert (shown.display_name, shown.active) == ("Sales tax", False)
    assert client.v1.invoices.finalize_invoice(draft.id).total == 1100


def test_an_inactive_rate_stays_where_it_is_and_goes_nowhere_else(client: stripe.StripeClient) -> None:
    ten = rate(client, 10)
    customer = customer_with(client)
    draft = draft_of(client, customer, 1000, default_tax_rates=[ten])
    client.v1.tax_rates.update(ten, {"active": False})

    assert client.v1.invoices.update(draft.id, {"default_tax_rates": [ten]}).total == 1100
    with pytest.raises(stripe.InvalidRequestError, match="inactive") as raised:
        draft_of(client, customer, default_tax_rates=[ten])
    assert raised.value.param == "default_tax_rates[0]"


def test_ten_rates_and_no_more(client: stripe.StripeClient) -> None:
    rates = [rate(client, 1) for _ in range(11)]
    customer = customer_with(client)

    assert draft_of(client, customer, 1000, default_tax_rates=rates[:10]).total == 1100
    with pytest.raises(stripe.InvalidRequestError, match="at most 10 tax rates") as raised:
        draft_of(client, customer, default_tax_rates=rates)
    assert raised.value.param == "default_tax_rates"
    with pytest.raises(stripe.InvalidRequestError, match="only be applied once"):
        draft_of(client, customer, default_tax_rates=[rates[0], rates[0]])


@pytest.mark.parametrize(
    ("call", "asked", "param"),
    [
        ("/v1/invoices", {"default_tax_rates[0]": "txr_no"}, "default_tax_rates[0]"),
        ("/v1/invoiceitems", {"amount": "5", "currency": "usd", "tax_rates[]": "txr_no"}, "tax_rates[0]"),
        ("/v1/subscriptions", {"items[0][price]": "PRICE", "default_tax_rates[0]": "txr_no"}, "default_tax_rates[0]"),
        (
            "/v1/subscriptions",
            {"items[0][price]": "PRICE", "items[0][tax_rates][0]": "txr_no"},
            "items[0][tax_rates][0]",
        ),
        (
            "/v1/invoices/create_preview",
            {"subscription_details[items][0][price]": "PRICE", "subscription_details[default_tax_rates][0]": "txr_no"},
            "default_tax_rates[0]",
        ),
    ],
)
def test_an_unknown_rate_is_refused_where_it_is_named(
    client: stripe.StripeClient, raw: httpx.Client, call: str, asked: dict[str, str], param: str
) -> None:
    price = client.v1.prices.create(
        {"currency": "usd", "unit_amount": 1, "recurring": {"interval": "month"}, "product_data": {"name": "Seat"}}
    )
    form = {name: price.id if value == "PRICE" else value for name, value in asked.items()}

    answer = raw.post(call, data={"customer": customer_with(client).id, **form})

    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "resource_missing", param)
    assert error["message"] == "No such tax rate: 'txr_no'"


def test_a_price_that_says_where_its_tax_is_takes_no_other_rate(client: stripe.StripeClient) -> None:
    customer = customer_with(client)
    inside, on_top = rate(client, 10, inclusive=True), rate(client, 10)
    price = client.v1.prices.create(
        {
            "currency": "usd",
            "unit_amount": 1100,
            "tax_behavior": "inclusive",
            "recurring": {"interval": "month"},
            "product_data": {"name": "Seat"},
        }
    )

    for wrong in (
        {"items": [{"price": price.id}], "default_tax_rates": [on_top]},
        {"items": [{"price": price.id, "tax_rates": [on_top]}]},
    ):
        with pytest.raises(stripe.InvalidRequestError, match="conflicts with the tax rates"):
            client.v1.subscriptions.create(
                cast("stripe.params.SubscriptionCreateParams", {"customer": customer.id, **wrong})
            )
    subscription = client.v1.subscriptions.create(
        {"customer": customer.id, "items": [{"price": price.id}], "default_tax_rates": [inside]}
    )
    with pytest.raises(stripe.InvalidRequestError, match="conflicts with the tax rates"):
        client.v1.subscriptions.update(subscription.id, {"default_tax_rates": [on_top]})
    invoice = client.v1.invoices.retrieve(str(subscription.latest_invoice))
    assert (invoice.total, taxes(invoice)) == (1100, [(100, 1000, "inclusive")])


def test_tax_of_a_subscription_with_a_rate_for_one_item(client: stripe.StripeClient) -> None:
    month = Month(client, start=NOV, tiers=[{"up_to": "inf", "unit_amount": 1}])
    ten, twenty = rate(client, 10), rate(client, 20)
    subscription = client.v1.subscriptions.create(
        {
            "customer": month.customer.id,
            "items": [{"price": month.seat.id, "quantity": 2}, {"price": month.tokens.id, "tax_rates": [twenty]}],
            "default_tax_rates": [ten],
        }
    )

    assert_typed(subscription)
    assert [each.id for each in subscription.default_tax_rates or []] == [ten]
    rates = {item.price.id: [each.id for each in item.tax_rates or []] for item in subscription["items"].data}
    assert rates == {month.seat.id: [], month.tokens.id: [twenty]}
    first = client.v1.invoices.retrieve(str(subscription.latest_invoice))
    assert (first.total, first.status, [each.id for each in first.default_tax_rates]) == (4400, "paid", [ten])
    month.subscription = subscription
    month.advance(datetime(2026, 11, 10, tzinfo=UTC))
    month.use(1000, at=datetime(2026, 11, 10, tzinfo=UTC))
    preview = client.v1.invoices.create_preview({"subscription": subscription.id})
    month.advance(DEC + timedelta(hours=2))
    billed = month.latest_invoice()
    assert (billed.total, taxes(billed)) == (5600, [(200, 1000, "exclusive"), (400, 4000, "exclusive")])
    assert (preview.total, taxes(preview)) == (billed.total, taxes(billed))


def test_a_subscriptions_rates_change_for_what_is_billed_from_then_on(client: stripe.StripeClient) -> None:
    month = Month(client, start=NOV)
    ten, twenty = rate(client, 10), rate(client, 20)
    made = client.v1.subscriptions.create(
        {"customer": month.customer.id, "items": [{"price": month.seat.id}], "default_tax_rates": [ten]}
    )
    changed = client.v1.subscriptions.update(made.id, {"default_tax_rates": [twenty]})

    assert [each.id for each in changed.default_tax_rates or []] == [twenty]
    assert client.v1.invoices.retrieve(str(made.latest_invoice)).total == 2200
    [item] = changed["items"].data
    assert client.v1.invoices.create_preview({"subscription": made.id}).total == 2400
    client.v1.subscription_items.update(item.id, {"tax_rates": [ten]})
    assert client.v1.invoices.create_preview({"subscription": made.id}).total == 2200
    supposed = client.v1.invoices.create_preview(
        {"subscription": made.id, "subscription_details": {"items": [{"id": item.id, "tax_rates": [ten, twenty]}]}}
    )
    assert supposed.total == 2600
    client.v1.subscription_items.update(item.id, {"tax_rates": ""})
    client.v1.subscriptions.update(made.id, {"default_tax_rates": ""})
    assert client.v1.invoices.create_preview({"subscription": made.id}).total == 2000


def test_time_given_back_gives_back_the_tax_that_was_taken_for_it(client: stripe.StripeClient) -> None:
    month = Month(client, start=NOV)
    made = client.v1.subscriptions.create(
        {
            "customer": month.customer.id,
            "items": [{"price": month.seat.id, "quantity": 3}],
            "default_tax_rates": [rate(client, 10)],
        }
    )
    client.v1.subscriptions.update(made.id, {"default_tax_rates": [rate(client, 20)]})
    month.advance(datetime(2026, 11, 16, tzinfo=UTC))
    [item] = made["items"].data

    client.v1.subscriptions.update(
        made.id, {"items": [{"id": item.id, "quantity": 1}], "proration_behavior": "always_invoice"}
    )

    [newest] = client.v1.invoices.list({"subscription": made.id, "limit": 1}).data
    credit, debit = sorted(newest.lines.data, key=lambda line: line.amount)
    assert (credit.amount, taxes(credit)) == (-3000, [(-300, -3000, "exclusive")])
    assert (debit.amount, taxes(debit)) == (1000, [(200, 1000, "exclusive")])
    assert (newest.total, newest.ending_balance) == (-2100, -2100)


def test_a_preview_of_what_nobody_has_bought_yet_is_taxed(client: stripe.StripeClient) -> None:
    ten = rate(client, 10)
    price = client.v1.prices.create(
        {"currency": "usd", "unit_amount": 1000, "recurring": {"interval": "month"}, "product_data": {"name": "Seat"}}
    )
    asked = {
        "subscription_details": {"items": [{"price": price.id}], "default_tax_rates": [ten]},
        "invoice_items": [{"amount": 500, "currency": "usd", "tax_rates": [ten, rate(client, 20)]}],
    }

    for details, total in (({}, 1750), ({"tax_exempt": "reverse"}, 1500)):
        preview = client.v1.invoices.create_preview(
            cast(
                "stripe.params.InvoiceCreatePreviewParams",
                {**asked, "customer_details": {"address": {"country": "DE"}, **details}},
            )
        )
        assert_typed(preview)
        assert preview.total == total


def test_a_known_customer_is_previewed_with_other_details(client: stripe.StripeClient) -> None:
    customer = customer_with(client)
    client.v1.invoice_items.create(
        {"customer": customer.id, "amount": 1000, "currency": "usd", "tax_rates": [rate(client, 10)]}
    )

    supposed = client.v1.invoices.create_preview(
        {"customer": customer.id, "customer_details": {"tax_exempt": "exempt", "address": {"country": "FR"}}}
    )

    assert (supposed.total, supposed.customer_tax_exempt) == (1000, "exempt")
    assert supposed.customer_address is not None and supposed.customer_address.country == "FR"
    assert client.v1.invoices.create_preview({"customer": customer.id}).total == 1100
    assert client.v1.customers.retrieve(customer.id).tax_exempt == "none"


def test_tax_is_rounded_by_line_or_by_invoice(client: stripe.StripeClient, raw: httpx.Client) -> None:
    five = rate(client, 5)
    customer = customer_with(client)
    draft = draft_of(client, customer, 3030, 3030, 3030, default_tax_rates=[five])
    assert draft.total == 9546

    policy = raw.post("/ops/tax_policy", data={"rounding": "invoice"}).json()
    try:
        assert policy == {"object": "tax_policy", "livemode": False, "rounding": "invoice"}
        assert client.v1.invoices.finalize_invoice(draft.id).total == 9545
        assert raw.post("/ops/tax_policy", data={"rounding": "up"}).status_code == 400
    finally:
        assert raw.post("/ops/tax_policy", data={"rounding": "line"}).json()["rounding"] == "line"


def test_yen_are_taxed_in_whole_yen(client: stripe.StripeClient) -> None:
    customer = customer_with(client)
    draft = client.v1.invoices.create(
        {"customer": customer.id, "currency": "jpy", "default_tax_rates": [rate(client, 10)]}
    )
    client.v1.invoice_items.create({"customer": customer.id, "invoice": draft.id, "amount": 105, "currency": "jpy"})

    assert client.v1.invoices.retrieve(draft.id).total == 116
