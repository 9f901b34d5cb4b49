"""Subscriptions from creation to their end, with invoices and money, on a real database."""

from dataclasses import replace
from datetime import timedelta

import pytest

from meterline.refusal import Declined, Missing, Refusal
from meterline.store import due
from meterline.subscription.model import Cancellation, ProrationBehavior, Subscription, TrialEnd
from meterline.usecase.bill_subscription import PaymentBehavior
from meterline.usecase.cancel_subscription import cancel_subscription
from meterline.usecase.change_subscription import AskedChange, AskedItemChange, change_subscription
from meterline.usecase.create_subscription import Asked
from meterline.usecase.resume_subscription import resume_subscription
from tests.usecase.world import ENVIRONMENT, WALL, World, at

BLANK = Asked(environment=ENVIRONMENT, customer="", items=())


async def test_a_first_invoice_is_finalized_and_paid_in_the_call(world: World) -> None:
    subscription = await world.subscribe(await world.customer(), await world.price(unit="2000"))

    [invoice] = await world.invoices(subscription)
    assert subscription.status == "active"
    assert subscription.latest_invoice == invoice.id
    assert (invoice.status, invoice.billing_reason) == ("paid", "subscription_create")
    assert (invoice.amounts.total, invoice.attempt_count) == (2000, 1)
    assert invoice.period_start == invoice.period_end == subscription.created


async def test_without_anything_to_pay_with_nothing_is_written(world: World) -> None:
    customer = await world.customer(card=None)
    price = await world.price()

    with pytest.raises(Refusal, match="no attached payment source or default payment method") as refused:
        await world.subscribe(customer, price)

    assert (refused.value.code, refused.value.param) == ("resource_missing", None)
    async with world.database.begin() as tx:
        assert await due.of_subject(tx, customer_id=customer.customer_id, subject="sub") == []


@pytest.mark.parametrize("behavior", ["allow_incomplete", "default_incomplete"])
async def test_a_declined_first_payment_leaves_it_incomplete_and_then_expired(
    world: World, behavior: PaymentBehavior
) -> None:
    clock = await world.clock("2026-01-01")
    customer = await world.customer(clock=clock, card="pm_card_chargeCustomerFail")
    asked = replace(BLANK, payment_behavior=behavior)
    subscription = await world.subscribe(customer, await world.price(), asked=asked)
    assert subscription.status == "incomplete"

    await world.advance(clock, "2026-01-02")

    [invoice] = await world.invoices(subscription)
    assert (await world.subscription(subscription.id)).status == "incomplete_expired"
    assert invoice.status == "void"
    assert invoice.voided_at == at("2026-01-01 23:00")


async def test_error_if_incomplete_refuses_and_writes_nothing(world: World) -> None:
    customer = await world.customer(card="pm_card_chargeCustomerFail")

    with pytest.raises(Declined):
        await world.subscribe(
            customer, await world.price(), asked=replace(BLANK, payment_behavior="error_if_incomplete")
        )


async def test_usage_alone_needs_no_first_invoice_and_no_card(world: World) -> None:
    subscription = await world.subscribe(await world.customer(card=None), await world.metered())

    assert subscription.status == "active"
    assert subscription.latest_invoice is None
    assert await world.invoices(subscription) == []


async def test_sent_invoices_wait_as_drafts(world: World) -> None:
    asked = replace(BLANK, collection_method="send_invoice", days_until_due=30)
    subscription = await world.subscribe(await world.customer(card=None), await world.price(), asked=asked)

    [invoice] = await world.invoices(subscription)
    assert subscription.status == "active"
    assert (invoice.status, invoice.number, invoice.auto_advance) == ("draft", None, True)
    assert invoice.due_date == subscription.created + timedelta(days=30)


async def test_renewals_keep_their_day_at_the_ends_of_months(world: World) -> None:
    clock = await world.clock("2024-01-31")
    subscription = await world.subscribe(await world.customer(clock=clock), await world.price(), await world.metered())
    for month in ("2024-03-01", "2024-04-01", "2024-05-01"):
        clock = await world.advance(clock, month)

    made = await world.invoices(subscription)
    assert [invoice.created for invoice in made] == [
        at("2024-01-31"),
        at("2024-02-29"),
        at("2024-03-31"),
        at("2024-04-30"),
    ]
    assert [invoice.finalized_at for invoice in made[1:]] == [
        at("2024-02-29 01:00"),
        at("2024-03-31 01:00"),
        at("2024-04-30 01:00"),
    ]
    assert {invoice.status for invoice in made} == {"paid"}
    assert [(invoice.period_start, invoice.period_end) for invoice in made[1:]] == [
        (at("2024-01-31"), at("2024-02-29")),
        (at("2024-02-29"), at("2024-03-31")),
        (at("2024-03-31"), at("2024-04-30")),
    ]
    assert clock.frozen_time == at("2024-05-01")


