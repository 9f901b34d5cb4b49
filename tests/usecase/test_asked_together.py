"""What several pieces of work ask at the same time is answered as each would be alone, to the one who asked."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeAlias

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.catalog import Price
from meterline.customer import Customer
from meterline.invoice.item import InvoiceItem
from meterline.invoice.model import Invoice
from meterline.period import Period
from meterline.store import (
    billed_usage,
    collection,
    credit,
    discount,
    due,
    invoice,
    invoice_item,
    meter,
    payment,
    payment_method,
    price,
    product,
    public_id,
    subscription,
    usage,
)
from meterline.store import customer as customers
from meterline.store.database import Database
from meterline.store.identifier import public
from meterline.store.side_by_side import side_by_side
from meterline.subscription.model import Subscription
from tests.usecase.test_billing_run import run_chunks
from tests.usecase.world import ENVIRONMENT, WALL, World, at

YEAR = Period(start=at("2025-06-01"), end=at("2026-06-01"))


@dataclass(frozen=True, slots=True)
class Of:
    """What a question can be about."""

    owner: Customer
    sold: Subscription
    bill: Invoice
    prices: tuple[Price, ...]
    since: datetime


Question: TypeAlias = Callable[[AsyncConnection, Of], Coroutine[Any, Any, object]]


def item(of: Of, currency: str, owner: str | None) -> InvoiceItem:
    return InvoiceItem(
        environment=ENVIRONMENT, customer_id=of.owner.customer_id, id=public("ii"), customer=of.owner.id, date=WALL,
        test_clock=None, amount=7, currency=currency, quantity=Decimal(1), period=YEAR, description="Extra",
        subscription=owner,
    )  # fmt: skip


@pytest.fixture
async def everybody(world: World) -> list[Of]:
    """Customers with two subscriptions each and a month behind them; the last one has nothing at all."""
    prices = (await world.price(), await world.metered())
    found: list[Of] = []
    for since in (at("2025-12-01"), at("2026-01-15"), at("2026-03-15")):
        owner = await world.customer()
        sold, other = await world.subscribe(owner, *prices), await world.subscribe(owner, *prices)
        bill = (await world.invoices(sold))[0]
        of = Of(owner=owner, sold=sold, bill=bill, prices=prices, since=since)
        async with world.database.begin() as tx:
            waiting = [item(of, *each) for each in (("usd", None), ("usd", sold.id), ("usd", other.id), ("eur", None))]
            await invoice_item.add(tx, waiting)
        found.append(of)
    await run_chunks(world, now=at("2026-02-01"))
    for of in found:
        async with world.database.begin() as tx:
            await invoice_item.add(
                tx, [item(of, "usd", of.sold.id), item(of, "usd", "sub_other"), item(of, "eur", None)]
            )
    nobody = await world.customer(card=None)
    last = found[-1]
    return [*found, Of(owner=nobody, sold=last.sold, bill=last.bill, prices=last.prices[:1], since=WALL)]


async def _counted(tx: AsyncConnection, of: Of) -> object:
    ids = [each.recurring.meter for each in of.prices if each.recurring is not None and each.recurring.meter]
    meters = await meter.find(tx, ENVIRONMENT, ids)
    wanted = [usage.Wanted(customer_id=of.owner.customer_id, meter=meters[id], period=YEAR) for id in ids]
    return await usage.quantities(tx, wanted)


QUESTIONS: dict[str, Question] = {
    "customers": lambda tx, of: customers.find_all(tx, [of.owner.customer_id]),
    "locked customer": lambda tx, of: customers.lock(tx, of.owner.customer_id),
    "owners": lambda tx, of: public_id.owners(
        tx, environment=ENVIRONMENT, kind="subscription", ids=[of.sold.id, of.bill.id, "sub_none"]
    ),
    "invoice": lambda tx, of: invoice.find(tx, ENVIRONMENT, [of.bill.id, "in_none"]),
    "locked invoice": lambda tx, of: invoice.lock(tx, customer_id=of.owner.customer_id, id=of.bill.id),
    "number": lambda tx, of: invoice.number_taken(
        tx, customer_id=of.owner.customer_id, number=of.bill.number or "", other_than=None
    ),
    "own number": lambda tx, of: invoice.number_taken(
        tx, customer_id=of.owner.customer_id, number=of.bill.number or "", other_than=of.bill.id
    ),
    "locked subscription": lambda tx, of: subscription.lock_of(tx, customer_id=of.owner.customer_id, id=of.sold.id),
    "pending": lambda tx, of: invoice_item.pending(
        tx, customer_id=of.owner.customer_id, currency="usd", subscription=of.sold.id
    ),
    "all pending": lambda tx, of: invoice_item.pending(tx, customer_id=of.owner.customer_id, currency="usd"),
    "billed": lambda tx, of: billed_usage.about(
        tx, customer_id=of.owner.customer_id, since=of.since, subscription=of.sold.id
    ),
    "billed but once": lambda tx, of: billed_usage.about(
        tx, customer_id=of.owner.customer_id, since=at("2025-12-01"), subscription=of.sold.id, but=of.bill.id
    ),
    "billed to a customer": lambda tx, of: billed_usage.about(tx, customer_id=of.owner.customer_id, since=of.since),
    "credits": lambda tx, of: credit.with_something_left(tx, customer_id=of.owner.customer_id, currency="usd"),
    "payment": lambda tx, of: payment.of_invoice(tx, of.bill),
    "method": lambda tx, of: payment_method.find(
        tx, ENVIRONMENT, [of.owner.invoice_settings.default_payment_method or "pm_none"]
    ),
    "prices": lambda tx, of: price.find(tx, ENVIRONMENT, [*(each.id for each in of.prices), "price_none"]),
    "products": lambda tx, of: product.find(tx, ENVIRONMENT, [each.product for each in of.prices]),
    "quantities": _counted,
    "planned": lambda tx, of: due.of_subject(tx, customer_id=of.owner.customer_id, subject=of.sold.id),
    "chosen": lambda tx, of: collection.chosen(tx, of.owner.customer_id),
    "any chosen": lambda tx, of: collection.any_chosen(tx, of.owner.customer_id),
    "discounts": lambda tx, of: discount.of_customer(tx, customer_id=of.owner.customer_id, ids=["di_none"]),
}


async def test_each_is_answered_as_alone(database: Database, everybody: list[Of]) -> None:
    async with database.begin() as tx:
        for name, question in QUESTIONS.items():
            alone = [await question(tx, of) for of in everybody]
            assert await side_by_side(tx, [question(tx, of) for of in everybody]) == alone, name
            assert await side_by_side(tx, [question(tx, of) for of in reversed(everybody)]) == alone[::-1], name


async def test_what_waits_for_another_subscription_is_not_locked(database: Database, everybody: list[Of]) -> None:
    async def others(tx: AsyncConnection) -> int:
        """How many pending items are free."""
        free = "SELECT id FROM invoice_item WHERE invoice IS NULL AND customer_id = ANY(:ids) FOR UPDATE SKIP LOCKED"
        return len((await tx.execute(text(free), {"ids": [of.owner.customer_id for of in everybody]})).all())

    async with database.begin() as tx:
        of_each = [QUESTIONS["pending"](tx, of) for of in everybody]
        found: list[Any] = await side_by_side(tx, of_each)
        async with database.begin() as other:
            free = await others(other)
    async with database.begin() as tx:
        assert await others(tx) == free + sum(len(each) for each in found)
    assert free > 0
