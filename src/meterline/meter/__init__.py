"""What is counted: events, meters, and how counters fold into a quantity. See README.md."""

from meterline.meter.event import UsageEvent
from meterline.meter.model import FORMULAS, Formula, Meter, Status, TimeWindow

__all__ = ["FORMULAS", "Formula", "Meter", "Status", "TimeWindow", "UsageEvent"]
