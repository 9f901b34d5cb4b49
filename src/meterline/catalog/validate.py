"""What the catalog refuses, with the words and the parameter that clients of Stripe's API know."""

from collections.abc import Sequence
from decimal import Decimal

from meterline.catalog.model import ascending
from meterline.catalog.price import Recurring, UsageType
from meterline.meter import Meter
from meterline.money import MAX_DECIMALS
from meterline.period import Interval, Unit
from meterline.refusal import Refusal

MAX_AMOUNT = 999_999_999_999
"""The greatest unit price or flat amount, in minor units."""

MAX_TRIAL_DAYS = 730

_LONGEST: dict[Unit, tuple[str, int]] = {
    "day": ("daily", 1095),
    "week": ("weekly", 156),
    "month": ("monthly", 36),
    "year": ("yearly", 3),
}


def recurring(
    *,
    unit: Unit,
    count: int = 1,
    usage_type: UsageType = "licensed",
    meter: Meter | None = None,
    trial_period_days: int | None = None,
    prefix: str = "",
) -> Recurring:
    """How often a price is billed and of what, or a Refusal. `prefix` is where `recurring` is (`price_data`)."""
    where = f"{prefix}[recurring]" if prefix else "recurring"
    name, longest = _LONGEST[unit]
    if count < 1:
        raise Refusal("Invalid positive integer", code="parameter_invalid_integer", param=f"{where}[interval_count]")
    if count > longest:
        raise Refusal(
            f"The interval_count for {name} prices can't be greater than {longest}", param=f"{where}[interval_count]"
        )
    if usage_type == "metered" and meter is None:
        raise Refusal("Starting with Stripe version `2025-03-31.basil`, metered prices must be backed by meters.")
    if usage_type == "licensed" and meter is not None:
        raise Refusal("You can only specify `meter` when `usage_type` is `metered`.", param=f"{where}[meter]")
    if meter is not None and meter.status != "active":
        raise Refusal(f"The meter `{meter.id}` is inactive and cannot be attached to a price.", param=f"{where}[meter]")
    if trial_period_days is not None and not 1 <= trial_period_days <= MAX_TRIAL_DAYS:
        raise Refusal(
            f"`trial_period_days` must be between 1 and {MAX_TRIAL_DAYS}.", param=f"{where}[trial_period_days]"
        )
    return Recurring(
        interval=Interval(unit=unit, count=count),
        usage_type=usage_type,
        meter=None if meter is None else meter.id,
        trial_period_days=trial_period_days,
    )


def product_given(*, product: bool, product_data: bool) -> None:
    """A price belongs to a product that exists or to one made with it: one of the two."""
    if not product and not product_data:
        raise Refusal("You must specify either `product` or `product_data` when creating a price.")
    if product and product_data:
        raise Refusal("You may only specify one of these parameters: product, product_data.", param="product")


def check_amount(amount: Decimal, *, param: str) -> Decimal:
    """An amount that a price may have: not negative, not beyond MAX_AMOUNT, at most 12 decimals."""
    if amount < 0:
        raise Refusal("Invalid non-negative integer", code="parameter_invalid_integer", param=param)
    if amount > MAX_AMOUNT:
        raise Refusal(f"Amount must be no more than {MAX_AMOUNT}", code="amount_too_large", param=param)
    exponent = amount.normalize().as_tuple().exponent
    if isinstance(exponent, int) and -exponent > MAX_DECIMALS:
        raise Refusal(
            f"Invalid decimal: {amount}; must contain at maximum {MAX_DECIMALS} decimal places.",
            code="parameter_invalid_decimal",
            param=param,
        )
    return amount


def check_tier_bounds(bounds: Sequence[int | None], *, prefix: str) -> None:
    """Tiers grow, and only the last one is without end (null)."""
    if ascending(tuple(bounds)) and (bounds[0] is None or bounds[0] >= 1):
        return
    where = f"{prefix}[tiers]" if prefix else "tiers"
    if bounds[-1] is not None:
        message = "The last tier must have `up_to` set to `inf`."
    elif None in bounds[:-1]:
        message = "Only the last tier can have `up_to` set to `inf`."
    else:
        message = "Tiers must have `up_to` of at least 1, each greater than the one before."
    raise Refusal(message, param=where)


def only_one(first: str, second: str, *, prefix: str = "") -> Refusal:
    """Two parameters that exclude each other were both given."""
    return Refusal(
        f"You may only specify one of these parameters: {first}, {second}.",
        param=f"{prefix}[{first}]" if prefix else first,
    )
