"""What is counted: events, meters, and how counters fold into a quantity. See README.md."""

from meterline.meter.aggregate import (
    EMPTY,
    Bucket,
    Counted,
    Reading,
    fold,
    merge,
    quantity,
    take_away,
    window_start,
)
from meterline.meter.event import UsageEvent
from meterline.meter.model import FORMULAS, Formula, Meter, Status, TimeWindow
from meterline.meter.value import SIGNIFICANT_DIGITS, parse_value

__all__ = [
    "EMPTY",
    "FORMULAS",
    "SIGNIFICANT_DIGITS",
    "Bucket",
    "Counted",
    "Formula",
    "Meter",
    "Reading",
    "Status",
    "TimeWindow",
    "UsageEvent",
    "fold",
    "merge",
    "parse_value",
    "quantity",
    "take_away",
    "window_start",
]
