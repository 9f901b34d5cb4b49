"""A test clock: a frozen time that the customers on it live by, so that months can be tried out in minutes."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from meterline.refusal import Refusal

CUSTOMERS_PER_CLOCK = 3
SUBSCRIPTIONS_PER_CUSTOMER = 3
LIFETIME = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class TestClock:
    """`created` and `deletes_after` are wall-clock instants; `frozen_time` is the time on the clock.

    While `advancing`, `target_frozen_time` says where to, and `frozen_time` is the instant reached so far.
    """

    __test__ = False  # the name begins like a test's; it is the domain's word

    environment: str
    id: str
    sequence: UUID
    name: str | None
    created: datetime
    deletes_after: datetime
    frozen_time: datetime
    status: Literal["ready", "advancing", "internal_failure"] = "ready"
    target_frozen_time: datetime | None = None
    failure: str | None = None


def check_advance(clock: TestClock, *, to: datetime, horizons: Iterable[datetime]) -> None:
    """Refuse an advance that the clock cannot make.

    `horizons` holds, for each live subscription item on the clock, the instant two of its intervals ahead of
    the frozen time; without any the clock may go two years.
    """
    if clock.status == "advancing":
        raise Refusal(
            "Test clock advancement underway - cannot perform modifications on this test clock until it is ready.",
            code="test_clock_advancing",
        )
    if clock.status == "internal_failure":
        raise Refusal("Test clock failed to advance and cannot be advanced any further. Please delete it.")
    if to <= clock.frozen_time:
        raise Refusal(
            "Cannot advance to a time in the past: a test clock only moves forward from its frozen time.",
            param="frozen_time",
        )
    furthest = min(horizons, default=clock.frozen_time + timedelta(days=2 * 366))
    if to > furthest:
        raise Refusal(
            "Cannot advance to this time. You can only advance a test clock up to two intervals from the"
            " current frozen time at a time, based on the shortest subscription interval in the test clock"
            " (two years if there is none).",
            param="frozen_time",
        )
