"""Rating: quantity × price → rated lines. The one entry for invoices, previews, wallets and what-ifs."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import assert_never

from msgspec import structs

from meterline.catalog import (
    Adjustment,
    ByDimension,
    CustomAmount,
    Graduated,
    Package,
    Percentage,
    PerUnit,
    Price,
    QuantityModel,
    RateRow,
    StairStep,
    Volume,
)
from meterline.meter import Formula
from meterline.money import add, subtract
from meterline.rating import adjust, graduated, package, per_unit, percentage, stairstep, volume
from meterline.rating.line import RatedLine, exact_total
from meterline.refusal import Refusal

DimensionValues = tuple[tuple[str, str], ...]
"""The dimension values of some usage: (name, value) pairs."""

NOTHING = Decimal(0)


def rate(*, price: Price, quantity: Decimal) -> tuple[RatedLine, ...]:
    """What a quantity costs under a price that needs no dimensions. At least one line, also for nothing.

    A negative quantity costs what 0 costs. Refuses a price whose amount the buyer names.
    """
    match price.model:
        case CustomAmount():
            raise Refusal(f"The price `{price.id}` has no amount of its own.", param="price")
        case ByDimension():
            raise AssertionError("usage by dimension is rated by rate_by_dimension")
        case model:
            return _rate_model(model, price.adjustment, max(quantity, NOTHING), currency=price.currency)


def rate_by_dimension(
    *, price: Price, formula: Formula, usage: Mapping[DimensionValues, Decimal]
) -> tuple[RatedLine, ...]:
    """What usage counted per combination of dimension values costs under a rate table.

    The combinations that one row prices count together; a row without usage bills nothing. Refuses usage that no
    row prices (`rate_missing`): it is never silently free.
    """
    assert isinstance(price.model, ByDimension), "only a rate table asks for dimensions"
    lines: list[RatedLine] = []
    for row, quantity in _by_row(price.model, formula, usage):
        rated = _rate_model(row.model, price.adjustment, max(quantity, NOTHING), currency=price.currency)
        lines.extend(structs.replace(line, match=row.match) for line in rated)
    return tuple(lines) or (_nothing(),)


def increment(
    *, price: Price, before: Decimal | None, after: Decimal, dimensions: Mapping[str, str] | None = None
) -> Decimal:
    """What usage adds to the cost when it takes the quantity from `before` to `after`: exact minor units.

    `before` is null when nothing was used yet in the period, so that the first usage carries what quantity 0
    costs (a first tier's flat amount). Under a rate table both quantities are those of the row that prices
    `dimensions`. However usage is cut into pieces, the increments add up to the same; one that takes usage back
    is negative.
    """
    priced = for_dimensions(price, dimensions or {})
    cost = exact_total(rate(price=priced, quantity=after))
    return cost if before is None else subtract(cost, exact_total(rate(price=priced, quantity=before)))


def for_dimensions(price: Price, dimensions: Mapping[str, str]) -> Price:
    """The price as it is for usage with these dimension values: a rate table becomes its row's model."""
    if not isinstance(price.model, ByDimension):
        return price
    return replace(price, model=_row(price.model, dimensions).model)


def _by_row(
    table: ByDimension, formula: Formula, usage: Mapping[DimensionValues, Decimal]
) -> list[tuple[RateRow, Decimal]]:
    rows: dict[int, Decimal] = {}
    for values in sorted(usage):
        place = table.rows.index(_row(table, dict(values)))
        rows[place] = _together(formula, rows.get(place), usage[values])
    return [(table.rows[place], rows[place]) for place in sorted(rows)]


def _row(table: ByDimension, dimensions: Mapping[str, str]) -> RateRow:
    row = table.row_for(dimensions)
    if row is None:
        named = ", ".join(f"{key}={dimensions.get(key, '')}" for key in table.keys)
        raise Refusal(f"No rate matches {named}.", code="rate_missing", param="dimensions")
    return row


def _together(formula: Formula, so_far: Decimal | None, more: Decimal) -> Decimal:
    if so_far is None:
        return more
    match formula:
        case "sum" | "count":
            return add(so_far, more)
        case "max":
            return max(so_far, more)
        case "last" | "unique":
            raise Refusal(f"Usage counted by `{formula}` cannot be added up across dimension values.", param="meter")
        case _:
            assert_never(formula)


def _rate_model(
    model: QuantityModel, adjustment: Adjustment, quantity: Decimal, *, currency: str
) -> tuple[RatedLine, ...]:
    free = adjust.free_part(adjustment, quantity)
    rated = _model_lines(model, subtract(quantity, free), currency=currency)
    lines = (adjust.allowance_line(free), *rated) if free else rated
    return adjust.bounded(adjustment, lines)


def _model_lines(model: QuantityModel, quantity: Decimal, *, currency: str) -> tuple[RatedLine, ...]:
    match model:
        case PerUnit():
            return per_unit.lines(model, quantity)
        case Package():
            return package.lines(model, quantity)
        case Graduated():
            return graduated.lines(model, quantity)
        case Volume():
            return volume.lines(model, quantity)
        case StairStep():
            return stairstep.lines(model, quantity)
        case Percentage():
            return percentage.lines(model, quantity, currency=currency)
        case _:
            assert_never(model)


def _nothing() -> RatedLine:
    return RatedLine(kind="units", quantity=NOTHING, units=NOTHING, unit=None, flat=None, exact=NOTHING)
