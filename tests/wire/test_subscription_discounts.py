"""Discounts of subscriptions, their items and customers, over months of a test clock."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import stripe

from tests.wire import working
from tests.wire.selling import Shop, error
from tests.wire.test_coupons import code, coupon, told
from tests.wire.typed import assert_typed


@pytest.fixture(scope="module", autouse=True)
def worker(dsn: str) -> Iterator[None]:
    """Somebody has to do what falls due."""
    with working.running(dsn):
        yield


@pytest.fixture
def shop(client: stripe.StripeClient) -> Shop:
    return Shop(client)


def by(offered: stripe.Coupon) -> list[dict[str, str]]:
    return [{"coupon": offered.id}]


def totals(shop: Shop, subscription: stripe.Subscription) -> list[int]:
    """What each invoice comes to, oldest first."""
    return [invoice.total for invoice in shop.invoices(subscription)]


def lines(invoice: stripe.Invoice) -> list[tuple[int, list[int]]]:
    """Amount and discounts of each line."""
    return [(line.amount, [each.amount for each in line.discount_amounts or []]) for line in invoice.lines.data]


def prorations(shop: Shop, customer: stripe.Customer) -> list[stripe.InvoiceItem]:
    """The pending prorations, credits first."""
    found = shop.v1.invoice_items.list({"customer": customer.id, "pending": True}).data
    return sorted(found, key=lambda item: item.amount)


def test_a_discount_for_one_invoice_is_used_up_by_the_first(shop: Shop, client: stripe.StripeClient) -> None:
    clock = shop.clock("2026-01-01")
    buyer, offered = shop.customer(clock=clock), coupon(client, percent_off=50)
    made = shop.subscribe(buyer, shop.price(1000), discounts=by(offered), expand=["latest_invoice.discounts"])

    assert_typed(made)
    assert made.discounts == []
    first = made.latest_invoice
    assert isinstance(first, stripe.Invoice)
    [discount] = first.discounts
    assert isinstance(discount, stripe.Discount)
    assert (discount.subscription, discount.invoice, discount.end) == (made.id, None, None)
    shop.advance(clock, "2026-02-02")
    assert totals(shop, made) == [500, 1000]
    assert client.v1.coupons.retrieve(offered.id).times_redeemed == 1
    assert len(told(client, "customer.discount.created", discount.id)) == 1
    assert len(told(client, "customer.discount.deleted", discount.id)) == 1


def test_a_discount_of_months_ends_by_the_calendar(shop: Shop, client: stripe.StripeClient) -> None:
    clock = shop.clock("2026-01-31")
    buyer = shop.customer(clock=clock)
    offered = coupon(client, duration="repeating", duration_in_months=2)
    made = shop.subscribe(buyer, shop.price(1000), discounts=by(offered), expand=["discounts"])
    [discount] = made.discounts
    assert isinstance(discount, stripe.Discount)
    assert discount.end is not None and discount.end - discount.start == 59 * 86_400

    for day in ("2026-03-01", "2026-04-01", "2026-05-01"):
        shop.advance(clock, day)
    assert totals(shop, made) == [900, 900, 1000, 1000]
    assert shop.v1.subscriptions.retrieve(made.id).discounts == []
    assert len(told(client, "customer.discount.deleted", discount.id)) == 1


def test_a_discount_for_good_lasts_until_it_is_taken_away(shop: Shop, client: stripe.StripeClient) -> None:
    clock = shop.clock("2026-01-01")
    buyer, offered = shop.customer(clock=clock), coupon(client, duration="forever")
    made = shop.subscribe(buyer, shop.price(1000), discounts=by(offered))
    shop.advance(clock, "2026-02-02")
    gone = shop.v1.subscriptions.delete_discount(made.id)

    assert (gone.to_dict()["deleted"], gone.subscription) == (True, made.id)
    assert shop.v1.subscriptions.retrieve(made.id).discounts == []
    with pytest.raises(stripe.InvalidRequestError) as refused:
        shop.v1.subscriptions.delete_discount(made.id)
    assert refused.value.http_status == 404
    shop.advance(clock, "2026-03-02")
    assert totals(shop, made) == [900, 900, 1000]


def test_a_free_trial_does_not_use_a_discount_up(shop: Shop, client: stripe.StripeClient) -> None:
    clock = shop.clock("2026-01-01")
    buyer, offered = shop.customer(clock=clock), coupon(client, percent_off=50)
    made = shop.subscribe(buyer, shop.price(1000), discounts=by(offered), trial_period_days=14)
    assert len(made.discounts) == 1

    shop.advance(clock, "2026-01-16")
    shop.advance(clock, "2026-02-16")
    assert totals(shop, made) == [0, 500, 1000]


def test_the_discounts_of_an_item_come_first_and_only_to_it(shop: Shop, client: stripe.StripeClient) -> None:
    seats, support = shop.price(1000), shop.price(2000)
    half, tenth = coupon(client, percent_off=50, duration="forever"), coupon(client, duration="forever")
    buyer = shop.customer()
    asked: Any = {
        "customer": buyer.id,
        "items": [{"price": seats.id, "discounts": by(half)}, {"price": support.id}],
        "discounts": by(tenth),
        "expand": ["items.data.discounts", "latest_invoice"],
    }
    made = client.v1.subscriptions.create(asked)

    invoice: Any = made.latest_invoice
    assert (invoice.subtotal, invoice.total) == (2500, 2250)
    assert sorted(lines(invoice)) == [(1000, [500, 50]), (2000, [200])]
    [item] = [each for each in made["items"].data if each.price.id == seats.id]
    [own] = item.discounts
    assert (own.subscription_item, own.subscription, own.source.coupon) == (item.id, None, half.id)
    assert_typed(made)


def test_discounts_are_replaced_kept_and_cleared(shop: Shop, client: stripe.StripeClient) -> None:
    first, second = coupon(client, duration="forever"), coupon(client, percent_off=50, duration="forever")
    made = shop.subscribe(shop.customer(), shop.price(1000), discounts=by(first))
    [kept] = made.discounts

    both = shop.v1.subscriptions.update(made.id, {"discounts": [{"discount": str(kept)}, {"coupon": second.id}]})
    assert (both.discounts[0], len(both.discounts)) == (kept, 2)
    assert shop.v1.subscriptions.update(made.id, {"metadata": {"k": "v"}}).discounts == both.discounts
    assert shop.v1.invoices.create_preview({"subscription": made.id}).total == 450
    only: Any = {"discounts": [{"discount": both.discounts[1]}]}
    assert shop.v1.subscriptions.update(made.id, only).discounts == [both.discounts[1]]
    assert len(told(client, "customer.discount.deleted", str(kept))) == 1
    assert shop.v1.subscriptions.update(made.id, {"discounts": ""}).discounts == []
    with pytest.raises(stripe.InvalidRequestError) as refused:
        shop.v1.subscriptions.update(made.id, {"discounts": [{"discount": str(kept)}]})
    assert error(refused)[1:3] == ("resource_missing", "discounts[0][discount]")


def test_an_item_is_discounted_and_not_any_more(shop: Shop, client: stripe.StripeClient) -> None:
    made = shop.subscribe(shop.customer(), shop.price(1000))
    [item] = made["items"].data
    offered = coupon(client, percent_off=50, duration="forever")
    asked: Any = {"discounts": by(offered), "expand": ["discounts"]}
    changed = shop.v1.subscription_items.update(item.id, asked)

    assert_typed(changed)
    assert shop.v1.invoices.create_preview({"subscription": made.id}).total == 500
    assert shop.v1.invoice_items.list({"customer": str(made.customer)}).data == []
    assert shop.v1.subscription_items.update(item.id, {"discounts": ""}).discounts == []


@pytest.mark.parametrize(("mode", "credit"), [("classic", -250), ("flexible", -417)])
def test_an_item_that_leaves_is_given_back_net_of_its_discount(
    shop: Shop, client: stripe.StripeClient, mode: str, credit: int
) -> None:
    clock = shop.clock("2026-04-01")
    buyer = shop.customer(clock=clock)
    offered = coupon(client, amount_off=500, currency="usd", duration="forever")
    small, large = shop.price(1000), shop.price(2000)
    made = shop.subscribe(
        buyer, small, large, discounts=by(offered), billing_mode={"type": mode}, expand=["latest_invoice"]
    )
    invoice: Any = made.latest_invoice
    assert invoice.total == 2500
    assert sorted(lines(invoice)) == [(1000, [166]), (2000, [334])]

    shop.advance(clock, "2026-04-16")
    [item] = [each for each in made["items"].data if each.price.id == small.id]
    shop.v1.subscription_items.delete(item.id)

    [given_back] = prorations(shop, buyer)
    assert (given_back.amount, given_back.net_amount, given_back.discountable) == (credit, credit, False)


def test_itemized_prorations_show_what_is_taken_off(shop: Shop, client: stripe.StripeClient) -> None:
    clock = shop.clock("2026-04-01")
    buyer, offered = shop.customer(clock=clock), coupon(client, duration="forever")
    made = shop.subscribe(
        buyer,
        shop.price(1000),
        discounts=by(offered),
        billing_mode={"type": "flexible", "flexible": {"proration_discounts": "itemized"}},
    )
    shop.advance(clock, "2026-04-16")
    [item] = made["items"].data
    shop.v1.subscription_items.update(item.id, {"quantity": 3})

    credit, debit = prorations(shop, buyer)
    for each in (credit, debit):
        assert_typed(each)
        assert each.discounts == made.discounts
        assert each.proration_details is not None
    assert (credit.amount, credit.net_amount, debit.amount, debit.net_amount) == (-500, -450, 1500, 1350)
    preview = shop.v1.invoices.create_preview({"subscription": made.id})
    assert sorted(lines(preview)) == [(-500, [-50]), (1500, [150]), (3000, [300])]
    assert (preview.subtotal, preview.total) == (3900, 3600)
    shop.advance(clock, "2026-05-02")
    assert totals(shop, made) == [900, 3600]


def test_prorations_are_itemized_from_a_migration_on(shop: Shop) -> None:
    made = shop.subscribe(shop.customer(), shop.price(1000))
    itemized: Any = {"billing_mode": {"type": "flexible", "flexible": {"proration_discounts": "itemized"}}}
    included: Any = {"billing_mode": {"type": "flexible"}}
    changed = shop.v1.subscriptions.migrate(made.id, itemized)
    assert changed.to_dict()["billing_mode"]["flexible"] == {"proration_discounts": "itemized"}
    for again in (itemized, included):
        with pytest.raises(stripe.InvalidRequestError, match="flexibly already"):
            shop.v1.subscriptions.migrate(made.id, again)


def test_the_customer_s_discount_is_for_bills_that_have_none(
    shop: Shop, client: stripe.StripeClient, raw: httpx.Client
) -> None:
    buyer = shop.customer()
    offered, other = coupon(client, duration="forever"), coupon(client, percent_off=50, duration="forever")
    given = raw.post(f"/ops/customers/{buyer.id}/discount", data={"coupon": offered.id}).json()
    assert_typed(given)
    assert given["discount"]["source"] == {"coupon": offered.id, "type": "coupon"}
    seen = shop.v1.customers.retrieve(buyer.id)
    assert seen.discount is not None and seen.discount.customer == buyer.id

    plain: Any = shop.subscribe(buyer, shop.price(1000), expand=["latest_invoice"])
    assert (plain.discounts, plain.latest_invoice.total) == ([], 900)
    own: Any = shop.subscribe(buyer, shop.price(1000), discounts=by(other), expand=["latest_invoice"])
    assert own.latest_invoice.total == 500
    shop.v1.invoice_items.create({"customer": buyer.id, "amount": 1000, "currency": "usd"})
    by_hand: Any = {"customer": buyer.id, "pending_invoice_items_behavior": "include", "discounts": ""}
    assert shop.v1.invoices.create(by_hand).total == 1000

    switched = raw.post(f"/ops/customers/{buyer.id}/discount", data={"coupon": other.id}).json()["discount"]
    [event] = told(client, "customer.discount.updated", switched["id"])
    assert event.data.to_dict()["previous_attributes"]["source"] == {"coupon": offered.id}
    assert shop.v1.invoices.create_preview({"subscription": plain.id}).total == 500

    gone = shop.v1.customers.delete_discount(buyer.id)
    assert gone.to_dict()["deleted"] is True
    assert shop.v1.customers.retrieve(buyer.id).discount is None
    assert shop.v1.invoices.create_preview({"subscription": plain.id}).total == 1000
    with pytest.raises(stripe.InvalidRequestError) as refused:
        shop.v1.customers.delete_discount(buyer.id)
    assert refused.value.http_status == 404


def test_a_customer_s_discount_for_one_invoice_is_used_up(
    shop: Shop, client: stripe.StripeClient, raw: httpx.Client
) -> None:
    buyer = shop.customer()
    raw.post(f"/ops/customers/{buyer.id}/discount", data={"promotion_code": code(client, coupon(client)).id})
    shop.v1.invoice_items.create({"customer": buyer.id, "amount": 1000, "currency": "usd"})

    assert shop.v1.invoices.create({"customer": buyer.id, "pending_invoice_items_behavior": "include"}).total == 900
    assert shop.v1.customers.retrieve(buyer.id).discount is None


@pytest.mark.parametrize("where", ["invoice", "item", "new item", "line"])
def test_a_customer_s_discount_for_one_invoice_is_used_up_by_a_draft_that_gets_it_later(
    shop: Shop, client: stripe.StripeClient, raw: httpx.Client, where: str
) -> None:
    buyer = shop.customer()
    draft = str(shop.v1.invoices.create({"customer": buyer.id}).id)
    thing: Any = {"customer": buyer.id, "invoice": draft, "amount": 1000, "currency": "usd"}
    item = shop.v1.invoice_items.create(thing)
    raw.post(f"/ops/customers/{buyer.id}/discount", data={"coupon": coupon(client).id})
    mine = shop.v1.customers.retrieve(buyer.id).discount
    assert mine is not None
    by_name: Any = {"discounts": [{"discount": mine.id}]}
    match where:
        case "invoice":
            shop.v1.invoices.update(draft, by_name)
        case "item":
            shop.v1.invoices.update(draft, by_name)
            shop.v1.invoice_items.update(item.id, by_name)
        case "new item":
            shop.v1.invoice_items.create(thing | by_name)
        case _:
            shop.v1.invoices.add_lines(draft, {"lines": [{"amount": 1000} | by_name]})

    assert shop.v1.invoices.retrieve(draft).total in (810, 900, 1900)
    seen = shop.v1.customers.retrieve(buyer.id)
    assert (seen.discount, seen.currency) == (None, "usd")
    assert len(told(client, "customer.discount.deleted", mine.id)) == 1


def test_a_minimum_is_asked_of_a_new_subscription_and_refused_of_a_change(
    shop: Shop, client: stripe.StripeClient
) -> None:
    limits = {"minimum_amount": 1500, "minimum_amount_currency": "usd"}
    made = code(client, coupon(client), restrictions=limits)
    asked: Any = [{"promotion_code": made.id}]
    with pytest.raises(stripe.InvalidRequestError, match="below the minimum"):
        shop.subscribe(shop.customer(), shop.price(1000), discounts=asked)
    taken: Any = shop.subscribe(shop.customer(), shop.price(1500), discounts=asked, expand=["latest_invoice"])
    assert taken.latest_invoice.total == 1350
    with pytest.raises(stripe.InvalidRequestError, match="minimum_amount") as refused:
        shop.v1.subscriptions.update(taken.id, {"discounts": asked})
    assert refused.value.param == "discounts[0][promotion_code]"


def test_what_is_billed_along_has_discounts_of_its_own(shop: Shop, client: stripe.StripeClient) -> None:
    product = client.v1.products.create({"name": "Setup"}).id
    extra = {
        "price_data": {"currency": "usd", "product": product, "unit_amount": 4000},
        "discounts": by(coupon(client, percent_off=25)),
    }
    made: Any = shop.subscribe(shop.customer(), shop.price(1000), add_invoice_items=[extra], expand=["latest_invoice"])

    assert sorted(lines(made.latest_invoice)) == [(1000, []), (4000, [1000])]


def test_a_refused_coupon_leaves_nothing_behind(shop: Shop, client: stripe.StripeClient) -> None:
    buyer, offered = shop.customer(), coupon(client)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        shop.subscribe(buyer, shop.price(1000), discounts=[{"coupon": offered.id}, {"coupon": "nope"}])
    assert error(refused) == (400, "resource_missing", "discounts[1][coupon]", "No such coupon: 'nope'")
    assert client.v1.coupons.retrieve(offered.id).times_redeemed == 0
    assert shop.v1.subscriptions.list({"customer": buyer.id}).data == []


def test_discount_then_credits_then_tax_then_the_balance(shop: Shop, client: stripe.StripeClient) -> None:
    clock = shop.clock("2026-06-01")
    buyer = shop.customer(clock=clock)
    client.v1.customers.balance_transactions.create(buyer.id, {"amount": -1000, "currency": "usd"})
    grant: Any = {
        "amount": {"type": "monetary", "monetary": {"currency": "usd", "value": 5000}},
        "applicability_config": {"scope": {"price_type": "metered"}},
        "category": "paid",
        "customer": buyer.id,
    }
    client.v1.billing.credit_grants.create(grant)
    event = f"tokens_{clock.id}"
    price = shop.metered(event, "1")
    tax = client.v1.tax_rates.create({"display_name": "VAT", "percentage": 10, "inclusive": False})
    made = shop.subscribe(buyer, price, discounts=by(coupon(client, duration="forever")), default_tax_rates=[tax.id])
    shop.use(event, buyer, 10_000, "2026-06-01")
    preview = shop.v1.invoices.create_preview({"subscription": made.id})
    shop.advance(clock, "2026-07-02")

    invoice = shop.invoices(made)[-1]
    assert (preview.total, preview.amount_due) == (invoice.total, invoice.amount_due) == (4400, 3400)
    assert (invoice.subtotal, invoice.total_excluding_tax, invoice.ending_balance) == (10_000, 4000, 0)
    assert [(each.type, each.amount) for each in invoice.total_pretax_credit_amounts or []] == [
        ("discount", 1000),
        ("credit_balance_transaction", 5000),
    ]


def test_usage_that_comes_while_draft_is_discounted_too(shop: Shop, client: stripe.StripeClient) -> None:
    clock = shop.clock("2026-06-01")
    buyer = shop.customer(clock=clock)
    event = f"late_{clock.id}"
    price = shop.metered(event, "1")
    asked: Any = {"customer": buyer.id, "items": [{"price": price.id, "discounts": by(coupon(client, percent_off=50))}]}
    made = client.v1.subscriptions.create(asked)
    shop.use(event, buyer, 1000, "2026-06-01")
    shop.advance(clock, "2026-07-01 00:10")
    shop.use(event, buyer, 1000, "2026-06-30")
    assert shop.invoices(made)[-1].total == 1000
    shop.advance(clock, "2026-07-02")

    assert [invoice.total for invoice in shop.invoices(made)] == [1000]
    shop.use(event, buyer, 500, "2026-07-02")
    shop.advance(clock, "2026-08-02")
    assert shop.invoices(made)[-1].total == 500


def test_the_books_agree_after_all_of_this(raw: httpx.Client) -> None:
    report = raw.get("/ops/invariants").json()

    assert (report["holds"], report["violations"]) == (True, 0), report
