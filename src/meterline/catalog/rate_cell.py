"""The name of the part of a price that some usage falls into: usage of one cell is counted, and tiered, together."""

from collections.abc import Mapping

from meterline.catalog.model import ByDimension
from meterline.catalog.price import Price


def cell(price: Price, dimensions: Mapping[str, str]) -> str:
    """The row of a rate table that prices these dimension values; empty for other prices, `-` where no row does."""
    if not isinstance(price.model, ByDimension):
        return ""
    found = price.model.row_for(dimensions)
    return "-" if found is None else "/".join(f"{key}={found.match[key]}" for key in price.model.keys)
