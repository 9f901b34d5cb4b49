"""Invoice items: the ways to say an amount, and what each refuses."""

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import pytest
import stripe

from tests.wire.billing import customer_with, draft_of

if TYPE_CHECKING:
    from stripe.params import InvoiceItemCreateParams


@pytest.fixture(scope="module")
def customer(client: stripe.StripeClient) -> stripe.Customer:
    return customer_with(client)


@pytest.fixture(scope="module")
def product(client: stripe.StripeClient) -> str:
    return client.v1.products.create({"name": "Support"}).id


def _create(client: stripe.StripeClient, customer: stripe.Customer, **asked: Any) -> stripe.InvoiceItem:
    return client.v1.invoice_items.create(cast("InvoiceItemCreateParams", {"customer": customer.id, **asked}))


def test_an_amount_is_one_unit_of_it(client: stripe.StripeClient, customer: stripe.Customer) -> None:
    item = _create(client, customer, amount=-250, currency="usd", description="Sorry")

    assert (item.amount, item.quantity, item.discountable, item.proration) == (-250, 1, False, False)
    assert item.invoice is None
    assert item.period.start == item.period.end == item.date
    assert client.v1.invoice_items.retrieve(item.id) == item


def test_a_one_time_price_is_multiplied_and_named(
    client: stripe.StripeClient, customer: stripe.Customer, product: str
) -> None:
    price = client.v1.prices.create({"currency": "usd", "unit_amount_decimal": Decimal("12.5"), "product": product})

    item = _create(client, customer, pricing={"price": price.id}, quantity=3)

    assert (item.amount, item.quantity, item.description) == (38, 3, "Support")
    assert item.pricing is not None
    assert item.pricing.unit_amount_decimal == Decimal("12.5")
    assert item.pricing.price_details is not None
    assert (item.pricing.price_details.price, item.pricing.price_details.product) == (price.id, product)


def test_a_made_up_price_is_not_listed(client: stripe.StripeClient, customer: stripe.Customer, product: str) -> None:
    item = _create(
        client, customer, price_data={"currency": "usd", "product": product, "unit_amount": 40}, quantity_decimal="2.5"
    )

    assert (item.amount, item.quantity, item.quantity_decimal) == (100, 2, Decimal("2.5"))
    assert client.v1.prices.list({"product": product, "limit": 100}).data == [
        price for price in client.v1.prices.list({"product": product, "limit": 100}).data if price.unit_amount != 40
    ]


