"""The periods of an item: tiles of its price's interval, counted from the subscription's anchor.

A period that begins where no tile does (a stub) ends with the tile it begins in. What a whole interval is
there, for proration: from the anchor on, the tile itself; before the anchor, where tiles are only imagined,
an interval that begins with the stub.
"""

from datetime import datetime
from fractions import Fraction

from meterline.catalog import Price
from meterline.period import Interval, Period
from meterline.subscription.model import SubscriptionItem
