"""What would these events cost under a version of an offer? The very same rating, with nothing written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.catalog import ByDimension, Price
from meterline.catalog.offer import OfferPrice, OfferVersion, span_start
from meterline.catalog.rate_cell import cell
from meterline.money import add
from meterline.store import price as prices
from meterline.usecase.debit_usage import NOTHING, ONE, fee_amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event that did not happen."""

    event_type: str
    occurred_at: datetime
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedFee:
    """What the `position`-th event costs under one price."""

    position: int
    price: OfferPrice
    cell: str
    before: Decimal | None
    after: Decimal
    amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """The fees of all events, in order, and what a seller should know before publishing."""

    fees: tuple[SimulatedFee, ...]
    warnings: tuple[str, ...]


async def simulate(tx: AsyncConnection, version: OfferVersion, events: Sequence[Event]) -> Simulation:
    """Rate the events, in order, as a new subscriber's who pays by the first asset of each price. Drafts work too."""
    catalog = await prices.find(tx, version.environment, [each.price for each in version.prices])
    reached: dict[tuple[str, str, datetime], Decimal] = {}
    fees: list[SimulatedFee] = []
    warnings: list[str] = []
    for position, event in enumerate(events):
        applying = [each for each in version.prices if each.event_type == event.event_type and each.rank == 0]
        if not applying:
            warnings.append(f"Event {position}: nothing prices events of type '{event.event_type}'.")
        for each in applying:
            found = _simulated(catalog[each.price], each, event, position, reached)
            if isinstance(found, str):
                warnings.append(found)
            else:
                fees.append(found)
    return Simulation(fees=tuple(fees), warnings=tuple(warnings))


def _simulated(
    price: Price,
    of: OfferPrice,
    event: Event,
    position: int,
    reached: dict[tuple[str, str, datetime], Decimal],
) -> SimulatedFee | str:
    quantity = _quantity(of, event)
    if quantity is None:
        return f"Event {position}: '{of.name}' needs a number under '{of.volume_field}'."
    keys = price.model.keys if isinstance(price.model, ByDimension) else ()
    dimensions = {key: str(event.data.get(key) or "-") for key in keys}
    row = cell(price, dimensions)
    if row == "-":
        return f"Event {position}: '{of.name}' has no rate for these dimensions."
    key = (of.price, row, span_start(of.cadence, event.occurred_at))
    before = reached.get(key)
    after = reached[key] = quantity if before is None else add(before, quantity)
    amount = fee_amount(price, of, before=before, after=after, dimensions=dimensions)
    return SimulatedFee(position=position, price=of, cell=row, before=before, after=after, amount=amount)


def _quantity(of: OfferPrice, event: Event) -> Decimal | None:
    if of.volume_field is None:
        return ONE
    value = event.data.get(of.volume_field)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    return Decimal(value)


def total(simulation: Simulation) -> dict[str, Decimal]:
    """What the events cost in all, per asset."""
    sums: dict[str, Decimal] = {}
    for fee in simulation.fees:
        sums[fee.price.asset] = sums.get(fee.price.asset, NOTHING) + fee.amount
    return sums
