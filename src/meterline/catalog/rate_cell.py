"""The name of the part of a price that some usage falls into: usage of one cell is counted, and tiered, together."""

from collections.abc import Mapping
from dataclasses import replace

from meterline.catalog.model import ByDimension, RateRow
from meterline.catalog.price import Price


def cell(price: Price, dimensions: Mapping[str, str]) -> str:
    """The row of a rate table that prices these dimension values; empty for other prices, `-` where no row does."""
    if not isinstance(price.model, ByDimension):
        return ""
    found = price.model.row_for(dimensions)
    return "-" if found is None else _name(price.model, found)


def of_cell(price: Price, name: str) -> Price | None:
    """The price as it is for usage of that cell; None where none prices it."""
    if not isinstance(price.model, ByDimension):
        return price
    row = next((each for each in price.model.rows if _name(price.model, each) == name), None)
    return None if row is None else replace(price, model=row.model)


def _name(table: ByDimension, row: RateRow) -> str:
    return "/".join(f"{key}={row.match[key]}" for key in table.keys)
