"""Package: units come in packages of a fixed size."""

from decimal import Decimal
from fractions import Fraction
from math import ceil, floor

from meterline.catalog import Package
from meterline.money import multiply
from meterline.rating.line import RatedLine


def lines(model: Package, quantity: Decimal) -> tuple[RatedLine, ...]:
    """One line: the number of packages × the price of one. Quantities need not be whole."""
    packages = packages_of(model, quantity)
    exact = multiply(packages, model.unit)
    return (RatedLine(kind="packages", quantity=quantity, units=packages, unit=model.unit, flat=None, exact=exact),)


def packages_of(model: Package, quantity: Decimal) -> Decimal:
    """How many packages the quantity makes, whole."""
    share = Fraction(quantity) / model.size
    return Decimal(ceil(share) if model.round == "up" else floor(share))
