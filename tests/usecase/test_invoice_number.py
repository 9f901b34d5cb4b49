"""Invoice numbers are used once per customer, also where people choose some of them by hand."""

from datetime import timedelta

from meterline.customer import Customer
from meterline.invoice.model import Invoice
from meterline.store import customer as customers
from meterline.usecase.create_invoice import AskedInvoice, create_invoice
from meterline.usecase.create_invoice_item import AskedAmount, AskedItem, create_invoice_item
from meterline.usecase.finalize_invoice import finalize_invoice
from tests.usecase.world import ENVIRONMENT, WALL, World


async def _finalized(world: World, customer: Customer, *, number: str | None = None) -> Invoice:
    async with world.database.begin() as tx:
        asked = AskedInvoice(environment=ENVIRONMENT, customer=customer.id, currency="usd", number=number)
        made = await create_invoice(tx, asked, now=WALL)
        item = AskedItem(amount=AskedAmount(amount=700))
        await create_invoice_item(
            tx, environment=ENVIRONMENT, customer=customer.id, asked=item, invoice=made.id, now=WALL
        )
    async with world.database.begin() as tx:
        return await finalize_invoice(tx, invoice=made, now=WALL + timedelta(hours=1))


async def test_a_number_chosen_by_hand_is_passed_over_by_the_count(world: World) -> None:
    customer = await world.customer()
    prefix = customer.invoice_prefix
    await _finalized(world, customer, number=f"{prefix}-0001")
    await _finalized(world, customer, number=f"{prefix}-0002")
    assert (await _finalized(world, customer)).number == f"{prefix}-0003"
    assert (await _finalized(world, customer)).number == f"{prefix}-0004"
    async with world.database.begin() as tx:
        assert (await customers.lock(tx, customer.customer_id)).next_invoice_sequence == 5
