"""The words on a line, as Stripe words them: `31 credit × API (Tier 2 at $0.036 / month)`."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

from meterline.money import decimal_text, display, display_exact
from meterline.period import Interval, Period

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def cadence(interval: Interval) -> str:
    """`month`, or `every 3 months`."""
    return interval.unit if interval.count == 1 else f"every {interval.count} {interval.unit}s"


def counted(quantity: Decimal, name: str, unit_label: str | None) -> str:
    """`31 credit × API`."""
    label = f" {unit_label}" if unit_label else ""
    return f"{decimal_text(quantity)}{label} × {name}"


def recurring(
    *,
    what: str,
    unit_amount: Decimal | None,
    currency: str,
    every: str | None,
    tier: int | None = None,
    divide_by: int | None = None,
) -> str:
    """`1 × Pro (at $20.00 / month)`, with the tier or the size of the package where there is one."""
    if unit_amount is None:
        return what
    price = f"{f'Tier {tier} at' if tier is not None else 'at'} {display_exact(unit_amount, currency)}"
    package = f" per {divide_by} units" if divide_by is not None else ""
    return f"{what} ({price}{package}{f' / {every}' if every else ''})"


def proration(*, direction: Literal["credit", "debit"], quantity: Decimal, name: str, since: datetime) -> str:
    """`Unused time on 2 × Pro after 14 Jan 2019`: the day of the change, UTC."""
    word = "Unused" if direction == "credit" else "Remaining"
    what = name if quantity == 1 else f"{decimal_text(quantity)} × {name}"
    return f"{word} time on {what} after {_day(since)}"


def late(*, name: str, period: Period, more: bool) -> str:
    """`Late usage of API, 14 Jan 2019 to 14 Feb 2019`: its first day and the day after its last, UTC."""
    what = "Late usage" if more else "Usage taken back"
    return f"{what} of {name}, {_day(period.start)} to {_day(period.end)}"


def paid(words: str, amount: int, currency: str) -> str:
    """`… ($1.20 paid from wallet)`: what of a line was debited as the usage happened, in minor units."""
    return f"{words} ({display(amount, currency)} paid from wallet)"


def _day(instant: datetime) -> str:
    at = instant.astimezone(UTC)
    return f"{at.day:02d} {_MONTHS[at.month - 1]} {at.year}"


def trial(*, quantity: Decimal | None, name: str) -> str:
    """`Free trial for 1 x Pro`."""
    return f"Free trial for {decimal_text(quantity if quantity is not None else Decimal(1))} x {name}"
