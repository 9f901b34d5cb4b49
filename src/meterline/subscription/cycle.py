"""The periods of an item: tiles of its price's interval, counted from the subscription's anchor.

A period that begins where no tile does (a stub) ends with the tile it begins in. What a whole interval is
there, for proration: from the anchor on, the tile itself; before the anchor, where tiles are only imagined,
an interval that begins with the stub.
"""

from datetime import datetime, timedelta
from fractions import Fraction
from itertools import takewhile

from meterline.catalog import Price
from meterline.period import Cycle, Interval, Period
from meterline.subscription.model import Subscription

_WHOLE = Fraction(1)
_MICROSECOND = timedelta(microseconds=1)


def tiles(subscription: Subscription, price: Price) -> Cycle:
    """All periods of that price on the subscription, forwards and backwards from the anchor."""
    config = subscription.anchor_config
    return Cycle(
        anchor=subscription.anchor,
        interval=interval(price),
        day=None if config is None else config.day_of_month,
    )


def span(subscription: Subscription, price: Price, *, start: datetime) -> Period:
    """The period that begins at `start`: up to the end of the tile it begins in."""
    return Period(start=start, end=tiles(subscription, price).containing(start).end)


def spans(subscription: Subscription, price: Price, *, start: datetime, end: datetime) -> list[Period]:
    """The periods from `start` to `end`, which is a boundary; the first one may be a stub."""
    assert start <= end
    within = takewhile(lambda tile: tile.start < end, tiles(subscription, price).periods(start))
    return [Period(start=max(tile.start, start), end=tile.end) for tile in within]


def whole(subscription: Subscription, price: Price, period: Period) -> Period:
    """The whole interval that a period, stub or not, is a part of."""
    tile = tiles(subscription, price).containing(period.start)
    if tile.start == period.start or period.start >= subscription.anchor:
        return tile
    return Cycle(anchor=period.start, interval=interval(price)).period(0)


def share(subscription: Subscription, price: Price, period: Period) -> Fraction:
    """How much of a whole interval a period is, exact: 1 for a tile."""
    return ratio(period, whole(subscription, price, period))


def ratio(part: Period, of: Period) -> Fraction:
    """The length of one period as a share of another's, at most 1."""
    return min(Fraction(part.duration // _MICROSECOND, of.duration // _MICROSECOND), _WHOLE)


def interval(price: Price) -> Interval:
    """How often a recurring price is billed."""
    assert price.recurring is not None
    return price.recurring.interval
