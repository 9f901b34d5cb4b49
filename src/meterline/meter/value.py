"""The value of an event, as text from outside."""

from decimal import Decimal

from meterline.refusal import Refusal

SIGNIFICANT_DIGITS = 15
"""Digits that Stripe's routes let a value have."""

_MAX_TEXT = 100
_MAX_FRACTION = 30


def parse_value(text: str, *, max_digits: int = SIGNIFICANT_DIGITS, param: str | None = None) -> Decimal:
    """The value that an event's text stands for: a plain decimal, negative to take usage back.

    Spaces around it are ignored. Refuses anything else (`meter_event_invalid_value`: exponents, NaN, infinity,
    digits without end), and more than `max_digits` digits (`meter_event_value_too_many_digits`); zeros in front
    do not count.
    """
    plain = text.strip(" ")
    whole, point, fraction = plain.removeprefix("-").partition(".")
    digits = whole + fraction
    number = digits.isascii() and digits.isdigit() and len(text) <= _MAX_TEXT and bool(fraction or not point)
    if not number:
        raise Refusal(
            f"Invalid value for the event payload: {text[:60]!r} is not a decimal number.",
            code="meter_event_invalid_value",
            param=param,
        )
    if len(digits.lstrip("0")) > max_digits or len(fraction) > _MAX_FRACTION:
        raise Refusal(
            f"The value in the event payload can have at most {max_digits} digits. Received {text[:60]}.",
            code="meter_event_value_too_many_digits",
            param=param,
        )
    return Decimal(plain)
