"""`/v1/subscriptions` and `/v1/subscription_items`, driven by the official SDK."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import stripe

from tests.wire import working
from tests.wire.selling import Shop, error, unix
from tests.wire.typed import assert_typed


@pytest.fixture(scope="module", autouse=True)
def worker(dsn: str) -> Iterator[None]:
    """A worker on the module's database."""
    with working.running(dsn):
        yield


@pytest.fixture
def shop(client: stripe.StripeClient) -> Shop:
    return Shop(client)


def test_every_declared_member_is_sent(shop: Shop, raw: httpx.Client) -> None:
    clock = shop.clock("2026-01-01")
    subscription = shop.subscribe(
        shop.customer(clock=clock, card=None),
        shop.price(),
        trial_period_days=3,
        trial_settings={"end_behavior": {"missing_payment_method": "pause"}},
        billing_cycle_anchor_config={"day_of_month": 31},
    )
    at_first = raw.get(f"/v1/subscriptions/{subscription.id}").json()
    shop.advance(clock, "2026-01-31")
    paused = raw.get(f"/v1/subscriptions/{subscription.id}").json()
    [item] = paused["items"]["data"]

    assert_typed(at_first)
    assert_typed(paused)
    assert_typed(item)
    assert paused["status"] == "paused"
    assert (paused["plan"]["id"], paused["quantity"]) == (item["price"]["id"], 1)
    assert paused["items"]["total_count"] == 1
    assert paused["items"]["url"] == f"/v1/subscription_items?subscription={subscription.id}"


def test_members_of_older_versions_are_absent(shop: Shop, raw: httpx.Client) -> None:
    subscription = shop.subscribe(shop.customer(), shop.price(), shop.metered("absent_tokens"))

    body = raw.get(f"/v1/subscriptions/{subscription.id}").json()

    assert {"current_period_start", "current_period_end", "discount"} & body.keys() == set()
    assert body["plan"] is None and body["quantity"] is None
    assert {item["price"]["recurring"]["usage_type"]: "quantity" in item for item in body["items"]["data"]} == {
        "metered": False,
        "licensed": True,
    }


def test_what_was_created_is_read_back_the_same(shop: Shop) -> None:
    created = shop.subscribe(
        shop.customer(),
        shop.price(),
        metadata={"team": "blue"},
        description="The blue team",
        billing_mode={"type": "classic"},
        invoice_settings={"footer": "Thank you", "custom_fields": [{"name": "PO", "value": "7"}]},
        trial_settings={"end_behavior": {"missing_payment_method": "pause"}},
    )

    assert shop.v1.subscriptions.retrieve(created.id) == created
    assert created.metadata.to_dict() == {"team": "blue"}
    assert created.billing_mode.type == "classic"
    assert created.invoice_settings.custom_fields is not None
    assert created.start_date == created.created == created.billing_cycle_anchor


def test_expansions(shop: Shop) -> None:
    subscription = shop.subscribe(
        shop.customer(), shop.price(), expand=["latest_invoice", "customer", "items.data.price.product"]
    )

    assert isinstance(subscription.latest_invoice, stripe.Invoice)
    assert subscription.latest_invoice.status == "paid"
    assert isinstance(subscription.customer, stripe.Customer)
    assert isinstance(subscription["items"].data[0].price.product, stripe.Product)


