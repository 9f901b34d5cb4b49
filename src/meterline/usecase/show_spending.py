"""What a customer's usage has cost so far, by meter and by day: the preview's lines, and the steps that made them.

The cost of a day is what the lines come to at its end, less what they came to at its start; so the days add up to the
preview, whatever the price, with all roundings in it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from meterline.catalog import Price
from meterline.customer import Customer
from meterline.invoice.compose import billed_lines
from meterline.invoice.line import InvoiceLine
from meterline.invoice.model import Invoice
from meterline.period import Period
from meterline.refusal import Refusal
from meterline.store import subscription as subscriptions
from meterline.subscription.billable import Billable
from meterline.subscription.model import Subscription
from meterline.usecase.count_usage import gather
from meterline.usecase.find_prices import find_prices
from meterline.usecase.preview_invoice import AskedPreview, NothingUpcoming, preview_invoice

_DAY = timedelta(days=1)
_MOST_DAYS = 62


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageCost:
    """What the usage of one subscription item costs so far, in minor units: its lines, and their sum by day, UTC.

    Of a window longer than two months the days before the last 62 are one.
    """

    price: Price
    window: Period
    lines: tuple[InvoiceLine, ...]
    days: tuple[tuple[date, int], ...]

    @property
    def amount(self) -> int:
        """The sum of the lines, which is the sum of the days."""
        return sum(line.amount for line in self.lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upcoming:
    """A subscription, its next invoice as it would be now, and the usage on it. Null where none comes."""

    subscription: Subscription
    invoice: Invoice | None
    costs: tuple[UsageCost, ...] = ()


async def show_spending(
    tx: AsyncConnection, *, customer: Customer, now: datetime, wall: datetime, most: int = 10
) -> list[Upcoming]:
    """What comes of each of the customer's living subscriptions, newest first, up to `most`.

    `now` is the customer's time, `wall` the wall clock, UTC.
    """
    found: list[Upcoming] = []
    for subscription in (await subscriptions.of_customer(tx, customer_id=customer.customer_id))[:most]:
        asked = AskedPreview(environment=customer.environment, customer=customer.id, subscription=subscription.id)
        try:
            invoice = await preview_invoice(tx, asked, now=wall)
        except (NothingUpcoming, Refusal):
            found.append(Upcoming(subscription=subscription, invoice=None))
            continue
        costs = await _costs(tx, subscription, invoice, now=now)
        found.append(Upcoming(subscription=subscription, invoice=invoice, costs=costs))
    return found


async def _costs(
    tx: AsyncConnection, subscription: Subscription, invoice: Invoice, *, now: datetime
) -> tuple[UsageCost, ...]:
    by_item: dict[tuple[str, str, Period], list[InvoiceLine]] = {}
    for line in invoice.lines:
        if line.usage is not None and not line.late and line.subscription_item and line.price:
            by_item.setdefault((line.subscription_item, line.price, line.usage), []).append(line)
    prices = await find_prices(tx, subscription, also={price for _, price, _ in by_item})
    found: list[UsageCost] = []
    for (_, price, window), lines in by_item.items():
        days = await _days(tx, subscription, prices, lines, window, now=now)
        found.append(UsageCost(price=prices[price], window=window, lines=tuple(lines), days=days))
    return tuple(found)


async def _days(
    tx: AsyncConnection,
    subscription: Subscription,
    prices: Mapping[str, Price],
    lines: Sequence[InvoiceLine],
    window: Period,
    *,
    now: datetime,
) -> tuple[tuple[date, int], ...]:
    """What each day of the window added, up to today; today's includes what is told for later."""
    ends = ends_of_days(window, now=now)
    first = lines[0]
    assert first.price is not None and first.subscription_item is not None
    billables = [
        Billable(
            subscription=subscription.id,
            item=first.subscription_item,
            price=prices[first.price],
            quantity=None,
            usage=Period(start=window.start, end=end),
            period=first.period,
            timing="arrears",
        )
        for _, end in ends[:-1]
    ]
    gathered = await gather(
        tx, environment=subscription.environment, customer_id=subscription.customer_id, billables=billables
    )
    reached = [sum(line.amount for line in billed_lines(each)) for each in gathered]
    reached.append(sum(line.amount for line in lines))
    before = [0, *reached[:-1]]
    return tuple((day, after - sofar) for (day, _), after, sofar in zip(ends, reached, before, strict=True))


def ends_of_days(window: Period, *, now: datetime) -> list[tuple[date, datetime]]:
    """The days of a window that have begun, each with the instant up to which it counts: the last one to the end."""
    last = max(min(now, window.end - timedelta(microseconds=1)), window.start)
    days = [window.start.astimezone(UTC).date()]
    while days[-1] < last.astimezone(UTC).date():
        days.append(days[-1] + _DAY)
    shown = days[-_MOST_DAYS:]
    midnights = [datetime(day.year, day.month, day.day, tzinfo=UTC) + _DAY for day in shown[:-1]]
    return list(zip(shown, [*midnights, window.end], strict=True))
