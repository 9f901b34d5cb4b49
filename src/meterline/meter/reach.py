"""How far corrections reach: further back than intake does, but not for ever, and not over any length at once.

Every UTC day that holds events is a partition of its own, so what may be asked for in one call is bounded.
"""

from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta

from meterline.meter.intake import FURTHEST_AHEAD
from meterline.period import Period
from meterline.refusal import Refusal

FURTHEST_CORRECTED = timedelta(days=731)
LONGEST_BACKFILL = timedelta(days=92)
_DAY = timedelta(days=1)


def check_corrected(at: datetime, *, now: datetime, param: str) -> None:
    """Refuse an instant that no correction may put usage at. `now` is the customer's time."""
    _check_back(at, now=now, param=param)
    if at > now + FURTHEST_AHEAD:
        raise Refusal(
            f"Usage cannot be more than {FURTHEST_AHEAD.seconds // 60} minutes in the future.",
            code="timestamp_in_future",
            param=param,
        )


def check_backfill(period: Period, *, now: datetime) -> None:
    """Refuse a stretch of time that a backfill may not have. It may end with the day that is going on."""
    _check_back(period.start, now=now, param="start")
    if period.end > now + _DAY:
        raise Refusal("A backfill can end at most one day in the future.", code="timestamp_in_future", param="end")
    if period.end - period.start > LONGEST_BACKFILL:
        raise Refusal(
            f"A backfill can be at most {LONGEST_BACKFILL.days} days long: open one for each part.", param="end"
        )


def check_kept(days: Collection[date], *, present: Collection[date], horizon: datetime, param: str) -> None:
    """Refuse days whose events are not kept any more: what is left of them cannot be counted again.

    `present` are the days of which events are kept. Of the others none before `horizon`, where retention begins, is
    made anew.
    """
    gone = [day for day in days if day not in present and day < horizon.astimezone(UTC).date()]
    if gone:
        raise Refusal(
            f"The events of {min(gone).isoformat()} are past their retention and cannot be corrected.",
            code="events_not_kept",
            param=param,
        )


def days_of(period: Period) -> list[date]:
    """The UTC days that a period touches, in order."""
    first = period.start.astimezone(UTC).date()
    last = (period.end - timedelta(microseconds=1)).astimezone(UTC).date()
    return [first + n * _DAY for n in range((last - first).days + 1)]


def _check_back(at: datetime, *, now: datetime, param: str) -> None:
    if at < now - FURTHEST_CORRECTED:
        earliest = int((now - FURTHEST_CORRECTED).timestamp())
        raise Refusal(
            f"Usage can be corrected up to {FURTHEST_CORRECTED.days} days back. Expected a timestamp greater than or"
            f" equal to {earliest}.",
            code="timestamp_too_far_in_past",
            param=param,
        )
