"""When a delivery that failed is tried again."""

from datetime import datetime, timedelta

_RESTS = (
    timedelta(seconds=15),
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(minutes=30),
    timedelta(hours=1),
    timedelta(hours=2),
    timedelta(hours=4),
    timedelta(hours=8),
    timedelta(hours=12),
    timedelta(hours=18),
    timedelta(hours=26),
)

MAX_ATTEMPTS = len(_RESTS) + 1


def next_attempt(*, attempts: int, now: datetime) -> datetime | None:
    """When to try again after the n-th failure: within a minute at first, the last after three days.

    None when all attempts are used up.
    """
    assert attempts >= 1
    return now + _RESTS[attempts - 1] if attempts < MAX_ATTEMPTS else None
