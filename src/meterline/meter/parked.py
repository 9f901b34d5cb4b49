"""Events parked for one reason, told of together."""

from dataclasses import dataclass
from datetime import datetime

SAMPLES = 3
"""Events that are named of those parked together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsParked:
    """The first events of a day that were parked for a reason (`code`), under an event name, of a customer.

    `customer` is null where no customer of that id exists. `count` is how many were parked together, `sample` the ids
    of a few of them, `message` the reason in words as of one. `created` is the wall clock's, UTC.
    """

    id: str
    environment: str
    code: str
    event_name: str | None
    customer: str | None
    count: int
    sample: tuple[str, ...]
    message: str
    created: datetime
