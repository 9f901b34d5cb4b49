"""Tax rates: a tax by its name and its percentage, on top of an amount or inside it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from meterline.catalog.price import TaxBehavior
from meterline.refusal import Refusal

MOST_RATES = 10
"""Rates that apply to one line, at most."""
MOST_DECIMALS = 4
"""Decimals of a percentage, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxRate:
    """One tax. What it takes (`percentage`, of 100, and whether it is `inclusive`) never changes; its names may.

    An inactive rate goes on where it is in use and is put to no new use. `country` and `state` are ISO 3166 codes.
    `created` is UTC.
    """

    environment: str
    id: str
    display_name: str
    percentage: Decimal
    inclusive: bool
    active: bool = True
    country: str | None = None
    description: str | None = None
    jurisdiction: str | None = None
    state: str | None = None
    tax_type: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    created: datetime


def check_percentage(percentage: Decimal) -> None:
    """Refuse a percentage that is no share, or has more decimals than Stripe's."""
    if not 0 <= percentage <= 100:
        raise Refusal("Invalid percentage: must be between 0 and 100.", param="percentage")
    if percentage.scaleb(MOST_DECIMALS) % 1 != 0:
        raise Refusal(
            f"Invalid decimal: {percentage}; must contain at maximum {MOST_DECIMALS} decimal places.",
            code="parameter_invalid_decimal",
            param="percentage",
        )


def check_use(rates: Sequence[TaxRate], *, already: Collection[TaxRate] = (), param: str) -> None:
    """Refuse rates that cannot be put on one thing: too many, one twice, or an inactive one that is not on it yet."""
    if len(rates) > MOST_RATES:
        raise Refusal(f"You can apply at most {MOST_RATES} tax rates at once; {len(rates)} were given.", param=param)
    known = {rate.id for rate in already}
    seen: set[str] = set()
    for place, rate in enumerate(rates):
        at = f"{param}[{place}]"
        if rate.id in seen:
            raise Refusal(f"The tax rate `{rate.id}` can only be applied once.", param=at)
        if not rate.active and rate.id not in known:
            raise Refusal(f"The tax rate `{rate.id}` is inactive and cannot be put to new use.", param=at)
        seen.add(rate.id)


def check_behavior(behavior: TaxBehavior, rates: Sequence[TaxRate], *, param: str) -> None:
    """Refuse rates that contradict a price which says itself whether tax is inside it."""
    if behavior != "unspecified" and any(rate.inclusive != (behavior == "inclusive") for rate in rates):
        raise Refusal(
            "One or more prices has a `tax_behavior` that conflicts with the tax rates that apply to the corresponding"
            " line item.",
            param=param,
        )
