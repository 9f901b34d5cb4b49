"""The meter: a defined way of turning events into a quantity."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Formula = Literal["sum", "count", "last", "max", "unique"]
TimeWindow = Literal["hour", "day"]
Status = Literal["active", "inactive"]

FORMULAS: tuple[Formula, ...] = ("sum", "count", "last", "max", "unique")

INVERTIBLE: frozenset[Formula] = frozenset({"sum", "count"})
"""Formulas whose counters can be taken away again, where no time window makes later events replace earlier."""


CUSTOMER_KEY = "stripe_customer_id"
"""The member of a payload that names the customer, where a meter does not say otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """What is counted, and how.

    Events of `event_name` belong to it. `customer_key`, `value_key` and `dimension_keys` name the payload's
    members. With `event_time_window`, the event received last in a UTC hour or day replaces the others of it.
    `created`, `updated` and `deactivated_at` are UTC.
    """

    environment: str
    id: str
    display_name: str
    event_name: str
    formula: Formula
    event_time_window: TimeWindow | None = None
    customer_key: str = CUSTOMER_KEY
    value_key: str = "value"
    dimension_keys: tuple[str, ...] = ()
    status: Status = "active"
    deactivated_at: datetime | None = None
    created: datetime
    updated: datetime

    def __post_init__(self) -> None:
        windowed = self.event_time_window is not None
        assert not (windowed and self.formula == "unique"), "a set of values has no latest one"

    @property
    def invertible(self) -> bool:
        """Whether the counters of a part of the time can be subtracted from those of the whole."""
        return self.formula in INVERTIBLE and self.event_time_window is None
