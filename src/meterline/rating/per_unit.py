"""Per unit: every unit costs the same."""

from decimal import Decimal

from meterline.catalog import PerUnit
from meterline.money import multiply
from meterline.rating.line import RatedLine


def lines(model: PerUnit, quantity: Decimal) -> tuple[RatedLine, ...]:
    """One line: quantity × unit."""
    exact = multiply(quantity, model.unit)
    return (RatedLine(kind="units", quantity=quantity, units=quantity, unit=model.unit, flat=None, exact=exact),)
