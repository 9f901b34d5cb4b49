"""How often a price is billed, in Stripe's words."""

from typing import Annotated, Literal

from pydantic import Field

from meterline.api.stripe.params import Hash, Int, Natural, Text
from meterline.api.stripe.price_amount import within
from meterline.catalog import Recurring, validate
from meterline.period import Interval


class RecurringParams(Hash):
    interval: Literal["day", "month", "week", "year"]
    interval_count: Annotated[Int, Field(ge=1)] = 1


class MeteredParams(RecurringParams):
    meter: Text | None = None
    trial_period_days: Annotated[Natural, Field(le=730)] | None = None
    usage_type: Literal["licensed", "metered"] = "licensed"


def recurring_of(asked: RecurringParams | None, *, at: str = "") -> Recurring | None:
    """The cadence asked for. Refuses more than three years, and usage without a meter.

    `at` is the hash that `recurring` stands in (`price_data`).
    """
    if asked is None:
        return None
    interval = Interval(unit=asked.interval, count=asked.interval_count)
    meter = trial = None
    usage_type: Literal["licensed", "metered"] = "licensed"
    if isinstance(asked, MeteredParams):
        meter, trial, usage_type = asked.meter, asked.trial_period_days, asked.usage_type
    return validate.recurring(
        interval=interval,
        usage_type=usage_type,
        meter=meter,
        trial_period_days=trial,
        at=within(at, "recurring"),
    )