def test_a_unit_amount_is_rounded_once(client: stripe.StripeClient, customer: stripe.Customer) -> None:
    item = _create(client, customer, unit_amount_decimal="0.05", quantity=30, currency="usd")

    assert item.amount == 2


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"currency": "usd"}, "amount"),
        ({"amount": 100, "unit_amount_decimal": "1", "currency": "usd"}, "unit_amount_decimal"),
        ({"amount": 100, "quantity": 2, "currency": "usd"}, "quantity"),
        ({"amount": "1e3", "currency": "usd"}, "amount"),
        ({"amount": 10**15, "currency": "usd"}, "amount"),
        ({"unit_amount_decimal": "0.0000000000001", "currency": "usd"}, "unit_amount_decimal"),
        ({"unit_amount_decimal": "NaN", "currency": "usd"}, "unit_amount_decimal"),
        ({"unit_amount_decimal": "1", "quantity": -1, "currency": "usd"}, "quantity"),
        ({"unit_amount_decimal": "1", "quantity": 1, "quantity_decimal": "1", "currency": "usd"}, "quantity_decimal"),
        ({"amount": 100, "currency": "xxx"}, "currency"),
        ({"amount": 100, "currency": "eur"}, "currency"),
        ({"amount": 100, "currency": "usd", "period": {"start": 20, "end": 10}}, "period[end]"),
        ({"amount": 100, "currency": "usd", "period": {"start": 20}}, "period[end]"),
        ({"pricing": {"price": "price_nope"}}, "pricing[price]"),
        ({"price_data": {"currency": "usd", "product": "prod_nope", "unit_amount": 1}}, "price_data[product]"),
        ({"price_data": {"currency": "usd", "product": "prod_nope"}}, "price_data[unit_amount]"),
        ({"amount": 100, "currency": "usd", "invoice": "in_nope"}, "invoice"),
        ({"amount": 100, "currency": "usd", "subscription": "sub_nope"}, "subscription"),
        ({"amount": 100, "currency": "usd", "tax_rates": ["txr_1"]}, "tax_rates[0]"),
        ({"amount": 100, "currency": "usd", "wat": 1}, "wat"),
    ],
)
def test_what_is_no_amount_is_refused_where_it_was_said(
    client: stripe.StripeClient, customer: stripe.Customer, asked: dict[str, object], param: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        _create(client, customer, **asked)

    assert (refused.value.http_status, refused.value.param) == (400, param)


def test_a_recurring_price_is_not_billed_once(
    client: stripe.StripeClient, customer: stripe.Customer, product: str
) -> None:
    price = client.v1.prices.create(
        {"currency": "usd", "unit_amount": 5, "product": product, "recurring": {"interval": "month"}}
    )

    with pytest.raises(stripe.InvalidRequestError, match="only accepts prices with `type=one_time`"):
        _create(client, customer, pricing={"price": price.id})


def test_an_item_on_a_final_invoice_stays(client: stripe.StripeClient, customer: stripe.Customer) -> None:
    issued = client.v1.invoices.finalize_invoice(draft_of(client, customer, 1000).id)
    [item] = client.v1.invoice_items.list({"invoice": issued.id}).data

    changes: list[Callable[[], object]] = [
        lambda: client.v1.invoice_items.update(item.id, {"amount": 1}),
        lambda: client.v1.invoice_items.delete(item.id),
        lambda: _create(client, customer, amount=5, currency="usd", invoice=issued.id),
    ]
    for change in changes:
        with pytest.raises(stripe.InvalidRequestError) as refused:
            change()
        assert refused.value.code == "invoice_not_editable"
    assert client.v1.invoices.retrieve(issued.id) == issued


def test_another_quantity_keeps_the_price(client: stripe.StripeClient, customer: stripe.Customer, product: str) -> None:
    price = client.v1.prices.create({"currency": "usd", "unit_amount": 300, "product": product})
    item = _create(client, customer, pricing={"price": price.id}, quantity=2, metadata={"a": "1"})

    changed = client.v1.invoice_items.update(item.id, {"quantity": 5, "metadata": {"b": "2"}, "description": "Five"})

    assert (changed.amount, changed.quantity, changed.description) == (1500, 5, "Five")
    assert changed.pricing == item.pricing
    assert changed.metadata is not None
    assert changed.metadata.to_dict() == {"a": "1", "b": "2"}


def test_pending_items_are_listed_apart(client: stripe.StripeClient) -> None:
    customer = customer_with(client)
    waiting = _create(client, customer, amount=5, currency="usd")
    draft = draft_of(client, customer, 1000)

    every = client.v1.invoice_items.list({"customer": customer.id}).data
    pending = client.v1.invoice_items.list({"customer": customer.id, "pending": True}).data
    billed = client.v1.invoice_items.list({"customer": customer.id, "pending": False}).data

    assert [item.id for item in every] == [billed[0].id, waiting.id]
    assert [item.id for item in pending] == [waiting.id]
    assert [item.invoice for item in billed] == [draft.id]


def test_a_deleted_item_is_gone_and_still_a_cursor(client: stripe.StripeClient) -> None:
    customer = customer_with(client)
    first, second, third = (_create(client, customer, amount=n, currency="usd") for n in (1, 2, 3))

    assert client.v1.invoice_items.delete(second.id).deleted is True

    after = client.v1.invoice_items.list({"customer": customer.id, "starting_after": second.id}).data
    before = client.v1.invoice_items.list({"customer": customer.id, "ending_before": second.id}).data
    assert ([item.id for item in after], [item.id for item in before]) == ([first.id], [third.id])
    with pytest.raises(stripe.InvalidRequestError) as missing:
        client.v1.invoice_items.retrieve(second.id)
    assert (missing.value.http_status, missing.value.param) == (404, "invoiceitem")
