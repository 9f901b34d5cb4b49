"""From where debits go on counting when a wallet begins to pay for an invoice's window that is under way.

What was used before is on the window's invoice, and tiers go on from there: the first debit reads how far the window
had come when the wallet took over. Tiers of a wallet's own subscription count what was used since it began.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from uuid import UUID

from meterline.catalog import ByDimension, Price
from meterline.catalog.rate_cell import cell
from meterline.meter import Meter
from meterline.money import add
from meterline.period import Period
from meterline.store import meter, usage
from meterline.store.ledger import Connection
from meterline.store.offer import Tally, TallyKey, Tariff
from meterline.store.usage import Wanted


async def seeds(
    connection: Connection,
    environment: str,
    prices: Mapping[str, Price],
    opened: Mapping[TallyKey, Tariff],
    reached: Mapping[TallyKey, Tally],
) -> dict[TallyKey, Tally]:
    """The tallies of windows that were under way, of those that have none yet; only what was used is here."""
    begun = {
        key: tariff
        for key, tariff in opened.items()
        if tariff.windows is not None and key not in reached and key[4] < tariff.starts_at
    }
    if not begun:
        return {}
    meters = await meter.by_id(connection, environment)
    plain = [key for key, tariff in begun.items() if not isinstance(prices[tariff.price].model, ByDimension)]
    found = await usage.quantities_bare(connection, [_wanted(key, begun[key], meters) for key in plain])
    seeded = {key: quantity for key, quantity in zip(plain, found, strict=True) if quantity}
    for key, tariff in begun.items():
        if key not in plain:
            used = await usage.grouped_bare(connection, _wanted(key, tariff, meters))
            of_cell = [each for values, each in used.items() if cell(prices[tariff.price], dict(values)) == key[3]]
            if of_cell:
                seeded[key] = _together(tariff, of_cell)
    return {key: Tally(quantity) for key, quantity in seeded.items()}


def _wanted(key: TallyKey, tariff: Tariff, meters: Mapping[str, Meter]) -> Wanted:
    before = Period(start=key[4], end=tariff.starts_at)
    return Wanted(customer_id=UUID(bytes=key[0].bytes), meter=meters[tariff.meter], period=before)


def _together(tariff: Tariff, quantities: Iterable[Decimal]) -> Decimal:
    return max(quantities) if tariff.formula == "max" else add(*quantities)
