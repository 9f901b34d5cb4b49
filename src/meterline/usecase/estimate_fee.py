"""What would this usage cost now? The very same rating as the debit, with nothing written."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from meterline.catalog import ByDimension, Price
from meterline.catalog.rate_cell import cell
from meterline.money import add
from meterline.refusal import Refusal
from meterline.store import meter, offer
from meterline.store.offer import Tariff
from meterline.usecase.debit_usage import fee_amount
from meterline.usecase.publish_offer import event_name
from meterline.usecase.seed_tally import seeds
from meterline.usecase.work_wallet import Work

_MOST = 10**12


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """A price that would be debited, and how far its quantity has come."""

    tariff: Tariff
    price: Price
    reached: Decimal | None
    dimensions: Mapping[str, str]

    def fee(self, quantity: Decimal) -> Decimal:
        """What so much more would cost, in major units of the tariff's asset."""
        after = quantity if self.reached is None else add(self.reached, quantity)
        price = self.price.in_currency(self.tariff.asset.lower())
        amount, _ = fee_amount(price, self.tariff, before=self.reached, after=after, dimensions=self.dimensions)
        return amount


async def counted(
    work: Work, *, event_type: str, volume_field: str | None, dimensions: Mapping[str, str]
) -> list[Counted]:
    """The prices that usage of this kind would be debited by now.

    Refuses usage that nothing prices (`no_price`): a gate does not open onto what is not known to be billed.
    """
    meters = await meter.catalog(work.tx, work.environment)
    counting = meters.get(event_name(event_type, volume_field))
    tariffs = [
        each
        for each in await offer.tariffs(work.connection, [work.customer_id])
        if counting is not None and each.meter == counting.id and each.covers(work.now)
    ]
    if not tariffs:
        raise Refusal(f"No active price of the customer's counts '{event_type}'.", code="no_price")
    prices = await offer.prices(work.connection, work.environment, {each.price for each in tariffs})
    keys = {_key(work.customer_id, each, prices[each.price], dimensions, work.now): each for each in tariffs}
    reached = await offer.tallies(work.connection, list(keys))
    reached |= await seeds(work.connection, work.environment, prices, keys, reached)
    for each in prices.values():
        if isinstance(each.model, ByDimension) and each.model.row_for(dimensions) is None:
            raise Refusal(f"The price '{each.nickname}' has no rate for these dimensions.", code="no_price")
    if len({each.asset for each in tariffs}) > 1:
        raise Refusal("The usage is priced in several assets; ask for an amount.", code="several_assets")
    return [
        Counted(
            tariff=each,
            price=prices[each.price],
            reached=reached[key].quantity if key in reached else None,
            dimensions=dimensions,
        )
        for key, each in keys.items()
    ]


def _key(
    customer_id: UUID, tariff: Tariff, price: Price, dimensions: Mapping[str, str], now: datetime
) -> offer.TallyKey:
    return (customer_id, tariff.subscription, tariff.price, cell(price, dimensions), tariff.span(now))


def cost(of: list[Counted], quantity: Decimal) -> Decimal:
    """What so much more usage would cost in all."""
    return add(*(each.fee(quantity) for each in of))


def affordable(of: list[Counted], spendable: Decimal) -> int:
    """The largest whole quantity whose cost is within what may be spent; 10^12 stands for no bound."""
    if cost(of, Decimal(_MOST)) <= spendable:
        return _MOST
    low, high = 0, _MOST
    while high - low > 1:
        middle = (low + high) // 2
        if cost(of, Decimal(middle)) <= spendable:
            low = middle
        else:
            high = middle
    return low