async def test_a_leap_day_is_kept_over_the_years(world: World) -> None:
    clock = await world.clock("2024-02-29")
    subscription = await world.subscribe(await world.customer(clock=clock), await world.price(every="year"))
    await world.advance(clock, "2026-02-28")
    await world.advance(clock, "2028-02-28")
    await world.advance(clock, "2028-02-29 02:00")

    made = await world.invoices(subscription)
    assert [invoice.created for invoice in made] == [
        at("2024-02-29"),
        at("2025-02-28"),
        at("2026-02-28"),
        at("2027-02-28"),
        at("2028-02-29"),
    ]


async def test_a_failed_renewal_makes_it_past_due_and_paying_makes_it_active(world: World) -> None:
    clock = await world.clock("2026-01-01")
    customer = await world.customer(clock=clock)
    subscription = await world.subscribe(customer, await world.price())
    await world.swap_card(customer, "pm_card_chargeCustomerFail")

    await world.advance(clock, "2026-02-01 02:00")
    assert (await world.subscription(subscription.id)).status == "past_due"

    await world.swap_card(customer, "pm_card_visa")
    await world.advance(clock, "2026-02-03")
    assert (await world.subscription(subscription.id)).status == "active"
    assert {invoice.status for invoice in await world.invoices(subscription)} == {"paid"}


async def test_quantity_changes_wait_for_the_next_invoice(world: World) -> None:
    clock = await world.clock("2026-04-01")
    subscription = await world.subscribe(await world.customer(clock=clock), await world.price(unit="3000"))
    clock = await world.advance(clock, "2026-04-16")

    await change(world, subscription.id, quantity=3)
    await world.advance(clock, "2026-05-01 02:00")

    cycle = (await world.invoices(subscription))[-1]
    assert sorted(line.amount for line in cycle.lines) == [-1500, 4500, 9000]
    assert cycle.amounts.total == 12000


async def test_an_upgrade_can_be_invoiced_at_once(world: World) -> None:
    clock = await world.clock("2026-04-01")
    subscription = await world.subscribe(await world.customer(clock=clock), await world.price(unit="2000"))
    await world.advance(clock, "2026-04-21")

    after = await change(world, subscription.id, price=(await world.price(unit="1000")).id, behavior="always_invoice")

    invoice = (await world.invoices(subscription))[-1]
    assert after.latest_invoice == invoice.id
    assert invoice.billing_reason == "subscription_update"
    assert (invoice.amounts.total, invoice.amounts.due, invoice.status) == (-334, 0, "paid")
    assert invoice.amounts.ending_balance == -334
    assert (invoice.period_start, invoice.period_end) == (at("2026-04-01"), at("2026-04-21"))


async def test_the_last_usage_is_billed_when_the_period_was_the_last(world: World) -> None:
    clock = await world.clock("2026-04-01")
    subscription = await world.subscribe(await world.customer(clock=clock), await world.price(), await world.metered())
    async with world.database.begin() as tx:
        planned = await change_subscription(
            tx, AskedChange(cancel_at="min_period_end"), environment=ENVIRONMENT, id=subscription.id, now=WALL
        )
    assert (planned.cancel_at, planned.cancel_at_period_end) == (at("2026-05-01"), True)

    await world.advance(clock, "2026-05-15")

    ended = await world.subscription(subscription.id)
    final = (await world.invoices(subscription))[-1]
    assert (ended.status, ended.ended_at) == ("canceled", at("2026-05-01"))
    assert [line.usage is not None for line in final.lines] == [True]
    assert (final.auto_advance, final.status) == (False, "draft")
    async with world.database.begin() as tx:
        rows = await due.of_subject(tx, customer_id=ended.customer_id, subject=ended.id)
    assert rows == []


