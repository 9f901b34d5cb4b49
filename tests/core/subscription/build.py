"""Subscriptions for tests, in as few words as the test's story needs."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from meterline.catalog import PerUnit, Price, Recurring
from meterline.period import Interval, Unit
from meterline.subscription.billable import Billable
from meterline.subscription.model import BillingMode, Mode, Subscription, SubscriptionItem

NOBODY = UUID(int=0)


def at(text: str) -> datetime:
    """`at("2026-01-31")` or `at("2026-01-31 12:00")`, UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def price(id: str, *, unit: str = "1000", every: Unit = "month", count: int = 1, metered: bool = False) -> Price:
    """A price per unit, in cents."""
    return Price(
        environment="test",
        id=id,
        product=f"prod_{id}",
        currency="usd",
        model=PerUnit(unit=Decimal(unit)),
        recurring=Recurring(
            interval=Interval(unit=every, count=count),
            usage_type="metered" if metered else "licensed",
            meter="mtr_tokens" if metered else None,
        ),
        created=at("2020-01-01"),
    )


def draft(
    *prices: Price,
    created: datetime,
    anchor: datetime | None = None,
    start: datetime | None = None,
    trial_end: datetime | None = None,
    mode: Mode = "flexible",
    quantity: int = 1,
) -> Subscription:
    """What is asked for at creation: one item per price, the quantity for the licensed ones."""
    items = tuple(
        SubscriptionItem(
            id=f"si_{each.id}",
            sequence=UUID(int=number),
            price=each.id,
            quantity=None if each.metered else quantity,
            created=created,
            period_start=created,
            period_end=created,
        )
        for number, each in enumerate(prices)
    )
    return Subscription(
        environment="test",
        customer_id=NOBODY,
        id="sub_1",
        sequence=NOBODY,
        customer="cus_1",
        test_clock=None,
        created=created,
        start_date=start or created,
        status="incomplete",
        currency="usd",
        anchor=anchor or trial_end or created,
        items=items,
        billing_mode=BillingMode(type=mode),
        trial_end=trial_end,
    )


def told(billables: tuple[Billable, ...] | list[Billable]) -> list[str]:
    """Each billable in one line: `+2 × gold 2026-01-01…2026-02-01 ·1/2`, `usage tokens …`."""
    return [_line(each) for each in billables]


def _line(billable: Billable) -> str:
    window = billable.usage or billable.period
    days = f"{_short(window.start)}…{_short(window.end)}"
    if billable.usage is not None:
        return f"usage of {billable.price.id} {days}"
    share, sign = "", "+"
    if billable.proration is not None:
        share = f" ·{billable.proration.fraction}"
        sign = "−" if billable.proration.direction == "credit" else "+"
    free = " free" if billable.trial else ""
    return f"{sign}{billable.quantity} × {billable.price.id} {days}{share}{free}"


def _short(instant: datetime) -> str:
    text = instant.strftime("%Y-%m-%d %H:%M")
    return text.removesuffix(" 00:00")
