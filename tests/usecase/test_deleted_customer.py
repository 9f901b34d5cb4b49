"""A deleted customer is billed nothing more, whatever was planned."""

from datetime import timedelta

from meterline.store import invoice as invoices
from meterline.usecase.create_invoice import AskedInvoice, create_invoice
from meterline.usecase.create_invoice_item import AskedAmount, AskedItem, create_invoice_item
from meterline.usecase.delete_customer import delete_customer
from meterline.worker.registry import HANDLERS
from meterline.worker.wall import run_due
from tests.usecase.world import ENVIRONMENT, LEASE, WALL, World


async def test_a_draft_of_a_deleted_customer_is_not_collected(world: World) -> None:
    customer = await world.customer()
    async with world.database.begin() as tx:
        asked = AskedInvoice(environment=ENVIRONMENT, customer=customer.id, currency="usd", auto_advance=True)
        made = await create_invoice(tx, asked, now=WALL)
        item = AskedItem(amount=AskedAmount(amount=700))
        await create_invoice_item(
            tx, environment=ENVIRONMENT, customer=customer.id, asked=item, invoice=made.id, now=WALL
        )
        await delete_customer(tx, environment=ENVIRONMENT, id=customer.id, now=WALL)
    for hours in range(1, 5):
        await run_due(world.database, HANDLERS, now=WALL + timedelta(hours=hours), lease=LEASE)
    async with world.database.begin() as tx:
        after = await invoices.get(tx, ENVIRONMENT, made.id)
        assert (after.status, after.amounts.paid) == ("draft", 0)


async def test_an_invoice_that_was_declined_is_not_tried_again(world: World) -> None:
    customer = await world.customer(card="pm_card_chargeCustomerFail")
    async with world.database.begin() as tx:
        asked = AskedInvoice(environment=ENVIRONMENT, customer=customer.id, currency="usd", auto_advance=True)
        made = await create_invoice(tx, asked, now=WALL)
        item = AskedItem(amount=AskedAmount(amount=700))
        await create_invoice_item(
            tx, environment=ENVIRONMENT, customer=customer.id, asked=item, invoice=made.id, now=WALL
        )
    await run_due(world.database, HANDLERS, now=WALL + timedelta(hours=2), lease=LEASE)
    await world.swap_card(customer, "pm_card_visa")
    async with world.database.begin() as tx:
        assert (await invoices.get(tx, ENVIRONMENT, made.id)).next_payment_attempt is not None
        await delete_customer(tx, environment=ENVIRONMENT, id=customer.id, now=WALL + timedelta(hours=3))
    for days in range(1, 10):
        await run_due(world.database, HANDLERS, now=WALL + timedelta(days=days), lease=LEASE)
    async with world.database.begin() as tx:
        after = await invoices.get(tx, ENVIRONMENT, made.id)
        assert (after.status, after.attempt_count, after.amounts.paid) == ("open", 1, 0)
