"""What was used, meter by meter, and what it costs: debited from the wallet, or to be invoiced."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.catalog import Price
from meterline.money import display
from meterline.period import Period
from meterline.portal.chart import Chart, chart
from meterline.portal.guest import Guest, Section
from meterline.portal.shown import value
from meterline.portal.transaction import in_asset, rate_words
from meterline.store import meter as meters
from meterline.store import offer, spending, usage
from meterline.store import product as products
from meterline.store.database import driver
from meterline.store.offer import Tariff
from meterline.store.spending import Spent
from meterline.usecase.show_spending import Upcoming, UsageCost, show_spending

_OTHER = {"fee": "Fees", "capture": "Calls held before", "subscription_fee": "Subscriptions"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Debited:
    """What one thing took from the wallet this month. `quantity` is null for what no meter counts."""

    name: str
    rate: str
    quantity: Decimal | None
    asset: str
    amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """A wallet's month, UTC, in one asset."""

    asset: str
    spent: Decimal
    today: Decimal
    chart: Chart
    parts: tuple[Debited, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metered:
    """The usage of one price that an invoice will bill, in minor units of `currency`."""

    name: str
    meter: str
    quantity: Decimal
    currency: str
    amount: int
    window: Period
    lines: tuple[tuple[str, int], ...]
    chart: Chart


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """A subscription's next invoice as it is now. `at` is when it comes, null where none does."""

    subscription: str
    name: str
    currency: str
    total: int
    due: int
    at: datetime | None
    usage: tuple[Metered, ...]


async def show(tx: AsyncConnection, guest: Guest) -> Mapping[str, Any]:
    """Usage and cost, of the wallet's month and of every subscription's period."""
    return {"months": await months(tx, guest), "bills": await bills(tx, guest), "any": True}


def month_of(now: datetime) -> Period:
    """The calendar month that an instant lies in, UTC."""
    start = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return Period(start=start, end=(start + timedelta(days=32)).replace(day=1))


async def months(tx: AsyncConnection, guest: Guest) -> list[Month]:
    """What the wallet was spent on this month, per asset."""
    if guest.wallet is None:
        return []
    connection = await driver(tx)
    month = month_of(guest.visit.now)
    customer_id = guest.visit.customer.customer_id
    spent = await spending.between(connection, customer_id, start=month.start, end=month.end)
    tariffs = [each for each in await offer.tariffs(connection, [customer_id]) if _in(each, month)]
    parts = await _parts(tx, guest, month, spent, tariffs)
    assets = sorted({each.asset for each in spent} | {each.asset for each in parts})
    today = guest.visit.now.astimezone(UTC).date()
    return [
        Month(
            asset=asset,
            spent=sum((each.amount for each in spent if each.asset == asset), Decimal(0)),
            today=sum((each.amount for each in spent if each.asset == asset and each.day == today), Decimal(0)),
            chart=_by_day(asset, spent, month, today),
            parts=tuple(each for each in parts if each.asset == asset),
        )
        for asset in assets
    ]


def _in(tariff: Tariff, month: Period) -> bool:
    return tariff.starts_at < month.end and (tariff.ends_at is None or tariff.ends_at > month.start)


def _by_day(asset: str, spent: Sequence[Spent], month: Period, today: date) -> Chart:
    sums: dict[date, Decimal] = {}
    for each in spent:
        if each.asset == asset:
            sums[each.day] = sums.get(each.day, Decimal(0)) + each.amount
    first = month.start.date()
    days = [first + timedelta(days=n) for n in range((today - first).days + 1)]
    return chart([(day, sums.get(day, Decimal(0)), value(sums.get(day, Decimal(0)), asset)) for day in days])


async def _parts(
    tx: AsyncConnection, guest: Guest, month: Period, spent: Sequence[Spent], tariffs: Sequence[Tariff]
) -> list[Debited]:
    """What the month's spending was for, by price, and then the rest by kind."""
    environment = guest.visit.environment
    by_price: dict[tuple[str, str], Decimal] = {(each.price, each.asset): Decimal(0) for each in tariffs}
    for each in spent:
        by_price[each.spent_on, each.asset] = by_price.get((each.spent_on, each.asset), Decimal(0)) + each.amount
    prices = await offer.prices(await driver(tx), environment, {price for price, _ in by_price})
    named = await products.find(tx, environment, sorted({each.product for each in prices.values()}))
    quantities = await _quantities(tx, guest, month, tariffs)
    found = []
    for (key, asset), amount in sorted(by_price.items(), key=lambda each: -each[1]):
        price = in_asset(prices.get(key), asset)
        product = None if price is None else named.get(price.product)
        name = _OTHER.get(key, key.replace("_", " ").capitalize()) if price is None else _name(price, product)
        rate = "" if price is None else rate_words(price)
        found.append(Debited(name=name, rate=rate, quantity=quantities.get(key), asset=asset, amount=amount))
    return found


def _name(price: Price, product: Any) -> str:
    name = price.id if product is None else str(product.name)
    return f"{name}, {price.nickname}" if price.nickname else name


async def _quantities(
    tx: AsyncConnection, guest: Guest, month: Period, tariffs: Sequence[Tariff]
) -> dict[str, Decimal]:
    """How much was counted this month for each price."""
    known = await meters.find(tx, guest.visit.environment, sorted({each.meter for each in tariffs}))
    counted = [each for each in tariffs if each.meter in known]
    wanted = [
        usage.Wanted(
            customer_id=each.customer_id,
            meter=known[each.meter],
            period=Period(
                start=max(each.starts_at, month.start),
                end=month.end if each.ends_at is None else min(each.ends_at, month.end),
            ),
        )
        for each in counted
    ]
    sums: dict[str, Decimal] = {}
    for each, quantity in zip(counted, await usage.quantities(tx, wanted), strict=True):
        sums[each.price] = sums.get(each.price, Decimal(0)) + quantity
    return sums


async def bills(tx: AsyncConnection, guest: Guest) -> list[Bill]:
    """The next invoice of each subscription, as the preview has it."""
    visit = guest.visit
    found = await show_spending(tx, customer=visit.customer, now=visit.now, wall=guest.wall)
    names = await names_of(tx, guest, found)
    known = await meters.find(tx, visit.environment, sorted(_meters(found)))
    return [_bill(each, names, {id: meter.display_name for id, meter in known.items()}) for each in found]


def _meters(found: Sequence[Upcoming]) -> set[str]:
    recurring = [cost.price.recurring for each in found for cost in each.costs]
    return {each.meter for each in recurring if each is not None and each.meter is not None}


async def names_of(tx: AsyncConnection, guest: Guest, found: Sequence[Upcoming]) -> dict[str, str]:
    """Products by id, as they are called, of every line that is shown."""
    ids = {line.product for each in found if each.invoice is not None for line in each.invoice.lines if line.product}
    return {id: each.name for id, each in (await products.find(tx, guest.visit.environment, sorted(ids))).items()}


def _bill(upcoming: Upcoming, names: Mapping[str, str], meter_names: Mapping[str, str]) -> Bill:
    subscription, invoice = upcoming.subscription, upcoming.invoice
    lines = () if invoice is None else invoice.lines
    called = dict.fromkeys(names[line.product] for line in lines if line.product is not None and line.product in names)
    return Bill(
        subscription=subscription.id,
        name=subscription.description or " + ".join(called) or "Subscription",
        currency=subscription.currency,
        total=0 if invoice is None else invoice.amounts.total,
        due=0 if invoice is None else invoice.amounts.due,
        at=None if invoice is None else invoice.created,
        usage=tuple(_metered(cost, names, meter_names) for cost in upcoming.costs),
    )


def _metered(cost: UsageCost, names: Mapping[str, str], meter_names: Mapping[str, str]) -> Metered:
    recurring, currency = cost.price.recurring, cost.price.currency
    meter = "" if recurring is None or recurring.meter is None else meter_names.get(recurring.meter, "")
    days = [(day, Decimal(amount), display(amount, currency)) for day, amount in cost.days]
    return Metered(
        name=names.get(cost.price.product, cost.price.product),
        meter=meter,
        quantity=sum((line.quantity or Decimal(0) for line in cost.lines), Decimal(0)),
        currency=currency,
        amount=cost.amount,
        window=cost.window,
        lines=tuple((line.description or "", line.amount) for line in cost.lines),
        chart=chart(days),
    )


SECTION = Section(
    name="usage",
    title="Usage",
    template="portal/usage.html",
    show=show,
    has=lambda _: True,
    live=True,
)
