"""Gather what lines are written from: usage, products, and the earlier lines that credits give back."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.catalog import ByDimension, Product
from meterline.invoice.compose import UsageKey, counted_again, usage_key
from meterline.invoice.gathered import Gathered
from meterline.invoice.item import line_of
from meterline.invoice.line import CreditedLines, InvoiceLine
from meterline.invoice.model import Invoice
from meterline.meter import Meter
from meterline.money import subtract, to_minor
from meterline.store import collection, invoice_item, ledger, tax_rate, usage
from meterline.store import invoice as invoices
from meterline.store import meter as meters
from meterline.store import price as prices
from meterline.store import product as products
from meterline.store.database import driver
from meterline.subscription.billable import Billable

_ATTEMPTS = 4
"""How often usage is counted, at most, until what the wallet paid is of the same instant."""


async def gather(
    tx: AsyncConnection,
    *,
    environment: str,
    customer_id: UUID,
    billables: Sequence[Billable],
    in_time: Mapping[int, datetime] | None = None,
) -> list[Gathered]:
    """What the lines of these billables are written from, in the same order. Usage is as known now.

    `in_time` leaves out, by the place of the billable, what came through Stripe's routes after an instant.
    """
    received = in_time or {}
    metered = any(each.usage is not None for each in billables)
    if not metered or not await collection.any_chosen(tx, customer_id):
        return await _counted(tx, environment, customer_id, billables, received)
    return await _with_payments(tx, environment, customer_id, billables, received)


async def _with_payments(
    tx: AsyncConnection,
    environment: str,
    customer_id: UUID,
    billables: Sequence[Billable],
    received: Mapping[int, datetime],
) -> list[Gathered]:
    """As gathered, with what the wallet paid of each window.

    A debit commits with its event. What the wallet paid is read before and after usage is counted, until no debit came
    in between; where they come all the time, they wait for the last attempt.
    """
    for attempt in range(_ATTEMPTS):
        if attempt == _ATTEMPTS - 1:
            await ledger.lock(await driver(tx), environment=environment, customer_ids=[customer_id])
        before = await _paid(tx, customer_id, billables, received)
        found = await _counted(tx, environment, customer_id, billables, received)
        if await _paid(tx, customer_id, billables, received) == before:
            break
    return [
        replace(each, paid=to_minor(before[place], each.billable.price.currency)) if before.get(place) else each
        for place, each in enumerate(found)
    ]


async def _paid(
    tx: AsyncConnection,
    customer_id: UUID,
    billables: Sequence[Billable],
    received: Mapping[int, datetime],
) -> dict[int, Decimal]:
    """What the wallet paid of the metered billables by their place, in major units."""
    places = [place for place, each in enumerate(billables) if each.usage is not None]
    windows = [(each.item, each.price.id, each.usage) for each in billables if each.usage is not None]
    paid = await collection.paid(tx, customer_id=customer_id, windows=windows)
    found = {places[n]: amount for n, amount in paid.items()}
    late = [n for n, place in enumerate(places) if place in received]
    too_late = await collection.paid_too_late(
        tx,
        customer_id=customer_id,
        windows=[windows[n] for n in late],
        in_time=[received[places[n]] for n in late],
    )
    for n, amount in too_late.items():
        place = places[late[n]]
        found[place] = subtract(found.get(place, Decimal(0)), amount)
    return found


async def _counted(
    tx: AsyncConnection,
    environment: str,
    customer_id: UUID,
    billables: Sequence[Billable],
    received: Mapping[int, datetime],
) -> list[Gathered]:
    named = await products.find(tx, environment, sorted({each.price.product for each in billables}))
    metered = {each.price.recurring.meter for each in billables if each.usage and each.price.recurring}
    counted_by = await meters.find(tx, environment, sorted(id for id in metered if id is not None))
    counts = await _counts(tx, customer_id, billables, counted_by, received)
    found: list[Gathered] = []
    for place, billable in enumerate(billables):
        product = named[billable.price.product]
        if billable.usage is not None:
            used = counts.get(place)
            found.append(await _metered(tx, customer_id, billable, product, counted_by, used, received.get(place)))
        elif billable.proration is not None and billable.proration.credited is not None:
            found.append(await _credit(tx, environment, customer_id, billable, product))
        else:
            found.append(Gathered(billable=billable, product=product))
    return found


async def _counts(
    tx: AsyncConnection,
    customer_id: UUID,
    billables: Sequence[Billable],
    counted_by: dict[str, Meter],
    received: Mapping[int, datetime],
) -> dict[int, Decimal]:
    """The quantities of plainly metered billables by their place, in one read per kind of aggregation."""
    places = [
        place
        for place, each in enumerate(billables)
        if each.usage is not None and not isinstance(each.price.model, ByDimension)
    ]
    wanted = [
        usage.Wanted(
            customer_id=customer_id, meter=_meter(each, counted_by), period=each.usage, in_time=received.get(place)
        )
        for place, each in ((place, billables[place]) for place in places)
        if each.usage is not None
    ]
    return dict(zip(places, await usage.quantities(tx, wanted), strict=True))


def _meter(billable: Billable, counted_by: dict[str, Meter]) -> Meter:
    recurring = billable.price.recurring
    assert recurring is not None and recurring.meter is not None, "usage is counted by a meter"
    return counted_by[recurring.meter]


async def _metered(
    tx: AsyncConnection,
    customer_id: UUID,
    billable: Billable,
    product: Product,
    counted_by: dict[str, Meter],
    used: Decimal | None,
    received: datetime | None,
) -> Gathered:
    meter = _meter(billable, counted_by)
    if used is not None:
        return Gathered(billable=billable, product=product, used=used, formula=meter.formula)
    assert billable.usage is not None
    wanted = usage.Wanted(customer_id=customer_id, meter=meter, period=billable.usage, in_time=received)
    split = await usage.grouped(tx, wanted)
    return Gathered(billable=billable, product=product, used_by_dimension=split, formula=meter.formula)


async def _credit(
    tx: AsyncConnection, environment: str, customer_id: UUID, billable: Billable, product: Product
) -> Gathered:
    """A credit with the lines that really debited what it gives back: pending still, or on an invoice.

    The tax that they bore is given back with them. Where there are none (the debit was made before it was recorded
    here), the price itself is given back.
    """
    assert billable.proration is not None and billable.proration.credited is not None
    span = billable.proration.credited
    waiting = await invoice_item.pending_debit(
        tx, customer_id=customer_id, subscription_item=billable.item, price=billable.price.id, period=span
    )
    if waiting is not None:
        return Gathered(
            billable=billable, product=product, debited=(line_of(waiting),), debited_rates=waiting.tax_rates
        )
    debits = await invoices.debit_lines(
        tx, customer_id=customer_id, subscription_item=billable.item, price=billable.price.id, period=span
    )
    if not debits:
        return Gathered(billable=billable, product=product)
    invoice = debits[0][0]
    lines = [line for owner, line in debits if owner == invoice]
    taxes = list(dict.fromkeys(tax.tax_rate for line in lines for tax in line.taxes))
    rates = await tax_rate.find(tx, environment, taxes)
    return Gathered(
        billable=billable,
        product=product,
        credited=CreditedLines(invoice=invoice, lines=tuple(line.id for line in lines)),
        debited=tuple(lines),
        debited_rates=tax_rate.of(taxes, rates),
    )


async def with_late_usage(tx: AsyncConnection, draft: Invoice) -> tuple[InvoiceLine, ...]:
    """The lines of a draft with its metered lines counted again from the usage known now."""
    first: dict[UsageKey, InvoiceLine] = {}
    for line in draft.lines:
        key = usage_key(line)
        if key is not None:
            first.setdefault(key, line)
    if not first:
        return draft.lines
    priced = await prices.find(tx, draft.environment, {price for _, price, _ in first})
    billables = [
        Billable(
            subscription=line.subscription or "",
            item=item,
            price=priced[price].in_currency(draft.currency),
            quantity=None,
            usage=window,
            period=line.period,
            timing="arrears",
            tax_rates=line.tax_rates,
        )
        for (item, price, window), line in first.items()
    ]
    gathered = await gather(tx, environment=draft.environment, customer_id=draft.customer_id, billables=billables)
    return counted_again(draft.lines, dict(zip(first, gathered, strict=True)))
