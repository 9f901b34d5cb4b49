"""Values of events as text: plain decimals, at most 15 digits."""

from decimal import Decimal

import pytest

from meterline.meter import parse_value
from meterline.refusal import Refusal


@pytest.mark.parametrize(
    "text", ["0", "1", "-1", "25", "0.5", "-0.000000000000001", "123456789012345", "12345.6789012345", "007", " 5 "]
)
def test_decimals_are_values(text: str) -> None:
    assert parse_value(text) == Decimal(text.strip())


@pytest.mark.parametrize(
    "text", ["", " ", "abc", "1e3", "1e400", "NaN", "Infinity", "1,5", "1.", "٣", "0x1", "--5", "+5", "1" * 101, "1\n"]
)
def test_anything_else_is_no_value(text: str) -> None:
    with pytest.raises(Refusal, match="is not a decimal number") as refused:
        parse_value(text)
    assert refused.value.code == "meter_event_invalid_value"


@pytest.mark.parametrize("text", ["1234567890123456", "1.234567890123456", "-1234567890.123456"])
def test_more_than_15_digits_are_too_many(text: str) -> None:
    with pytest.raises(Refusal, match=f"at most 15 digits. Received {text}") as refused:
        parse_value(text)
    assert refused.value.code == "meter_event_value_too_many_digits"


def test_other_routes_may_let_in_more() -> None:
    assert parse_value("1234567890123456789.5", max_digits=30) == Decimal("1234567890123456789.5")