REFUSALS: list[tuple[dict[str, Any], int, str | None, str | None, str]] = [
    ({"items": []}, 400, "parameter_missing", "items", "Missing required param: items."),
    ({"collection_method": "send_invoice"}, 400, None, "days_until_due", "you must specify 'days_until_due'."),
    ({"days_until_due": 3}, 400, None, "days_until_due", "You can only specify 'days_until_due' if"),
    ({"payment_behavior": "pending_if_incomplete"}, 400, None, "payment_behavior", "has no effect when creating"),
    ({"trial_from_plan": True, "trial_period_days": 3}, 400, None, "trial_from_plan", "You cannot set `trial_end`"),
    ({"trial_end": 1000}, 400, None, "trial_end", "You specified the value `1000` which is in the past."),
    ({"billing_cycle_anchor": 1000}, 400, None, "billing_cycle_anchor", "must be a timestamp in the future"),
    ({"billing_cycle_anchor": 4102444800}, 400, None, "billing_cycle_anchor", "next natural billing date"),
    ({"backdate_start_date": 4102444800}, 400, None, "backdate_start_date", "must be in the past"),
    (
        {"discounts": [{"coupon": "WELCOME"}]},
        400,
        "resource_missing",
        "discounts[0][coupon]",
        "No such coupon: 'WELCOME'",
    ),
    ({"default_tax_rates": ["txr_1"]}, 400, "resource_missing", "default_tax_rates[0]", "No such tax rate: 'txr_1'"),
    ({"on_behalf_of": "acct_1"}, 400, "resource_missing", "on_behalf_of", "No such account: 'acct_1'"),
    ({"automatic_tax": {"enabled": True}}, 400, None, "automatic_tax[enabled]", "does not offer"),
    ({"transfer_data": {"destination": "acct_1"}}, 400, None, "transfer_data", "does not offer"),
    ({"billing_thresholds": {"amount_gte": 5000}}, 400, None, "billing_thresholds", "does not offer"),
    ({"default_payment_method": "pm_nope"}, 400, "resource_missing", "default_payment_method", "No such PaymentMethod"),
    ({"wat": 1}, 400, "parameter_unknown", "wat", "Received unknown parameter: wat"),
    ({"items": [{"price": "price_nope"}]}, 400, "resource_missing", "items[0][price]", "No such price: 'price_nope'"),
]


@pytest.mark.parametrize(("asked", "status", "code", "param", "message"), REFUSALS)
def test_terms_that_are_refused(
    shop: Shop, asked: dict[str, Any], status: int, code: str | None, param: str | None, message: str
) -> None:
    price = shop.price()

    with pytest.raises(stripe.InvalidRequestError) as refused:
        shop.subscribe(shop.customer(), price, **asked)

    assert error(refused)[:3] == (status, code, param)
    assert message in error(refused)[3]


def test_neutral_forms_of_features_that_are_not_offered_pass(raw: httpx.Client, shop: Shop) -> None:
    answer = raw.post(
        "/v1/subscriptions",
        data={
            "customer": shop.customer().id,
            "items[0][price]": shop.price().id,
            "automatic_tax[enabled]": "false",
            "discounts": "",
            "default_tax_rates": "",
            "billing_thresholds": "",
            "items[0][tax_rates]": "",
        },
    )

    assert answer.status_code == 200, answer.text


def test_who_and_what_cannot_be_sold_to(shop: Shop) -> None:
    price, customer = shop.price(), shop.customer()
    with pytest.raises(stripe.InvalidRequestError) as unknown:
        shop.v1.subscriptions.create({"customer": "cus_nope", "items": [{"price": price.id}]})
    with pytest.raises(stripe.InvalidRequestError) as twice:
        shop.subscribe(customer, price, price)
    tokens = shop.metered("counted_tokens")
    with pytest.raises(stripe.InvalidRequestError) as counted:
        shop.v1.subscriptions.create({"customer": customer.id, "items": [{"price": tokens.id, "quantity": 2}]})
    with pytest.raises(stripe.InvalidRequestError) as broke:
        shop.subscribe(shop.customer(card=None), price)

    assert error(unknown)[:3] == (404, "resource_missing", "customer")
    assert error(twice)[2:] == (
        "plan",
        f"Cannot create a Subscription with multiple Subscription Items with the same Price: {price.id}",
    )
    assert error(counted)[2] == "items[0][quantity]"
    assert error(broke)[:3] == (400, "resource_missing", None)
    assert shop.v1.subscriptions.list({"customer": customer.id}).data == []


def test_a_decline_is_a_card_error_when_all_or_nothing_is_asked_for(shop: Shop) -> None:
    customer = shop.customer(card="pm_card_chargeCustomerFail")

    with pytest.raises(stripe.CardError) as refused:
        shop.subscribe(customer, shop.price(), payment_behavior="error_if_incomplete")
    incomplete = shop.subscribe(customer, shop.price(), expand=["latest_invoice"])

    assert refused.value.http_status == 402
    assert incomplete.status == "incomplete"
    assert isinstance(incomplete.latest_invoice, stripe.Invoice)
    assert (incomplete.latest_invoice.status, incomplete.latest_invoice.attempted) == ("open", True)
    assert [each.id for each in shop.v1.subscriptions.list({"customer": customer.id}).data] == [incomplete.id]


