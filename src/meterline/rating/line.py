"""The rated line: one amount, and everything needed to say where it comes from."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Literal

import msgspec

from meterline.money import add, round_half_up

LineKind = Literal["units", "packages", "tier", "step", "percentage", "allowance", "minimum", "maximum"]


class RatedLine(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What a part of a quantity costs: `units × unit + flat`, exact.

    `quantity` is the usage that the line is about; `units` is what `unit` multiplies, which differs from it for
    packages. `unit`, `flat` and `exact` are minor units, exact; `unit` and `flat` are null where the model has
    none. `tier` counts from 1; `up_to` is its end, null for no end. `match` is the row of a rate table.
    `settles` is set on a line that brings the other lines, as rounded, to a bound: what that takes, in whole
    minor units.
    """

    kind: LineKind
    quantity: Decimal
    units: Decimal
    unit: Decimal | None
    flat: Decimal | None
    exact: Decimal
    tier: int | None = None
    up_to: int | None = None
    match: Mapping[str, str] = msgspec.field(default_factory=dict)
    settles: int | None = None

    @property
    def amount(self) -> int:
        """The line in whole minor units: the one place where a rated amount is rounded."""
        return round_half_up(self.exact) if self.settles is None else self.settles


def exact_total(lines: Iterable[RatedLine]) -> Decimal:
    """What the lines cost before rounding, in minor units."""
    return add(*[line.exact for line in lines])


def billed_total(lines: Iterable[RatedLine]) -> int:
    """What the lines cost as billed: each rounded on its own, then summed, in minor units."""
    return sum(line.amount for line in lines)