async def test_an_end_before_the_period_ends_gives_the_rest_back(world: World) -> None:
    clock = await world.clock("2026-01-01")
    subscription = await world.subscribe(
        await world.customer(clock=clock), await world.price(unit="12000", every="year")
    )
    async with world.database.begin() as tx:
        await change_subscription(
            tx, AskedChange(cancel_at=at("2026-07-01")), environment=ENVIRONMENT, id=subscription.id, now=WALL
        )

    await world.advance(clock, "2026-07-02")

    final = (await world.invoices(subscription))[-1]
    assert [line.amount for line in final.lines] == [-6049]


async def test_cancelling_twice_finds_nothing_the_second_time(world: World) -> None:
    subscription = await world.subscribe(await world.customer(), await world.price())

    first = await cancel(world, subscription.id)
    with pytest.raises(Missing) as refused:
        await cancel(world, subscription.id)

    assert first.status == "canceled"
    assert (refused.value.param, refused.value.subject) == ("id", True)


async def test_what_has_ended_keeps_its_terms(world: World) -> None:
    subscription = await world.subscribe(await world.customer(), await world.price())
    await cancel(world, subscription.id)

    noted = await change_with(world, subscription.id, AskedChange(metadata={"why": "moved"}))
    with pytest.raises(Refusal, match="can only update its cancellation_details and metadata") as refused:
        await change_with(world, subscription.id, AskedChange(description="more"))

    assert noted.metadata == {"why": "moved"}
    assert refused.value.code == "invalid_canceled_subscription_fields"


async def test_a_trial_without_a_card_pauses_and_goes_on_when_resumed(world: World) -> None:
    clock = await world.clock("2026-01-01")
    customer = await world.customer(clock=clock, card=None)
    asked = replace(BLANK, trial_period_days=10, trial_settings=TrialEnd(missing_payment_method="pause"))
    subscription = await world.subscribe(customer, await world.price(), asked=asked)
    assert (subscription.status, subscription.trial_end) == ("trialing", at("2026-01-11"))

    await world.advance(clock, "2026-01-20")
    paused = await world.subscription(subscription.id)
    assert (paused.status, len(await world.invoices(subscription))) == ("paused", 1)

    await world.swap_card(customer, "pm_card_visa")
    async with world.database.begin() as tx:
        resumed = await resume_subscription(
            tx,
            environment=ENVIRONMENT,
            id=subscription.id,
            anchor_now=True,
            behavior="create_prorations",
            only_if_paid=True,
            now=WALL,
        )
    assert (resumed.status, resumed.anchor) == ("active", at("2026-01-20"))
    assert (await world.invoices(subscription))[-1].status == "paid"


async def test_a_trial_turns_into_paid_periods(world: World) -> None:
    clock = await world.clock("2026-01-01")
    asked = replace(BLANK, trial_end=at("2026-01-11"))
    subscription = await world.subscribe(await world.customer(clock=clock), await world.price(), asked=asked)
    [first] = await world.invoices(subscription)
    assert (first.amounts.total, first.status) == (0, "paid")

    await world.advance(clock, "2026-01-11 02:00")

    after = await world.subscription(subscription.id)
    second = (await world.invoices(subscription))[-1]
    assert (after.status, second.amounts.total, second.status) == ("active", 1000, "paid")
    assert after.items[0].period_end == at("2026-02-11")


async def test_a_customer_on_a_clock_can_have_three_subscriptions(world: World) -> None:
    customer = await world.customer(clock=await world.clock("2026-01-01"))
    price = await world.metered()
    for _ in range(3):
        await world.subscribe(customer, price)

    with pytest.raises(Refusal, match="at most 3 subscriptions"):
        await world.subscribe(customer, price)


async def change(
    world: World,
    id: str,
    *,
    price: str | None = None,
    quantity: int | None = None,
    behavior: ProrationBehavior = "create_prorations",
) -> Subscription:
    item = (await world.subscription(id)).items[0].id
    asked = AskedChange(
        items=[AskedItemChange(param="items[0]", id=item, price=price, quantity=quantity)],
        proration_behavior=behavior,
    )
    return await change_with(world, id, asked)


async def change_with(world: World, id: str, asked: AskedChange) -> Subscription:
    async with world.database.begin() as tx:
        return await change_subscription(tx, asked, environment=ENVIRONMENT, id=id, now=WALL)


async def cancel(world: World, id: str) -> Subscription:
    async with world.database.begin() as tx:
        return await cancel_subscription(
            tx,
            environment=ENVIRONMENT,
            id=id,
            invoice_now=False,
            prorate=False,
            details=Cancellation(),
            now=WALL,
        )
