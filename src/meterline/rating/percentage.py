"""Percentage: a share of a sum of money."""

from decimal import Decimal

from meterline.catalog import Percentage
from meterline.money import multiply, to_minor
from meterline.rating.line import RatedLine


def lines(model: Percentage, quantity: Decimal, *, currency: str) -> tuple[RatedLine, ...]:
    """One line: `percent` of a quantity that counts major units of the currency."""
    unit = to_minor(multiply(model.percent, Decimal("0.01")), currency)
    exact = multiply(quantity, unit)
    return (RatedLine(kind="percentage", quantity=quantity, units=quantity, unit=unit, flat=None, exact=exact),)
