"""What may be counted: the rules between what a caller told and a usage event.

The answer is either a reading or a problem. A problem that a change on our side can cure (a meter or customer
that does not exist yet, a timestamp outside the window) is parked, to be replayed; any other is rejected.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

from meterline.meter.model import Meter

FURTHEST_BACK = timedelta(days=35)
FURTHEST_AHEAD = timedelta(minutes=5)
MAX_DIGITS = 15
MAX_IDENTIFIER = 100
MAX_MEMBER = 500
MAX_DIMENSION_VALUE = 200

Code = Literal[
    "no_meter",
    "archived_meter",
    "meter_event_customer_not_found",
    "timestamp_too_far_in_past",
    "timestamp_in_future",
    "meter_event_no_customer_defined",
    "meter_event_invalid_value",
    "meter_event_value_not_found",
    "meter_event_value_too_many_digits",
    "missing_dimension_payload_keys",
    "invalid_dimension_value",
    "invalid_identifier",
    "identifier_conflict",
    "malformed",
    "unprocessable",
]

PARKED: frozenset[Code] = frozenset(
    {
        "no_meter",
        "archived_meter",
        "meter_event_customer_not_found",
        "timestamp_too_far_in_past",
        "timestamp_in_future",
    }
)

_DECIMAL = re.compile(r"-?(\d{1,30})(?:\.(\d{1,15}))?")


@dataclass(frozen=True, slots=True)
class Problem:
    """Why an event was not counted: a stable code, words for people, and the field at fault."""

    code: Code
    message: str
    field: str | None = None

    @property
    def parked(self) -> bool:
        """Whether it is kept to be replayed once the cause is gone; otherwise it is rejected."""
        return self.code in PARKED


@dataclass(frozen=True, slots=True)
class Reading:
    """What an event says: for whom, how much, under which dimension values.

    `member` is what a meter of distinct values counts, null for the others.
    """

    customer: str
    value: str
    member: str | None
    dimensions: Mapping[str, str] | None


def read(payload: Mapping[str, object], meter: Meter) -> Reading | Problem:
    """Take the meter's members out of the payload, whose values are texts or numbers."""
    customer = payload.get(meter.customer_key)
    if not isinstance(customer, str) or not customer:
        return Problem(
            "meter_event_no_customer_defined",
            f"Customer mapping key {meter.customer_key} not found in payload.",
            f"payload[{meter.customer_key}]",
        )
    value, member = "1", None
    if meter.formula == "unique":
        found = _member(payload, meter.value_key)
        if isinstance(found, Problem):
            return found
        member = found
    elif meter.formula != "count":
        text = decimal_text(payload.get(meter.value_key), field=f"payload[{meter.value_key}]")
        if isinstance(text, Problem):
            return text
        value = text
    if not meter.dimension_keys:
        return Reading(customer, value, member, None)
    dimensions = _dimensions(payload, meter.dimension_keys)
    if isinstance(dimensions, Problem):
        return dimensions
    return Reading(customer, value, member, dimensions)


def decimal_text(told: object, *, field: str) -> str | Problem:
    """The value as plain decimal text: a number, or a text holding one, of at most 15 significant digits."""
    if told is None:
        return Problem("meter_event_value_not_found", f"No value found in payload under {field}.", field)
    if isinstance(told, bool) or not isinstance(told, str | int | Decimal):
        return Problem("meter_event_invalid_value", "The value in the event payload is not a number.", field)
    if isinstance(told, str):
        text = told
    elif isinstance(told, int):
        text = str(told) if abs(told) < 10**30 else ""
    else:
        text = format(told, "f") if told.is_finite() and abs(told.adjusted()) <= MAX_EXPONENT else ""
    matched = _DECIMAL.fullmatch(text)
    if matched is None:
        shown = str(told)[:40]
        return Problem(
            "meter_event_invalid_value", f"The value in the event payload is not a decimal number: {shown}.", field
        )
    if len(text) > MAX_DIGITS and _significant(matched[1], matched[2] or "") > MAX_DIGITS:
        return Problem(
            "meter_event_value_too_many_digits",
            f"The value in the event payload can have at most {MAX_DIGITS} digits. Received {text}.",
            field,
        )
    return text


MAX_EXPONENT = 30


def _significant(whole: str, fraction: str) -> int:
    """Digits from the first to the last that is not zero."""
    return len((whole + fraction).lstrip("0").rstrip("0" if fraction else ""))


def _member(payload: Mapping[str, object], key: str) -> str | Problem:
    found = payload.get(key)
    if isinstance(found, bool) or not isinstance(found, str | int | Decimal) or found == "":
        return Problem("meter_event_value_not_found", f"No value found in payload under {key}.", f"payload[{key}]")
    text = str(found)
    if len(text) > MAX_MEMBER:
        return Problem(
            "meter_event_invalid_value",
            f"The value in the event payload is longer than {MAX_MEMBER} characters.",
            f"payload[{key}]",
        )
    return text


def _dimensions(payload: Mapping[str, object], keys: tuple[str, ...]) -> dict[str, str] | Problem:
    missing = [key for key in keys if payload.get(key) in (None, "")]
    if missing:
        return Problem(
            "missing_dimension_payload_keys",
            f"Dimension keys not found in payload: {', '.join(missing)}.",
            f"payload[{missing[0]}]",
        )
    values = {key: str(payload[key]) for key in sorted(keys)}
    for key, value in values.items():
        if len(value) > MAX_DIMENSION_VALUE or "\0" in value:
            return Problem(
                "invalid_dimension_value",
                f"A dimension value has at most {MAX_DIMENSION_VALUE} characters and no null bytes.",
                f"payload[{key}]",
            )
    return values


def check_time(occurred_at: datetime, now: datetime) -> Problem | None:
    """Whether an event of that time may be told at `now`: at most 35 days late, 5 minutes early. Both UTC."""
    earliest = now - FURTHEST_BACK
    if occurred_at < earliest:
        return Problem(
            "timestamp_too_far_in_past",
            f"The event timestamp cannot be more than {FURTHEST_BACK.days} days in past. Expected a timestamp"
            f" greater than or equal to {_unix(earliest)}.",
            "timestamp",
        )
    latest = now + FURTHEST_AHEAD
    if occurred_at > latest:
        return Problem(
            "timestamp_in_future",
            "The event timestamp cannot be more than 5 minutes in the future. Expected a timestamp less than or"
            f" equal to {_unix(latest)}.",
            "timestamp",
        )
    return None


def no_meter(event_name: str) -> Problem:
    """Nothing counts events of that name."""
    return Problem("no_meter", f"No meter was found matching event_name {event_name}.", "event_name")


def archived(meter: Meter) -> Problem:
    """The meter was deactivated."""
    return Problem("archived_meter", f"The meter for event_name {meter.event_name} is inactive.", "event_name")


def unknown_customer(customer: str, meter: Meter) -> Problem:
    """There is no such customer, or it was deleted."""
    return Problem(
        "meter_event_customer_not_found",
        f"No customer was found matching {customer}.",
        f"payload[{meter.customer_key}]",
    )


def _unix(instant: datetime) -> int:
    return int(instant.timestamp())