def test_a_hybrid_subscription_bills_seats_ahead_and_usage_behind(shop: Shop) -> None:
    clock = shop.clock("2026-01-31")
    customer = shop.customer(clock=clock)
    subscription = shop.subscribe(customer, shop.price(2000), shop.metered("hybrid_tokens"))
    shop.use("hybrid_tokens", customer, 100_000, "2026-01-31 00:00:00")
    shop.advance(clock, "2026-02-20")
    shop.use("hybrid_tokens", customer, 50_000, "2026-02-20 00:00:00")
    shop.advance(clock, "2026-02-28 00:30")
    shop.use("hybrid_tokens", customer, 25_000, "2026-02-27 23:59:59")
    shop.use("hybrid_tokens", customer, 7_000, "2026-02-28 00:00:00")
    shop.advance(clock, "2026-03-01")

    first, cycle = shop.invoices(subscription)

    assert (first.total, first.billing_reason) == (2000, "subscription_create")
    assert cycle.billing_reason == "subscription_cycle"
    assert sorted(line.amount for line in cycle.lines.data) == [2000, 7000]
    assert (cycle.total, cycle.status, cycle.created) == (9000, "paid", unix("2026-02-28"))


@pytest.mark.parametrize(("mode", "expected"), [("flexible", 175), ("classic", 75)])
def test_a_metered_price_switched_in_mid_period(shop: Shop, mode: str, expected: int) -> None:
    clock = shop.clock("2026-04-01")
    customer = shop.customer(clock=clock)
    event = f"switch_{mode}"
    old = shop.metered(event, "0.1")
    assert old.recurring is not None
    new = shop.price(
        recurring={"usage_type": "metered", "meter": old.recurring.meter},
        unit_amount=None,
        unit_amount_decimal="0.15",
    )
    subscription = shop.subscribe(customer, old, billing_mode={"type": mode})
    shop.use(event, customer, 1000, "2026-04-01 00:00:00")
    shop.advance(clock, "2026-04-16")
    item = subscription["items"].data[0].id
    shop.v1.subscriptions.update(subscription.id, {"items": [{"id": item, "price": new.id}]})
    shop.use(event, customer, 500, "2026-04-16 00:00:00")

    shop.advance(clock, "2026-05-02")

    assert shop.invoices(subscription)[-1].total == expected


def test_seats_changed_in_mid_period(shop: Shop) -> None:
    clock = shop.clock("2026-04-01")
    subscription = shop.subscribe(shop.customer(clock=clock), shop.price(3000))
    item = subscription["items"].data[0].id
    shop.advance(clock, "2026-04-16")

    later = shop.v1.subscription_items.update(item, {"quantity": 2})
    pending = shop.v1.invoice_items.list({"customer": str(subscription.customer), "pending": True})
    at_once = shop.v1.subscriptions.update(
        subscription.id,
        {"items": [{"id": item, "quantity": 5}], "proration_behavior": "always_invoice", "expand": ["latest_invoice"]},
    )
    free = shop.v1.subscriptions.update(
        subscription.id, {"items": [{"id": item, "quantity": 1}], "proration_behavior": "none"}
    )

    assert later.quantity == 2
    assert sorted(each.amount for each in pending.data) == [-1500, 3000]
    assert isinstance(at_once.latest_invoice, stripe.Invoice)
    assert at_once.latest_invoice.billing_reason == "subscription_update"
    assert sorted(line.amount for line in at_once.latest_invoice.lines.data) == [-3000, -1500, 3000, 7500]
    assert free["items"].data[0].quantity == 1
    assert free.latest_invoice == at_once.latest_invoice.id


def test_items_come_and_go(shop: Shop) -> None:
    subscription = shop.subscribe(shop.customer(), shop.price())
    extra = shop.price(500)

    added = shop.v1.subscription_items.create(
        {"subscription": subscription.id, "price": extra.id, "quantity": 3, "metadata": {"kind": "extra"}}
    )
    listed = shop.v1.subscription_items.list({"subscription": subscription.id})
    read = shop.v1.subscription_items.retrieve(added.id)
    changed = shop.v1.subscription_items.update(added.id, {"metadata": {"kind": "", "of": "seats"}})
    gone = shop.v1.subscription_items.delete(added.id)

    assert read == added
    assert [each.id for each in listed.data] == [added.id, subscription["items"].data[0].id]
    assert changed.metadata.to_dict() == {"of": "seats"}
    assert changed.quantity == 3
    assert gone.deleted
    with pytest.raises(stripe.InvalidRequestError) as refused:
        shop.v1.subscription_items.retrieve(added.id)
    assert error(refused)[0] == 404
    with pytest.raises(stripe.InvalidRequestError) as last:
        shop.v1.subscription_items.delete(subscription["items"].data[0].id)
    assert "at least one active plan" in error(last)[3]


