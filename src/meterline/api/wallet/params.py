"""What requests of the wallet dialect are made of."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from meterline.money import MAX_DECIMALS, decimal_text, parse_decimal
from meterline.refusal import Refusal

_LARGEST = Decimal(10) ** 15
_MOST_EXPONENT = 30


class Params(BaseModel):
    """The body, or the query of a GET; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Nothing(Params):
    """No parameters."""


class ListQuery(Params):
    """A page by offset."""

    offset: Annotated[int, Field(ge=0, le=10_000_000)] = 0
    limit: Annotated[int, Field(ge=1, le=100)] = 20


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


def _asset(value: str) -> str:
    return value.upper()


Number: TypeAlias = Annotated[Decimal, BeforeValidator(_decimal)]
"""An exact decimal, told as a JSON number or as text; at most twelve decimals."""
Positive: TypeAlias = Annotated[Decimal, BeforeValidator(_decimal), AfterValidator(_positive)]
NotZero: TypeAlias = Annotated[Decimal, BeforeValidator(_decimal), AfterValidator(_not_zero)]
NotNegative: TypeAlias = Annotated[Decimal, BeforeValidator(_decimal), AfterValidator(_not_negative)]
Instant: TypeAlias = Annotated[datetime, AfterValidator(_utc)]
Asset: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{1,20}[A-Za-z0-9]$"), AfterValidator(_asset)]
"""An asset's code, taken in any case and kept in upper case."""
Text: TypeAlias = Annotated[str, Field(min_length=1, max_length=500)]
Id: TypeAlias = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]
"""An id of the caller's own making."""
Code: TypeAlias = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]*$")]
Metadata: TypeAlias = Annotated[dict[str, Any], Field(max_length=50)]
