"""What the catalog refuses, whichever door it comes through. `param` and `at` are the caller's own spelling."""

from collections.abc import Sequence

from meterline.catalog.price import Recurring, UsageType
from meterline.period import Interval, Unit
from meterline.refusal import Refusal

_LONGEST: dict[Unit, tuple[str, int]] = {
    "day": ("daily", 1095),
    "week": ("weekly", 156),
    "month": ("monthly", 36),
    "year": ("yearly", 3),
}
"""Three years, in each unit."""


def check_tiers(bounds: Sequence[int | None], *, param: str) -> None:
    """Refuse ends of tiers that do not put every quantity in exactly one: they grow, only the last is null."""
    if not bounds or bounds[-1] is not None:
        raise Refusal("Invalid tiers: the last tier's `up_to` must be `inf`.", param=param)
    below = 0
    for bound in bounds[:-1]:
        if bound is None or bound <= below:
            raise Refusal("Invalid tiers: each tier's `up_to` must be greater than the one before it.", param=param)
        below = bound


def recurring(
    *, interval: Interval, usage_type: UsageType, meter: str | None, trial_period_days: int | None, at: str
) -> Recurring:
    """How often a price is billed and of what. Refuses more than three years, and usage without a meter.

    `at` is where the caller says it (`price_data[recurring]`).
    """
    if usage_type == "metered" and meter is None:
        raise Refusal("Starting with Stripe version `2025-03-31.basil`, metered prices must be backed by meters.")
    if usage_type == "licensed" and meter is not None:
        raise Refusal("Prices backed by a meter must have `recurring[usage_type]=metered`.", param=f"{at}[meter]")
    name, longest = _LONGEST[interval.unit]
    if interval.count > longest:
        raise Refusal(
            f"The interval_count for {name} prices can't be greater than {longest}", param=f"{at}[interval_count]"
        )
    return Recurring(interval=interval, usage_type=usage_type, meter=meter, trial_period_days=trial_period_days)