def test_updates_that_are_refused(shop: Shop) -> None:
    subscription = shop.subscribe(shop.customer(), shop.price())
    with pytest.raises(stripe.InvalidRequestError) as item:
        shop.v1.subscriptions.update(subscription.id, {"items": [{"id": "si_nope", "quantity": 2}]})
    with pytest.raises(stripe.InvalidRequestError) as paused:
        shop.v1.subscriptions.resume(subscription.id)
    shop.v1.subscriptions.cancel(subscription.id)
    with pytest.raises(stripe.InvalidRequestError) as ended:
        shop.v1.subscriptions.update(subscription.id, {"description": "late"})
    with pytest.raises(stripe.InvalidRequestError) as twice:
        shop.v1.subscriptions.cancel(subscription.id)

    assert error(item) == (400, None, None, "Invalid subscription_item id: si_nope")
    assert error(paused) == (400, None, None, "You can only resume a subscription if it is `paused`.")
    assert error(ended)[1] == "invalid_canceled_subscription_fields"
    assert error(twice) == (
        404,
        "resource_missing",
        "id",
        f"No such subscription: '{subscription.id}'",
    )


def test_an_ended_subscription_keeps_what_is_said_about_it(shop: Shop) -> None:
    subscription = shop.subscribe(shop.customer(), shop.price())
    shop.v1.subscriptions.cancel(subscription.id)

    noted = shop.v1.subscriptions.update(
        subscription.id, {"metadata": {"ticket": "17"}, "cancellation_details": {"comment": "too far away"}}
    )

    assert noted.status == "canceled"
    assert noted.metadata.to_dict() == {"ticket": "17"}
    assert noted.cancellation_details is not None and noted.cancellation_details.comment == "too far away"


def test_terms_are_changed_merged_and_unset(shop: Shop, raw: httpx.Client) -> None:
    subscription = shop.subscribe(shop.customer(), shop.price(), metadata={"a": "1", "b": "2"}, description="First")

    changed = shop.v1.subscriptions.update(
        subscription.id,
        {
            "metadata": {"b": "", "c": "3"},
            "collection_method": "send_invoice",
            "days_until_due": 7,
            "pause_collection": {"behavior": "void", "resumes_at": 4102444800},
        },
    )
    emptied = raw.post(
        f"/v1/subscriptions/{subscription.id}", data={"description": "", "pause_collection": "", "metadata": ""}
    ).json()

    assert changed.metadata.to_dict() == {"a": "1", "c": "3"}
    assert (changed.collection_method, changed.days_until_due) == ("send_invoice", 7)
    assert changed.pause_collection is not None
    assert changed.description == "First"
    assert (emptied["description"], emptied["pause_collection"], emptied["metadata"]) == (None, None, {})
    assert emptied["collection_method"] == "send_invoice"


def test_the_end_can_be_planned_and_called_off(shop: Shop) -> None:
    subscription = shop.subscribe(shop.customer(), shop.price())
    end = subscription["items"].data[0].current_period_end

    planned = shop.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    called_off = shop.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": False})
    dated = shop.v1.subscriptions.update(subscription.id, {"cancel_at": "max_period_end"})

    assert (planned.cancel_at, planned.cancel_at_period_end, planned.status) == (end, True, "active")
    assert planned.canceled_at is not None
    assert planned.cancellation_details is not None
    assert planned.cancellation_details.reason == "cancellation_requested"
    assert (called_off.cancel_at, called_off.cancel_at_period_end, called_off.canceled_at) == (None, False, None)
    assert dated.cancel_at == end


