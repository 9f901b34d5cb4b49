"""Invoices on a real database: what is recorded, what happens once however often it is tried, and in what order."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.invoice.model import Invoice
from meterline.payment.payment import Refused
from meterline.refusal import Refusal
from meterline.store import balance, due, invoice_item, payment_method
from meterline.store import customer as customers
from meterline.store import invoice as invoices
from meterline.store import payment as payments
from meterline.store.page import Cursor
from meterline.usecase.advance_invoice import collect_due, finalize_due
from meterline.usecase.change_balance import change_balance
from meterline.usecase.create_invoice import AskedInvoice, create_invoice
from meterline.usecase.create_invoice_item import AskedAmount, AskedItem, create_invoice_item
from meterline.usecase.detach_payment_method import detach_payment_method
from meterline.usecase.finalize_invoice import finalize_invoice
from meterline.usecase.pay_invoice import pay_invoice
from meterline.usecase.preview_invoice import AskedPreview, preview_invoice
from meterline.usecase.update_invoice import update_invoice
from meterline.usecase.void_invoice import void_invoice
from tests.usecase.world import ENVIRONMENT, WALL, World

MANY = 8


async def _draft(world: World, customer: str, *amounts: int) -> Invoice:
    async with world.database.begin() as tx:
        made = await create_invoice(
            tx, AskedInvoice(environment=ENVIRONMENT, customer=customer, currency="usd"), now=WALL
        )
        for amount in amounts:
            await create_invoice_item(
                tx,
                environment=ENVIRONMENT,
                customer=customer,
                asked=AskedItem(amount=AskedAmount(amount=amount)),
                invoice=made.id,
                now=WALL,
            )
        return await invoices.get(tx, ENVIRONMENT, made.id)


async def _open(world: World, customer: str, *amounts: int) -> Invoice:
    made = await _draft(world, customer, *amounts)
    async with world.database.begin() as tx:
        return await finalize_invoice(tx, invoice=made, now=WALL)


async def _reload(world: World, invoice: Invoice) -> Invoice:
    async with world.database.begin() as tx:
        return await invoices.get(tx, ENVIRONMENT, invoice.id)


async def _all_at_once(world: World, act: Callable[[AsyncConnection], Awaitable[object]]) -> list[object]:
    """What each of many attempts at the same moment came to: its result, or the refusal."""

    async def attempt() -> object:
        try:
            async with world.database.begin() as tx:
                return await act(tx)
        except Refusal as refused:
            return refused

    return await asyncio.gather(*(attempt() for _ in range(MANY)))


async def test_many_finalizations_at_once_are_one(world: World) -> None:
    customer = await world.customer()
    made = await _draft(world, customer.id, 1000)

    answers = await _all_at_once(world, lambda tx: finalize_invoice(tx, invoice=made, now=WALL))

    assert sum(isinstance(answer, Invoice) for answer in answers) == 1
    async with world.database.begin() as tx:
        after = await customers.lock(tx, customer.customer_id)
        [link] = (await payments.links(tx, [made]))[made.id]
    assert after.next_invoice_sequence == 2
    assert (link.amount_requested, link.status) == (1000, "open")


async def test_many_payments_at_once_take_the_money_once(world: World) -> None:
    customer = await world.customer()
    issued = await _open(world, customer.id, 1000)

    answers = await _all_at_once(world, lambda tx: pay_invoice(tx, environment=ENVIRONMENT, id=issued.id, now=WALL))

    refused = [answer for answer in answers if isinstance(answer, Refusal)]
    assert len(refused) == MANY - 1
    assert {answer.message for answer in refused} == {"Invoice is already paid"}
    async with world.database.begin() as tx:
        found = await payments.of_invoice(tx, issued)
        assert found is not None
        attempts = await payments.attempts(tx, found[0])
    assert [attempt.outcome for attempt in attempts] == ["succeeded"]
    assert (await _reload(world, issued)).amounts.paid == 1000


async def test_a_payment_and_a_void_at_once_do_not_both_happen(world: World) -> None:
    customer = await world.customer()
    for _ in range(5):
        issued = await _open(world, customer.id, 1000)

        async def pay(tx: AsyncConnection, id: str = issued.id) -> object:
            return await pay_invoice(tx, environment=ENVIRONMENT, id=id, now=WALL)

        async def void(tx: AsyncConnection, id: str = issued.id) -> object:
            return await void_invoice(tx, environment=ENVIRONMENT, id=id, now=WALL)

        await asyncio.gather(_all_at_once(world, pay), _all_at_once(world, void))

        after = await _reload(world, issued)
        assert (after.status, after.amounts.paid) in {("paid", 1000), ("void", 0)}


async def test_drafts_made_at_once_take_each_pending_item_once(world: World) -> None:
    customer = await world.customer()
    async with world.database.begin() as tx:
        for amount in range(1, 21):
            await create_invoice_item(
                tx,
                environment=ENVIRONMENT,
                customer=customer.id,
                asked=AskedItem(amount=AskedAmount(amount=amount), currency="usd"),
                now=WALL,
            )
    asked = AskedInvoice(environment=ENVIRONMENT, customer=customer.id, currency="usd", include_pending=True)

    drafts = await _all_at_once(world, lambda tx: create_invoice(tx, asked, now=WALL))

    taken = [line.amount for draft in drafts if isinstance(draft, Invoice) for line in draft.lines]
    assert sorted(taken) == list(range(1, 21))


async def test_the_balance_is_used_by_one_invoice_at_a_time(world: World) -> None:
    customer = await world.customer()
    async with world.database.begin() as tx:
        locked = await customers.lock(tx, customer.customer_id)
        await change_balance(tx, customer=locked, amount=-2500, currency="usd", type="adjustment", now=WALL)
    drafts = [await _draft(world, customer.id, 1000) for _ in range(4)]

    async def finalize(draft: Invoice) -> Invoice:
        async with world.database.begin() as tx:
            return await finalize_invoice(tx, invoice=draft, now=WALL)

    issued = await asyncio.gather(*(finalize(draft) for draft in drafts))

    assert sum(each.amounts.due for each in issued) == 1500
    assert sorted(str(each.number)[-4:] for each in issued) == ["0001", "0002", "0003", "0004"]
    async with world.database.begin() as tx:
        after = await customers.lock(tx, customer.customer_id)
        history = await balance.listed(tx, customer_id=customer.customer_id, cursor=Cursor(limit=100))
    assert after.balance == 0
    assert sum(row.amount for row in history.rows) == 0


async def test_a_decline_is_recorded_with_its_attempt(world: World) -> None:
    customer = await world.customer(card="pm_card_chargeCustomerFail")
    issued = await _open(world, customer.id, 1000)

    async with world.database.begin() as tx:
        collected = await pay_invoice(tx, environment=ENVIRONMENT, id=issued.id, now=WALL)
    async with world.database.begin() as tx:
        found = await payments.of_invoice(tx, issued)
        assert found is not None
        payment, link = found
        [attempt] = await payments.attempts(tx, payment)

    assert isinstance(collected.outcome, Refused)
    assert (attempt.outcome, attempt.code, attempt.decline_code) == ("refused", "card_declined", "generic_decline")
    assert (payment.status, link.status) == ("requires_payment_method", "open")


async def test_a_due_draft_is_finalized_and_collected_once(world: World) -> None:
    customer = await world.customer()
    made = await _draft(world, customer.id, 1000)
    async with world.database.begin() as tx:
        await update_invoice(tx, environment=ENVIRONMENT, id=made.id, changes={"auto_advance": True}, now=WALL)
        planned = await due.of_subject(tx, customer_id=customer.customer_id, subject=made.id)
    later = WALL + timedelta(hours=1)

    await _all_at_once(world, lambda tx: finalize_due(tx, environment=ENVIRONMENT, id=made.id, now=later))

    after = await _reload(world, made)
    assert [(row.kind, row.due_at) for row in planned] == [("finalize_invoice", later)]
    assert (after.status, after.attempt_count, after.paid_at) == ("paid", 1, later)


async def test_work_that_comes_too_late_does_nothing(world: World) -> None:
    customer = await world.customer()
    paid = await _open(world, customer.id, 1000)
    async with world.database.begin() as tx:
        await pay_invoice(tx, environment=ENVIRONMENT, id=paid.id, now=WALL)
    before = await _reload(world, paid)

    async with world.database.begin() as tx:
        await finalize_due(tx, environment=ENVIRONMENT, id=paid.id, now=WALL)
        await collect_due(tx, environment=ENVIRONMENT, id=paid.id, now=WALL)
        await collect_due(tx, environment=ENVIRONMENT, id="in_gone", now=WALL)

    assert await _reload(world, paid) == before


async def test_a_cycle_invoice_is_what_its_preview_was(world: World) -> None:
    clock = await world.clock("2026-01-31 10:00")
    customer = await world.customer(clock=clock)
    seats, tokens = await world.price(unit="1999"), await world.metered(unit="0.3")
    subscription = await world.subscribe(customer, seats, tokens)
    async with world.database.begin() as tx:
        await create_invoice_item(
            tx,
            environment=ENVIRONMENT,
            customer=customer.id,
            asked=AskedItem(amount=AskedAmount(unit_amount=Decimal("0.5"), quantity=Decimal(3)), currency="usd"),
            now=WALL,
        )
        before = await invoice_item.pending(tx, customer_id=customer.customer_id, currency="usd")
        preview = await preview_invoice(
            tx, AskedPreview(environment=ENVIRONMENT, subscription=subscription.id), now=WALL
        )
        after = await invoice_item.pending(tx, customer_id=customer.customer_id, currency="usd")

    await world.advance(clock, "2026-02-28 10:00")
    [made] = await world.invoices(subscription, status=["draft"])

    assert before == after
    assert [replace(line, id="") for line in made.lines] == [replace(line, id="") for line in preview.lines]
    assert replace(made.amounts, ending_balance=preview.amounts.ending_balance) == preview.amounts
    assert (made.period_start, made.period_end) == (preview.period_start, preview.period_end)


async def test_a_detached_card_is_not_collected_with(world: World) -> None:
    customer = await world.customer()
    issued = await _open(world, customer.id, 1000)
    async with world.database.begin() as tx:
        found = await payment_method.of_customer(tx, ENVIRONMENT, customer.customer_id, Cursor(limit=10))
        await detach_payment_method(tx, environment=ENVIRONMENT, id=found.rows[0].id, now=WALL)

    with pytest.raises(Refusal, match="no attached payment source"):
        async with world.database.begin() as tx:
            await pay_invoice(tx, environment=ENVIRONMENT, id=issued.id, now=WALL)

    assert (await _reload(world, issued)).status == "open"
