"""What requests of the wallet dialect are made of."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from meterline.money import MAX_DECIMALS, decimal_text, parse_decimal
from meterline.refusal import Refusal

_LARGEST = Decimal(10) ** 15
_MOST_EXPONENT = 30
_DEEPEST = 20
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


class Params(BaseModel):
    """The body, or the query of a GET; unknown fields are refused, and text that cannot be stored."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _storable(cls, raw: object) -> object:
        check_storable(raw)
        return raw


def check_storable(value: object, depth: int = 0) -> None:
    """Refuse what no database keeps: the character zero, and nesting without end."""
    if depth > _DEEPEST:
        raise ValueError("nested too deeply")
    match value:
        case str() if "\0" in value:
            raise ValueError("text cannot contain the character U+0000")
        case dict():
            for name, member in value.items():
                check_storable(name, depth)
                check_storable(member, depth + 1)
        case list():
            for member in value:
                check_storable(member, depth + 1)


class ListQuery(Params):
    """A page by offset."""

    offset: Annotated[int, Field(ge=0, le=10_000_000)] = 0
    limit: Annotated[int, Field(ge=1, le=500)] = 20


def _decimal(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        raise ValueError("a decimal number is expected")
    if isinstance(value, Decimal):
        if not value.is_finite() or abs(value.adjusted()) > _MOST_EXPONENT:
            raise ValueError("the number is not finite, or too large")
        value = f"{value:f}"
    try:
        number = parse_decimal(str(value), max_decimals=MAX_DECIMALS)
    except Refusal as refusal:
        raise ValueError(refusal.message) from None
    if abs(number) >= _LARGEST:
        raise ValueError("the number is too large")
    return Decimal(decimal_text(number))


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    """Nested data whose numbers can be kept."""
    for number in _numbers(value):
        _decimal(number)
    return value


def _numbers(value: object) -> Iterator[object]:
    if isinstance(value, dict | list):
        for member in value.values() if isinstance(value, dict) else value:
            yield from _numbers(member)
    elif isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        yield value


def _positive(value: Decimal) -> Decimal:
    if value <= 0:
        raise ValueError("must be more than zero")
    return value


def _not_zero(value: Decimal) -> Decimal:
    if value == 0:
        raise ValueError("must not be zero")
    return value


def _not_negative(value: Decimal) -> Decimal:
    if value < 0:
        raise ValueError("must not be negative")
    return value


def _utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("an instant has a time zone, or Z")
    return value.astimezone(UTC)


def _from(value: object) -> object:
    """A plain date is the instant at which it begins."""
    return f"{value}T00:00:00Z" if isinstance(value, str) and _DATE.fullmatch(value) else value


def _to(value: object) -> object:
    """A plain date is the instant at which it is over."""
    if not isinstance(value, str) or _DATE.fullmatch(value) is None:
        return value
    try:
        day = date.fromisoformat(value)
        return datetime.combine(day + timedelta(days=1), time(), tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ValueError("there is no such day") from None


def _asset(value: str) -> str:
    return value.upper()


Number: TypeAlias = Annotated[Decimal, BeforeValidator(_decimal)]
"""An exact decimal, told as a JSON number or as text; at most twelve decimals."""
Positive: TypeAlias = Annotated[Decimal, BeforeValidator(_decimal), AfterValidator(_positive)]
NotZero: TypeAlias = Annotated[Decimal, BeforeValidator(_decimal), AfterValidator(_not_zero)]
NotNegative: TypeAlias = Annotated[Decimal, BeforeValidator(_decimal), AfterValidator(_not_negative)]
Instant: TypeAlias = Annotated[datetime, AfterValidator(_utc)]
Since: TypeAlias = Annotated[datetime, BeforeValidator(_from), AfterValidator(_utc)]
"""Where a period begins: an instant, or a date (UTC)."""
Until: TypeAlias = Annotated[datetime, BeforeValidator(_to), AfterValidator(_utc)]
"""Where a period ends: an instant, or a date (UTC) that belongs to it."""
Asset: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{1,20}[A-Za-z0-9]$"), AfterValidator(_asset)]
"""An asset's code, taken in any case and kept in upper case."""
Text: TypeAlias = Annotated[str, Field(min_length=1, max_length=500)]
Id: TypeAlias = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]
"""An id of the caller's own making."""
Code: TypeAlias = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]*$")]
Metadata: TypeAlias = Annotated[dict[str, Any], Field(max_length=50), AfterValidator(_plain)]
Data: TypeAlias = Annotated[dict[str, Any], Field(max_length=100), AfterValidator(_plain)]
"""What an event says of itself."""