def test_cancelling_with_a_bill_and_without(shop: Shop) -> None:
    clock = shop.clock("2026-04-01")
    customer = shop.customer(clock=clock)
    seats, tokens = shop.price(3000), shop.metered("cancel_tokens", "1")
    billed, dropped = (shop.subscribe(customer, seats, tokens) for _ in range(2))
    shop.use("cancel_tokens", customer, 100, "2026-04-01 00:00:00")
    shop.advance(clock, "2026-04-16")

    shop.v1.subscriptions.cancel(
        billed.id,
        {"invoice_now": True, "prorate": True, "cancellation_details": {"comment": "bye", "feedback": "unused"}},
    )
    shop.v1.subscriptions.cancel(dropped.id)

    final = shop.invoices(billed)[-1]
    ended = shop.v1.subscriptions.retrieve(billed.id)
    assert sorted(line.amount for line in final.lines.data) == [-1500, 100]
    assert final.billing_reason == "subscription_cycle"
    assert len(shop.invoices(dropped)) == 1
    assert (ended.status, ended.ended_at, ended.latest_invoice) == ("canceled", unix("2026-04-16"), final.id)
    assert ended.cancellation_details is not None
    assert (ended.cancellation_details.comment, ended.cancellation_details.feedback) == ("bye", "unused")


def test_an_anchor_in_the_future_makes_a_stub(shop: Shop) -> None:
    clock = shop.clock("2026-01-15")
    customer = shop.customer(clock=clock)
    stub = shop.subscribe(
        customer, shop.price(3100), billing_cycle_anchor=unix("2026-02-01"), expand=["latest_invoice"]
    )
    free = shop.subscribe(
        customer, shop.price(3100), billing_cycle_anchor=unix("2026-02-01"), proration_behavior="none"
    )
    configured = shop.subscribe(
        customer,
        shop.price(3100),
        billing_cycle_anchor_config={"day_of_month": 31, "hour": 0, "minute": 0, "second": 0},
    )

    assert isinstance(stub.latest_invoice, stripe.Invoice)
    assert stub.latest_invoice.total == 1700
    assert free.latest_invoice is None
    assert configured.billing_cycle_anchor == unix("2026-01-31")
    assert configured.billing_cycle_anchor_config is not None
    assert configured.billing_cycle_anchor_config.day_of_month == 31


def test_backdating_bills_the_time_since(shop: Shop) -> None:
    clock = shop.clock("2026-03-01")
    subscription = shop.subscribe(
        shop.customer(clock=clock),
        shop.price(3100),
        backdate_start_date=unix("2026-01-15"),
        expand=["latest_invoice"],
    )

    assert isinstance(subscription.latest_invoice, stripe.Invoice)
    assert sorted(line.amount for line in subscription.latest_invoice.lines.data) == [1700, 3100, 3100]
    assert subscription.start_date == unix("2026-01-15")


def test_backdating_flexibly_bills_the_usage_since(shop: Shop) -> None:
    clock = shop.clock("2026-03-10")
    customer = shop.customer(clock=clock)
    price = shop.metered("backdated_tokens", "10")
    shop.use("backdated_tokens", customer, 7, "2026-03-05")
    shop.use("backdated_tokens", customer, 5, "2026-02-20")

    subscription = shop.subscribe(customer, price, backdate_start_date=unix("2026-03-01"), expand=["latest_invoice"])
    quiet = shop.subscribe(shop.customer(clock=clock), price, backdate_start_date=unix("2026-03-01"))
    shop.use("backdated_tokens", customer, 2, "2026-03-10")
    shop.advance(clock, "2026-04-11")

    first = subscription.latest_invoice
    assert isinstance(first, stripe.Invoice)
    assert (first.status, first.total) == ("paid", 70)
    assert [(line.period.start, line.period.end) for line in first.lines.data] == [
        (unix("2026-03-01"), unix("2026-03-10"))
    ]
    assert quiet.latest_invoice is None and quiet.status == "active"
    assert sorted(invoice.total for invoice in shop.invoices(subscription)) == [20, 70]


def test_something_billed_once_comes_with_the_first_invoice(shop: Shop) -> None:
    setup = shop.v1.prices.create({"currency": "usd", "unit_amount": 9900, "product_data": {"name": "Setup"}})

    subscription = shop.subscribe(
        shop.customer(),
        shop.price(1000),
        add_invoice_items=[{"price": setup.id}],
        expand=["latest_invoice"],
    )

    assert isinstance(subscription.latest_invoice, stripe.Invoice)
    assert sorted(line.amount for line in subscription.latest_invoice.lines.data) == [1000, 9900]


