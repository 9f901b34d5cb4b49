"""Quantity × price → rated lines. See README.md."""

from meterline.rating.line import LineKind, RatedLine, billed_total, exact_total
from meterline.rating.prorate import prorate, share
from meterline.rating.rate import DimensionValues, for_dimensions, increment, rate, rate_by_dimension

__all__ = [
    "DimensionValues",
    "LineKind",
    "RatedLine",
    "billed_total",
    "exact_total",
    "for_dimensions",
    "increment",
    "prorate",
    "rate",
    "rate_by_dimension",
    "share",
]
