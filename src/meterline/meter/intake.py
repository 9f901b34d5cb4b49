"""What may be counted: the rules between what a caller told and a usage event.

The answer is either what was measured or a problem. A problem that a change on our side can cure (a meter or customer
that does not exist yet, a timestamp outside the window) is parked, to be replayed; any other is rejected.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal

from meterline.meter.model import Meter
from meterline.meter.value import parse_value
from meterline.refusal import Refusal

FURTHEST_BACK = timedelta(days=35)
FURTHEST_AHEAD = timedelta(minutes=5)
MAX_IDENTIFIER = 100
MAX_EXPONENT = 30
MAX_BITS = 128
ONE = Decimal(1)
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
class Measured:
    """What an event says: for whom, how much, under which dimension values.

    `member` is what a meter of distinct values counts, null for the others.
    """

    customer: str
    value: Decimal
    member: str | None
    dimensions: Mapping[str, str] | None


def read(payload: Mapping[str, object], meter: Meter, *, customer: object = None) -> Measured | Problem:
    """Take the meter's members out of the payload, whose values are texts or numbers.

    `customer` names the customer where the envelope does and the payload does not.
    """
    customer = payload.get(meter.customer_key, customer)
    if not isinstance(customer, str) or not customer:
        return Problem(
            "meter_event_no_customer_defined",
            f"Customer mapping key {meter.customer_key} not found in payload.",
            f"payload[{meter.customer_key}]",
        )
    value, member = ONE, None
    if meter.formula == "unique":
        found = _member(payload, meter.value_key)
        if isinstance(found, Problem):
            return found
        member = found
    elif meter.formula != "count":
        measured = _value(payload.get(meter.value_key), meter.value_key)
        if isinstance(measured, Problem):
            return measured
        value = measured
    if not meter.dimension_keys:
        return Measured(customer, value, member, None)
    dimensions = _dimensions(payload, meter.dimension_keys)
    if isinstance(dimensions, Problem):
        return dimensions
    return Measured(customer, value, member, dimensions)


def _value(told: object, key: str) -> Decimal | Problem:
    """The value as a decimal: a number, or a text holding one."""
    field = f"payload[{key}]"
    if told is None:
        return Problem("meter_event_value_not_found", f"Value key {key} not found in payload.", field)
    if isinstance(told, str):
        text = told
    elif isinstance(told, bool) or not isinstance(told, int | Decimal):
        return Problem("meter_event_invalid_value", f"The value under {key} is not a decimal number.", field)
    else:
        text = plain_text(told)
    try:
        return parse_value(text)
    except Refusal as refusal:
        code: Code = (
            "meter_event_value_too_many_digits"
            if refusal.code == "meter_event_value_too_many_digits"
            else "meter_event_invalid_value"
        )
        return Problem(code, refusal.message, field)


def plain_text(number: int | Decimal) -> str:
    """A JSON number without an exponent; one too large or small to be a quantity as it was told."""
    if isinstance(number, int):
        return str(number) if number.bit_length() <= MAX_BITS else "1e100"
    near = number.is_finite() and abs(number.adjusted()) <= MAX_EXPONENT
    return format(number, "f") if near else str(number)[:MAX_MEMBER]


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


def not_kept(occurred_at: datetime) -> Problem:
    """The events of that day (UTC) are past their retention: nothing would know this one again."""
    day = occurred_at.astimezone(UTC).date()
    return Problem(
        "timestamp_too_far_in_past",
        f"The events of {day.isoformat()} are past their retention; none is added to them.",
        "timestamp",
    )


def check_identifier(identifier: str) -> Problem | None:
    """Whether a text can identify an event."""
    if 0 < len(identifier) <= MAX_IDENTIFIER and "\0" not in identifier:
        return None
    return Problem(
        "invalid_identifier", f"An identifier has 1 to {MAX_IDENTIFIER} characters, no null bytes.", "identifier"
    )


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