def test_a_price_can_be_made_up_in_the_call(shop: Shop) -> None:
    product = shop.v1.products.create({"name": "Custom"})

    subscription = shop.subscribe(
        shop.customer(),
        items=[
            {
                "price_data": {
                    "currency": "usd",
                    "product": product.id,
                    "recurring": {"interval": "month"},
                    "unit_amount": 4200,
                },
                "quantity": 2,
            }
        ],
        expand=["latest_invoice"],
    )

    assert isinstance(subscription.latest_invoice, stripe.Invoice)
    assert subscription.latest_invoice.total == 8400


def test_a_price_says_its_trial_only_when_asked(shop: Shop) -> None:
    price = shop.price(recurring={"trial_period_days": 14})
    plain = shop.subscribe(shop.customer(), price)
    trial = shop.subscribe(shop.customer(card=None), price, trial_from_plan=True)

    assert (plain.status, plain.trial_end) == ("active", None)
    assert trial.status == "trialing"
    assert trial.trial_end == trial.created + 14 * 86400 == trial.billing_cycle_anchor


def test_ending_a_trial_at_once(shop: Shop) -> None:
    price = shop.price(1000)
    paying = shop.subscribe(shop.customer(), price, trial_period_days=14)
    broke = {
        outcome: shop.subscribe(
            shop.customer(card=None),
            price,
            trial_period_days=14,
            trial_settings={"end_behavior": {"missing_payment_method": outcome}},
        )
        for outcome in ("create_invoice", "pause", "cancel")
    }

    paid = shop.v1.subscriptions.update(paying.id, {"trial_end": "now"})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        shop.v1.subscriptions.update(broke["create_invoice"].id, {"trial_end": "now"})
    paused = shop.v1.subscriptions.update(broke["pause"].id, {"trial_end": "now"})
    canceled = shop.v1.subscriptions.update(broke["cancel"].id, {"trial_end": "now"})

    assert paid.status == "active"
    assert error(refused)[1:3] == ("resource_missing", None)
    assert (paused.status, canceled.status) == ("paused", "canceled")
    assert paused.status_details is not None
    assert paused.status_details.paused.subscription.type == "trial_end_without_payment_method"


def test_a_new_anchor_begins_a_new_period(shop: Shop) -> None:
    clock = shop.clock("2026-04-01")
    subscription = shop.subscribe(shop.customer(clock=clock), shop.price(3000))
    shop.advance(clock, "2026-04-16")

    moved = shop.v1.subscriptions.update(
        subscription.id, {"billing_cycle_anchor": {"type": "now"}, "expand": ["latest_invoice"]}
    )

    assert moved.billing_cycle_anchor == unix("2026-04-16")
    assert moved["items"].data[0].current_period_end == unix("2026-05-16")
    assert isinstance(moved.latest_invoice, stripe.Invoice)
    assert sorted(line.amount for line in moved.latest_invoice.lines.data) == [-1500, 3000]


def test_lists_are_narrowed(shop: Shop) -> None:
    clock = shop.clock("2026-04-01")
    hidden = shop.subscribe(shop.customer(clock=clock), shop.price())
    customer, price = shop.customer(), shop.price()
    sent = shop.subscribe(customer, price, collection_method="send_invoice", days_until_due=5)
    ended = shop.subscribe(customer, shop.price())
    shop.v1.subscriptions.cancel(ended.id)
    trial = shop.subscribe(customer, shop.price(), trial_period_days=3)

    def ids(**narrowed: Any) -> list[str]:
        return [each.id for each in shop.v1.subscriptions.list(narrowed).data]  # type: ignore[arg-type]

    assert ids(customer=customer.id) == [trial.id, sent.id]
    assert ids(customer=customer.id, status="all") == [trial.id, ended.id, sent.id]
    assert ids(customer=customer.id, status="ended") == [ended.id]
    assert ids(customer=customer.id, status="canceled") == [ended.id]
    assert ids(customer=customer.id, status="trialing") == [trial.id]
    assert ids(price=price.id) == [sent.id]
    assert ids(customer=customer.id, collection_method="send_invoice") == [sent.id]
    assert ids(customer=customer.id, limit=1) == [trial.id]
    assert ids(customer=customer.id, starting_after=trial.id) == [sent.id]
    assert ids(customer=customer.id, created={"gte": trial.created}) != []
    assert ids(customer=customer.id, current_period_end={"lt": trial.trial_end}) == []
    assert ids(customer=customer.id, automatic_tax={"enabled": True}) == []
    assert hidden.id not in ids(limit=100, status="all")
    assert ids(test_clock=clock.id) == [hidden.id]
    with pytest.raises(stripe.InvalidRequestError) as refused:
        ids(status="happy")
    assert error(refused)[3] == (
        "Invalid status: must be one of active, past_due, unpaid, canceled, incomplete, incomplete_expired,"
        " trialing, paused, all, or ended"
    )


