"""How amounts, quantities and instants are written on pages: exact, and in the customer's own zone."""

from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from meterline.money import CURRENCIES, decimal_text, display_exact, to_minor


def value(amount: Decimal, asset: str) -> str:
    """So much of an asset, in major units: `$12.50`, `-¥300`, `1,200 CREDITS`; every decimal that there is."""
    if asset.lower() in CURRENCIES:
        return display_exact(to_minor(amount, asset.lower()), asset.lower())
    return f"{number(amount)} {asset}"


def number(quantity: Decimal | int) -> str:
    """A quantity, with thousands set apart and every decimal that there is."""
    whole, point, fraction = decimal_text(quantity).partition(".")
    sign = "-" if whole.startswith("-") else ""
    return f"{sign}{int(whole.lstrip('-')):,}{point}{fraction}"


def zone_of(name: str) -> ZoneInfo:
    """The zone of that IANA name; UTC where this machine does not know it."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


def on_day(instant: datetime | date, zone: ZoneInfo | None = None) -> str:
    """`3 November 2026`, in a zone."""
    local = instant.astimezone(zone or UTC) if isinstance(instant, datetime) else instant
    return f"{local.day} {local:%B %Y}"


def at_time(instant: datetime, zone: ZoneInfo) -> str:
    """`3 Nov 2026, 14:05 CET`, in a zone."""
    local = instant.astimezone(zone)
    return f"{local.day} {local:%b %Y, %H:%M %Z}"
