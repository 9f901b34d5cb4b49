"""The price models: every way in which a quantity becomes an amount. A closed union.

Unit prices and flat amounts are in minor units of the price's currency, exact, with at most 12 decimals.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Literal

Rounding = Literal["up", "down"]

ANY = "*"
"""In a rate row: whatever value the dimension has, or none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PerUnit:
    """Every unit costs the same."""

    unit: Decimal
    kind: Literal["per_unit"] = "per_unit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """Units are sold in packages of `size`; a started package counts as whole (`up`) or not at all (`down`).

    `unit` is the price of one package.
    """

    size: int
    unit: Decimal
    round: Rounding = "up"
    kind: Literal["package"] = "package"

    def __post_init__(self) -> None:
        assert self.size >= 1, "a package holds something"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """A range of quantities that ends with `up_to`, inclusive; null means without end.

    `unit` prices each unit, `flat` is added once; null is "not said", and costs nothing.
    """

    up_to: int | None
    unit: Decimal | None = None
    flat: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Graduated:
    """Each tier prices its own slice of the quantity, and adds its flat amount once it is reached."""

    tiers: tuple[Tier, ...]
    kind: Literal["graduated"] = "graduated"

    def __post_init__(self) -> None:
        assert ascending(tuple(tier.up_to for tier in self.tiers))


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """The one tier that the whole quantity falls in prices all of it."""

    tiers: tuple[Tier, ...]
    kind: Literal["volume"] = "volume"

    def __post_init__(self) -> None:
        assert ascending(tuple(tier.up_to for tier in self.tiers))


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What any quantity up to `up_to`, inclusive, costs in all; null means without end."""

    up_to: int | None
    amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class StairStep:
    """The step that the quantity falls in is the amount; a single step is a flat fee."""

    steps: tuple[Step, ...]
    kind: Literal["stairstep"] = "stairstep"

    def __post_init__(self) -> None:
        assert ascending(tuple(step.up_to for step in self.steps))


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentage:
    """A share of a sum of money: the quantity counts major units (12.50 = twelve dollars fifty).

    `percent` is 2.9 for 2.9 %.
    """

    percent: Decimal
    kind: Literal["percentage"] = "percentage"


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomAmount:
    """The buyer names the amount, between the bounds given. It cannot be rated."""

    minimum: int | None = None
    maximum: int | None = None
    preset: int | None = None
    kind: Literal["custom"] = "custom"


QuantityModel = PerUnit | Package | Graduated | Volume | StairStep | Percentage
"""Models that price one quantity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateRow:
    """What usage with these dimension values costs. `match` names every key of the table; ANY is a fallback."""

    match: Mapping[str, str]
    model: QuantityModel


@dataclass(frozen=True, slots=True, kw_only=True)
class ByDimension:
    """A table of rates by dimension values (`{model: gpt-x, kind: input}`).

    `keys` are in order of weight. Among the rows that match, the one that names a value for the first key wins,
    then for the second, and so on; as no two rows are the same, exactly one wins. Each row counts its own
    quantity, with its own tiers.
    """

    keys: tuple[str, ...]
    rows: tuple[RateRow, ...]
    kind: Literal["by_dimension"] = "by_dimension"

    def __post_init__(self) -> None:
        assert self.keys and self.rows, "a rate table has keys and rows"
        assert all(row.match.keys() == set(self.keys) for row in self.rows), "each row names each key"
        patterns = {tuple(row.match[key] for key in self.keys) for row in self.rows}
        assert len(patterns) == len(self.rows), "no two rows match alike"

    def row_for(self, dimensions: Mapping[str, str]) -> RateRow | None:
        """The row that prices usage with these dimension values; null where no row matches."""
        matching = [row for row in self.rows if self._matches(row, dimensions)]
        return min(matching, key=lambda row: [row.match[key] == ANY for key in self.keys], default=None)

    def _matches(self, row: RateRow, dimensions: Mapping[str, str]) -> bool:
        return all(row.match[key] in (ANY, dimensions.get(key)) for key in self.keys)


PriceModel = QuantityModel | ByDimension | CustomAmount


def flat_fee(amount: Decimal) -> StairStep:
    """The model that costs the same whatever the quantity, in minor units."""
    return StairStep(steps=(Step(up_to=None, amount=amount),))


def ascending(bounds: tuple[int | None, ...]) -> bool:
    """Whether upper bounds grow and only the last one is open (null)."""
    closed = [bound for bound in bounds if bound is not None]
    growing = all(low < high for low, high in pairwise(closed))
    return len(bounds) >= 1 and bounds[-1] is None and len(closed) == len(bounds) - 1 and growing