def test_search(shop: Shop) -> None:
    subscription = shop.subscribe(shop.customer(), shop.price(), metadata={"wanted": "dead-or-alive"})

    found = shop.v1.subscriptions.search({"query": "status:'active' AND metadata['wanted']:'dead-or-alive'"})

    assert [each.id for each in found.data] == [subscription.id]
    assert found.data[0]["items"].data[0].price.id == subscription["items"].data[0].price.id


def test_what_happens_is_told(shop: Shop) -> None:
    subscription = shop.subscribe(shop.customer(), shop.price())
    shop.v1.subscriptions.update(subscription.id, {"metadata": {"a": "1"}})
    shop.v1.subscriptions.cancel(subscription.id)

    told = [
        event
        for event in shop.v1.events.list({"limit": 100}).auto_paging_iter()
        if event.data.object.to_dict().get("id") == subscription.id
    ]

    types = [event.type for event in told]
    assert types[0] == "customer.subscription.deleted"
    assert types[-1] == "customer.subscription.created"
    assert "customer.subscription.updated" in types
    assert told[0].data.object["status"] == "canceled"
    assert told[0].data.object["items"]["data"][0]["price"]["unit_amount"] == 1000


def test_a_trial_can_be_put_in_the_middle_of_things(shop: Shop) -> None:
    clock = shop.clock("2026-04-01")
    subscription = shop.subscribe(shop.customer(clock=clock), shop.price(3000))
    trying = shop.price(5000, recurring={"trial_period_days": 10})
    item = subscription["items"].data[0].id
    shop.advance(clock, "2026-04-16")

    trial = shop.v1.subscriptions.update(
        subscription.id, {"items": [{"id": item, "price": trying.id}], "trial_from_plan": True}
    )
    longer = shop.v1.subscriptions.update(subscription.id, {"trial_end": unix("2026-05-01")})

    assert (trial.status, trial.trial_end) == ("trialing", unix("2026-04-26"))
    assert (longer.trial_end, longer.billing_cycle_anchor) == (unix("2026-05-01"), unix("2026-05-01"))
    assert longer["items"].data[0].current_period_end == unix("2026-05-01")


def test_classic_subscriptions_migrate_one_way(shop: Shop) -> None:
    classic = shop.subscribe(shop.customer(), shop.price(), billing_mode={"type": "classic"})

    flexible = shop.v1.subscriptions.migrate(classic.id, {"billing_mode": {"type": "flexible"}})
    with pytest.raises(stripe.InvalidRequestError) as again:
        shop.v1.subscriptions.migrate(classic.id, {"billing_mode": {"type": "flexible"}})

    assert classic.billing_mode.flexible is None
    assert flexible.billing_mode.type == "flexible"
    assert error(again)[2] == "billing_mode[type]"


def test_the_card_that_paid_can_be_kept(shop: Shop) -> None:
    customer = shop.customer()

    kept = shop.subscribe(customer, shop.price(), payment_settings={"save_default_payment_method": "on_subscription"})
    plain = shop.subscribe(customer, shop.price())

    settings = shop.v1.customers.retrieve(customer.id).invoice_settings
    assert settings is not None
    assert kept.default_payment_method == settings.default_payment_method
    assert plain.default_payment_method is None


