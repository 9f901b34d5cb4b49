"""Discounts on invoices and invoice items through the official SDK: Stripe's numbers, in Stripe's order."""

from typing import Any

import pytest
import stripe

from tests.wire.billing import customer_with, draft_of
from tests.wire.selling import error
from tests.wire.test_coupons import code, coupon
from tests.wire.typed import assert_typed


def amounts(of: Any) -> list[int]:
    """What each discount takes off, in order."""
    return [each.amount for each in of or []]


def with_coupons(client: stripe.StripeClient, draft: stripe.Invoice, *offered: stripe.Coupon) -> stripe.Invoice:
    return client.v1.invoices.update(draft.id, {"discounts": [{"coupon": each.id} for each in offered]})


@pytest.mark.parametrize(("amount", "total"), [(100, 0), (300, 100)])
def test_an_amount_off_never_leaves_less_than_nothing(client: stripe.StripeClient, amount: int, total: int) -> None:
    draft = draft_of(client, customer_with(client), amount)
    invoice = with_coupons(client, draft, coupon(client, amount_off=200, currency="usd"))

    assert (invoice.subtotal, invoice.total, invoice.amount_due) == (amount, total, total)
    assert amounts(invoice.total_discount_amounts) == [amount - total]


def test_an_amount_off_is_shared_by_the_lines(client: stripe.StripeClient) -> None:
    draft = draft_of(client, customer_with(client), 1000, 2000)
    invoice = with_coupons(client, draft, coupon(client, amount_off=500, currency="usd"))

    assert [amounts(line.discount_amounts) for line in invoice.lines.data] == [[166], [334]]
    assert [line.discounts for line in invoice.lines.data] == [[], []]
    assert (invoice.total, amounts(invoice.total_discount_amounts)) == (2500, [500])


def test_an_invoice_under_discount_is_paid_for_what_is_left(client: stripe.StripeClient) -> None:
    buyer = customer_with(client)
    draft = with_coupons(client, draft_of(client, buyer, 3000), coupon(client))
    paid = client.v1.invoices.pay(draft.id, {"expand": ["discounts", "total_discount_amounts.discount", "payments"]})

    assert_typed(paid)
    assert (paid.status, paid.subtotal, paid.total, paid.amount_paid) == ("paid", 3000, 2700, 2700)
    [discount] = paid.discounts
    assert isinstance(discount, stripe.Discount)
    assert (discount.invoice, discount.customer, discount.end, discount.subscription) == (
        paid.id,
        buyer.id,
        None,
        None,
    )
    [entry] = paid.total_pretax_credit_amounts or []
    assert (entry.amount, entry.type, entry.discount) == (300, "discount", discount.id)


def test_tax_is_reckoned_on_what_the_discount_leaves(client: stripe.StripeClient) -> None:
    tax = client.v1.tax_rates.create({"display_name": "Sales tax", "percentage": 5, "inclusive": False})
    draft = with_coupons(client, draft_of(client, customer_with(client), 3000), coupon(client))
    invoice = client.v1.invoices.update(draft.id, {"default_tax_rates": [tax.id]})

    assert (invoice.subtotal, invoice.total_excluding_tax, invoice.total) == (3000, 2700, 2835)


def test_the_discounts_of_an_item_come_before_those_of_its_invoice(client: stripe.StripeClient) -> None:
    buyer = customer_with(client)
    draft = with_coupons(client, draft_of(client, buyer), coupon(client))
    half = coupon(client, percent_off=50)
    item = client.v1.invoice_items.create(
        {
            "customer": buyer.id,
            "invoice": draft.id,
            "amount": 1000,
            "currency": "usd",
            "discounts": [{"coupon": half.id}],
            "expand": ["discounts"],
        }
    )
    invoice = client.v1.invoices.retrieve(draft.id, {"expand": ["lines.data.discounts"]})

    assert_typed(item)
    assert_typed(invoice)
    [own] = item.discounts or []
    assert isinstance(own, stripe.Discount)
    assert (own.invoice_item, own.source.coupon) == (item.id, half.id)
    [line] = invoice.lines.data
    assert [each.id for each in line.discounts if isinstance(each, stripe.Discount)] == [own.id]
    assert (amounts(line.discount_amounts), line.subtotal, line.amount) == ([500, 50], 1000, 1000)
    assert (invoice.subtotal, invoice.total) == (500, 450)


def test_several_discounts_apply_in_their_order(client: stripe.StripeClient) -> None:
    ten_dollars, half = coupon(client, amount_off=1000, currency="usd"), coupon(client, percent_off=50)
    buyer = customer_with(client)

    assert with_coupons(client, draft_of(client, buyer, 3000), ten_dollars, half).total == 1000
    assert with_coupons(client, draft_of(client, buyer, 3000), half, ten_dollars).total == 500


def test_a_coupon_for_a_product_leaves_the_rest_alone(client: stripe.StripeClient) -> None:
    buyer = customer_with(client)
    product = client.v1.products.create({"name": "Seats"}).id
    draft = draft_of(client, buyer, 1000)
    client.v1.invoice_items.create(
        {
            "customer": buyer.id,
            "invoice": draft.id,
            "price_data": {"currency": "usd", "product": product, "unit_amount": 1000},
        }
    )
    invoice = with_coupons(client, draft, coupon(client, percent_off=50, applies_to={"products": [product]}))

    assert [amounts(line.discount_amounts) for line in invoice.lines.data] == [[], [500]]


