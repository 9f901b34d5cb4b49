"""What would this usage cost now? The very same rating as the debit, with nothing written."""

from collections.abc import Callable, Mapping, Sequence
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
from meterline.usecase.debit_usage import fee_amount, ways_to_pay
from meterline.usecase.publish_offer import event_name
from meterline.usecase.seed_tally import seeds
from meterline.usecase.work_wallet import OpenWallet

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
        return fee_amount(price, self.tariff, before=self.reached, after=after, dimensions=self.dimensions)


async def counted(
    work: OpenWallet, *, event_type: str, volume_field: str | None, dimensions: Mapping[str, str]
) -> list[list[Counted]]:
    """The ways to pay for usage of this kind now, in the order in which they are tried: the prices of one asset each.

    Refuses usage that nothing prices (`no_price`): a gate does not open onto what is not known to be billed.
    """
    name = event_name(event_type, volume_field)
    meters = await meter.by_id(work.connection, work.environment)
    counting = next((each for each in meters.values() if each.event_name == name), None)
    tariffs = await offer.tariffs(work.connection, [work.customer_id])
    ways = ways_to_pay([each for each in tariffs if counting is not None and each.meter == counting.id], work.now)
    if not ways:
        raise Refusal(f"No active price of the customer's counts '{event_type}'.", code="no_price")
    applying = [each for way in ways for each in way]
    prices = await offer.prices(work.connection, work.environment, {each.price for each in applying})
    first = {_key(work.customer_id, way[0], prices[way[0].price], dimensions, work.now): way[0] for way in ways}
    reached = await offer.tallies(work.connection, list(first))
    reached |= await seeds(work.connection, work.environment, prices, first, reached)
    counters = {(key[1], key[2]): tally.quantity for key, tally in reached.items()}
    for each in prices.values():
        if isinstance(each.model, ByDimension) and each.model.row_for(dimensions) is None:
            raise Refusal(f"The price '{each.nickname}' has no rate for these dimensions.", code="no_price")
    shared = [each.asset for each in ways[0] if all(each.asset in [one.asset for one in way] for way in ways)]
    if not shared:
        raise Refusal("The usage is priced in several assets; ask for an amount.", code="several_assets")
    return [
        [
            Counted(
                tariff=each,
                price=prices[each.price],
                reached=counters.get((each.subscription, each.counter)),
                dimensions=dimensions,
            )
            for each in applying
            if each.asset == asset
        ]
        for asset in shared
    ]


def payable(ways: Sequence[list[Counted]], quantity: Decimal, spendable: Callable[[list[Counted]], Decimal]) -> int:
    """Which way so much usage would be paid: the first whose asset has enough to spend, or else the last."""
    enough = (n for n, way in enumerate(ways) if cost(way, quantity) <= spendable(way))
    return next(enough, len(ways) - 1)


def in_asset(ways: Sequence[list[Counted]], asset: str | None) -> list[Counted]:
    """The way to pay in that asset; the first one where there is none."""
    return next((way for way in ways if way[0].tariff.asset == asset), ways[0])


def _key(
    customer_id: UUID, tariff: Tariff, price: Price, dimensions: Mapping[str, str], now: datetime
) -> offer.TallyKey:
    return (customer_id, tariff.subscription, tariff.counter, cell(price, dimensions), tariff.span(now))


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