@pytest.mark.parametrize(
    ("behavior", "expected"),
    [("keep_as_draft", "draft"), ("mark_uncollectible", "uncollectible"), ("void", "void")],
)
def test_while_collection_is_paused_invoices_are_made_and_not_collected(
    shop: Shop, behavior: str, expected: str
) -> None:
    clock = shop.clock("2026-04-01")
    subscription = shop.subscribe(shop.customer(clock=clock), shop.price(3000))
    paused = shop.v1.subscriptions.update(
        subscription.id,
        {"pause_collection": {"behavior": behavior, "resumes_at": unix("2026-05-15")}},
    )
    shop.advance(clock, "2026-05-20")
    resumed = shop.v1.subscriptions.retrieve(subscription.id)
    shop.advance(clock, "2026-06-02")

    assert paused.status == "active"
    assert resumed.pause_collection is None
    assert [each.status for each in shop.invoices(subscription)] == ["paid", expected, "paid"]


def test_older_versions_say_the_anchor_in_a_word(shop: Shop, raw: httpx.Client) -> None:
    subscription = shop.subscribe(shop.customer(), shop.price())

    def said(anchor: dict[str, str], version: str) -> httpx.Response:
        return raw.post(f"/v1/subscriptions/{subscription.id}", data=anchor, headers={"stripe-version": version})

    older = said({"billing_cycle_anchor": "unchanged"}, "2026-08-26.dahlia")
    newest = said({"billing_cycle_anchor[type]": "unchanged"}, "2026-10-28.endive")
    refused = said({"billing_cycle_anchor": "unchanged"}, "2026-10-28.endive")

    assert older.status_code == 200, older.text
    assert newest.status_code == 200, newest.text
    assert refused.status_code == 400 and refused.json()["error"]["param"] == "billing_cycle_anchor"


def test_a_previewed_anchor_is_said_in_the_same_two_ways(shop: Shop, raw: httpx.Client) -> None:
    subscription = shop.subscribe(shop.customer(), shop.price())

    def said(anchor: dict[str, str], version: str) -> httpx.Response:
        body = {"subscription": subscription.id} | anchor
        return raw.post("/v1/invoices/create_preview", data=body, headers={"stripe-version": version})

    older = said({"subscription_details[billing_cycle_anchor]": "now"}, "2026-08-26.dahlia")
    newest = said({"subscription_details[billing_cycle_anchor][type]": "now"}, "2026-10-28.endive")

    assert older.status_code == 200, older.text
    assert newest.status_code == 200, newest.text
    assert older.json()["total"] == newest.json()["total"]


@pytest.mark.parametrize(
    ("version", "mode"),
    [("2025-08-27.basil", "classic"), ("2025-09-30.clover", "flexible"), ("2026-10-28.endive", "flexible")],
)
def test_what_saying_nothing_of_billing_modes_means(shop: Shop, raw: httpx.Client, version: str, mode: str) -> None:
    body = {"customer": shop.customer().id, "items[0][price]": shop.price().id}

    made = raw.post("/v1/subscriptions", data=body, headers={"stripe-version": version}).json()

    assert made["billing_mode"]["type"] == mode


def test_a_trial_is_announced_three_days_before_it_ends(shop: Shop) -> None:
    clock = shop.clock("2026-04-01")
    trial = shop.subscribe(shop.customer(clock=clock), shop.price(), trial_end=unix("2026-04-20"))
    shop.advance(clock, "2026-04-18")

    [told] = shop.v1.events.list({"type": "customer.subscription.trial_will_end"}).data

    assert told.data.object["id"] == trial.id
    assert told.created == unix("2026-04-17")


def test_refusals_about_one_item_name_its_own_parameters(shop: Shop) -> None:
    subscription = shop.subscribe(shop.customer(), shop.price(), shop.metered("own_tokens"))
    items = {each.price.recurring and each.price.recurring.usage_type: each.id for each in subscription["items"].data}

    with pytest.raises(stripe.InvalidRequestError) as price:
        shop.v1.subscription_items.update(items["licensed"], {"price": "price_nope"})
    with pytest.raises(stripe.InvalidRequestError) as quantity:
        shop.v1.subscription_items.update(items["metered"], {"quantity": 2})
    with pytest.raises(stripe.InvalidRequestError) as nothing:
        shop.v1.subscription_items.create({"subscription": subscription.id})

    assert error(price)[:3] == (400, "resource_missing", "price")
    assert error(quantity)[2:] == (
        "quantity",
        "Quantity should not be specified where usage_type is `metered`. Remove quantity",
    )
    assert error(nothing)[1:3] == ("parameter_missing", "price")
