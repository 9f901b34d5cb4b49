"""Prices for rating tests: what matters is said, the rest is filled in."""

from datetime import UTC, datetime
from decimal import Decimal

from meterline.catalog import Adjustment, Graduated, Package, PerUnit, Price, PriceModel, Tier, Volume

Bound = int | None


def priced(model: PriceModel, *, currency: str = "usd", adjustment: Adjustment | None = None) -> Price:
    """A price with that model."""
    return Price(
        environment="test",
        id="price_1",
        product="prod_1",
        currency=currency,
        model=model,
        adjustment=adjustment or Adjustment(),
        created=datetime(2026, 1, 1, tzinfo=UTC),
    )


def tiers(*rows: tuple[Bound, str | None] | tuple[Bound, str | None, str | None]) -> tuple[Tier, ...]:
    """Tiers from (up to, unit) or (up to, unit, flat); None is no end, or no amount."""
    return tuple(_tier(*row) for row in rows)


def per_unit(unit: str) -> PerUnit:
    return PerUnit(unit=Decimal(unit))


def package(unit: str, *, size: int, round: str = "up") -> Package:
    return Package(unit=Decimal(unit), size=size, round="up" if round == "up" else "down")


def graduated(*rows: tuple[Bound, str | None] | tuple[Bound, str | None, str | None]) -> Graduated:
    return Graduated(tiers=tiers(*rows))


def volume(*rows: tuple[Bound, str | None] | tuple[Bound, str | None, str | None]) -> Volume:
    return Volume(tiers=tiers(*rows))


def _tier(up_to: Bound, unit: str | None, flat: str | None = None) -> Tier:
    return Tier(
        up_to=up_to,
        unit=None if unit is None else Decimal(unit),
        flat=None if flat is None else Decimal(flat),
    )