def test_discounts_are_kept_replaced_and_taken_away(client: stripe.StripeClient) -> None:
    offered, other = coupon(client), coupon(client, percent_off=50)
    draft = with_coupons(client, draft_of(client, customer_with(client), 1000), offered)
    [kept] = draft.discounts
    both = client.v1.invoices.update(draft.id, {"discounts": [{"discount": str(kept)}, {"coupon": other.id}]})

    assert (both.discounts[0], len(both.discounts), both.total) == (kept, 2, 450)
    assert client.v1.coupons.retrieve(offered.id).times_redeemed == 1
    assert client.v1.invoices.update(draft.id, {"description": "Same"}).total == 450
    bare = client.v1.invoices.update(draft.id, {"discounts": ""})
    assert (bare.discounts, bare.total) == ([], 1000)


def test_lines_and_items_are_discounted_while_draft(client: stripe.StripeClient) -> None:
    buyer = customer_with(client)
    draft = draft_of(client, buyer, 1000)
    half = coupon(client, percent_off=50)
    [line] = draft.lines.data
    client.v1.invoices.line_items.update(draft.id, line.id, {"discounts": [{"coupon": half.id}]})
    assert client.v1.invoices.retrieve(draft.id).total == 500

    added = client.v1.invoices.add_lines(
        draft.id, {"lines": [{"amount": 800, "description": "More", "discounts": [{"coupon": half.id}]}]}
    )
    assert added.total == 900
    item = client.v1.invoice_items.list({"invoice": draft.id}).data[0]
    client.v1.invoice_items.update(item.id, {"discounts": ""})
    assert client.v1.invoices.retrieve(draft.id).total == 1300
    fixed = client.v1.invoice_items.update(item.id, {"discountable": False})
    assert fixed.net_amount == 800


def test_money_given_back_is_not_discounted(client: stripe.StripeClient) -> None:
    invoice = with_coupons(client, draft_of(client, customer_with(client), 1000, -200), coupon(client))

    assert (invoice.subtotal, invoice.total) == (800, 700)


@pytest.mark.parametrize(
    ("entry", "code_", "param"),
    [
        ({"coupon": "nope"}, "resource_missing", "discounts[0][coupon]"),
        ({"promotion_code": "promo_nope"}, "resource_missing", "discounts[0][promotion_code]"),
        ({"discount": "di_nope"}, "resource_missing", "discounts[0][discount]"),
        ({}, None, "discounts[0]"),
    ],
)
def test_discounts_that_there_are_none_of_are_refused(
    client: stripe.StripeClient, entry: dict[str, str], code_: str | None, param: str
) -> None:
    buyer = customer_with(client)
    asked: Any = {"customer": buyer.id, "discounts": [entry or {"coupon": "a", "promotion_code": "b"}]}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.invoices.create(asked)
    assert error(refused)[:3] == (400, code_, param)


def test_no_more_than_twenty_discounts_and_none_of_another_currency(client: stripe.StripeClient) -> None:
    buyer, offered = customer_with(client), coupon(client)
    many: Any = [{"coupon": offered.id}] * 21
    with pytest.raises(stripe.InvalidRequestError, match="at most 20"):
        client.v1.invoices.create({"customer": buyer.id, "discounts": many})
    euros = coupon(client, amount_off=500, currency="eur")
    with pytest.raises(stripe.InvalidRequestError, match="usd"):
        client.v1.invoices.create({"customer": buyer.id, "currency": "usd", "discounts": [{"coupon": euros.id}]})
    assert client.v1.coupons.retrieve(offered.id).times_redeemed == 0


def test_a_discount_outlives_its_coupon_and_keeps_its_terms(client: stripe.StripeClient) -> None:
    offered = coupon(client, id="FLEETING", percent_off=50)
    draft = with_coupons(client, draft_of(client, customer_with(client), 1000), offered)
    client.v1.coupons.delete(offered.id)
    coupon(client, id="FLEETING", percent_off=1)
    client.v1.invoice_items.create(
        {"customer": str(draft.customer), "invoice": draft.id, "amount": 1000, "currency": "usd"}
    )

    assert client.v1.invoices.finalize_invoice(draft.id).total == 1000


def test_a_finalized_invoice_is_not_discounted_any_more(client: stripe.StripeClient) -> None:
    issued = client.v1.invoices.finalize_invoice(draft_of(client, customer_with(client), 1000).id)
    with pytest.raises(stripe.InvalidRequestError, match="Finalized invoices"):
        with_coupons(client, issued, coupon(client))


def test_an_invoice_that_is_discounted_away_is_paid(client: stripe.StripeClient) -> None:
    draft = with_coupons(client, draft_of(client, customer_with(client), 1000), coupon(client, percent_off=100))
    issued = client.v1.invoices.finalize_invoice(draft.id)

    assert (issued.status, issued.total, issued.amount_due) == ("paid", 0, 0)


def test_a_preview_redeems_nothing_and_shows_what_would_come(client: stripe.StripeClient) -> None:
    buyer = customer_with(client)
    client.v1.invoice_items.create({"customer": buyer.id, "amount": 3000, "currency": "usd"})
    made = code(client, coupon(client, max_redemptions=1))
    asked: Any = {
        "customer": buyer.id,
        "discounts": [{"promotion_code": made.id}],
        "invoice_items": [{"amount": 1000, "currency": "usd", "discounts": [{"coupon": coupon(client).id}]}],
    }
    preview = client.v1.invoices.create_preview(asked)

    assert_typed(preview)
    assert (preview.subtotal, preview.total, amounts(preview.total_discount_amounts)) == (3900, 3510, [100, 390])
    assert client.v1.promotion_codes.retrieve(made.id).times_redeemed == 0
    assert client.v1.invoices.create_preview({"customer": buyer.id}).total == 3000
