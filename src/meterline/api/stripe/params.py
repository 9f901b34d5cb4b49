"""The types that parameters are made of, and how a bad one is told.

Everything arrives as text (form bodies) or JSON (v2). A type here says what text it accepts and refuses the
rest with Stripe's words; a resource's parameter model is a subclass of `Params` made of these types.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from meterline.money import CURRENCIES
from meterline.refusal import Refusal

T = TypeVar("T")

_INT64 = 1 << 63
_LAST_INSTANT = 253_402_300_799
_MAX_TEXT = 5_000
_MAX_DECIMAL_TEXT = 40
_MOST_METADATA = 50


def _int(value: Any) -> int:
    if isinstance(value, bool):
        raise _wrong("integer", value)
    if isinstance(value, str):
        digits = value.removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 19):
            raise _wrong("integer", value)
        value = int(value)
    if not isinstance(value, int) or not -_INT64 <= value < _INT64:
        raise _wrong("integer", value)
    return value


def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return bool(value == "true")
    raise _wrong("boolean", value)


def _decimal(value: Any) -> Decimal:
    text = str(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else value
    if not isinstance(text, str) or len(text) > _MAX_DECIMAL_TEXT:
        raise _wrong("decimal", value)
    whole, point, fraction = text.removeprefix("-").partition(".")
    plain = (whole or point) and (whole + fraction).isascii() and (whole + fraction).isdigit()
    if not plain or (point and not fraction):
        raise _wrong("decimal", value)
    if len(fraction) > 12:
        raise PydanticCustomError(
            "too_many_decimals",
            "Invalid decimal: {value}; must contain at maximum 12 decimal places.",
            {"value": text},
        )
    return Decimal(text)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _wrong("string", value)
    if value == "":
        raise PydanticCustomError("parameter_invalid_empty", "empty")
    if len(value) > _MAX_TEXT:
        raise PydanticCustomError(
            "text_too_long",
            "Invalid string: {start}...; must be at most {limit} characters",
            {"start": value[:20], "limit": _MAX_TEXT},
        )
    if "\0" in value:
        raise _wrong("string", value)
    return value


def _instant(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    seconds = _int(value)
    if not 0 <= seconds <= _LAST_INSTANT:
        raise PydanticCustomError("timestamp", "Invalid timestamp: {value}", {"value": seconds})
    return datetime.fromtimestamp(seconds, UTC)


def _currency(value: Any) -> str:
    code = _text(value).lower()
    if code not in CURRENCIES:
        raise PydanticCustomError("currency", "Invalid currency: {code}", {"code": code[:20]})
    return code


def _members(value: Any) -> Any:
    """A list, given with indexes (`a[0]`, `a[1]`), with empty brackets (`a[]`), as JSON, or emptied by ''."""
    if value == "":
        return []
    if isinstance(value, dict) and all(key.isascii() and key.isdigit() and len(key) <= 6 for key in value):
        return [value[key] for key in sorted(value, key=int)]
    if isinstance(value, list):
        return value
    raise PydanticCustomError("parameter_invalid_array", "Invalid array")


def _empty_is_none(value: Any) -> Any:
    return None if value == "" else value


def _metadata(value: Any) -> Any:
    if value == "":
        return None
    if not isinstance(value, dict):
        raise PydanticCustomError("parameter_invalid_hash", "Invalid object")
    for key, text in value.items():
        _metadata_pair(key, text)
    return value


def _metadata_pair(key: str, text: Any) -> None:
    if not key or len(key) > 40 or "[" in key or "]" in key:
        raise PydanticCustomError(
            "metadata_key",
            "Metadata keys must be between 1 and 40 characters long, without square brackets: {key}",
            {"key": key[:60]},
        )
    if not isinstance(text, str):
        raise PydanticCustomError("metadata_value", "Metadata values must be strings: {key}", {"key": key})
    if len(text) > 500:
        raise PydanticCustomError(
            "metadata_value",
            "Metadata values can have up to 500 characters. You passed in a value for key '{key}' that is"
            " {length} characters long.",
            {"key": key, "length": len(text)},
        )


def _wrong(kind: str, value: Any) -> PydanticCustomError:
    shown = str(value) if isinstance(value, str | int) else type(value).__name__
    code = "parameter_invalid_integer" if kind == "integer" else f"invalid_{kind}"
    return PydanticCustomError(code, "Invalid {kind}: {value}", {"kind": kind, "value": shown[:100]})


Int = Annotated[int, BeforeValidator(_int)]
"""A whole number, 64 bits."""
Natural = Annotated[int, BeforeValidator(_int), Field(ge=0)]
"""A whole number, not negative."""
Bool = Annotated[bool, BeforeValidator(_bool)]
DecimalText = Annotated[Decimal, BeforeValidator(_decimal)]
"""A decimal of at most 12 places, exact."""
Text = Annotated[str, BeforeValidator(_text)]
"""Non-empty text of at most 5,000 characters."""
Currency = Annotated[str, BeforeValidator(_currency)]
"""A known currency code, in lower case whatever case it came in."""
Instant = Annotated[datetime, BeforeValidator(_instant)]
"""Unix seconds, read as an aware UTC datetime."""
List = Annotated[list[T], BeforeValidator(_members)]
"""A list in any of the spellings of form bodies."""
Unset = Annotated[T | None, BeforeValidator(_empty_is_none)]
"""A parameter that an empty string unsets."""
Metadata = Annotated[dict[str, str] | None, BeforeValidator(_metadata)]
"""Keys to merge; an empty value deletes its key, an empty string instead of the hash deletes all (None)."""


class Params(BaseModel):
    """Parameters of one call. A name that is not declared is refused, as Stripe does.

    `model_fields_set` tells a parameter that was sent empty (which unsets) from one that was not sent.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    expand: List[Text] = []

    def sent(self, name: str) -> bool:
        """Whether the caller sent this parameter at all."""
        return name in self.model_fields_set


class Hash(BaseModel):
    """A nested hash of parameters; undeclared members are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    def sent(self, name: str) -> bool:
        """Whether the caller sent this member at all."""
        return name in self.model_fields_set


class InstantRange(Hash):
    """`created[gte]=…` and friends."""

    gt: Instant | None = None
    gte: Instant | None = None
    lt: Instant | None = None
    lte: Instant | None = None


def _instant_range(value: Any) -> Any:
    if isinstance(value, dict | InstantRange):
        return value
    instant = _instant(value)
    return InstantRange(gte=instant, lte=instant)


InstantFilter = Annotated[InstantRange, BeforeValidator(_instant_range)]
"""An exact instant or a range of them."""


def clamped_limit(value: Any) -> int:
    """How many objects a page has: a limit outside 1–100 is clamped, not refused."""
    return min(max(_int(value), 1), 100)


class ListParams(Params):
    """What every list accepts."""

    limit: Annotated[int, BeforeValidator(clamped_limit)] = 10
    starting_after: Text | None = None
    ending_before: Text | None = None


class RetrieveParams(Params):
    """What every retrieve accepts: `expand`."""


def merge_metadata(current: Mapping[str, str], change: Mapping[str, str] | None) -> dict[str, str]:
    """Stripe's rule: keys merge, an empty value deletes its key, None deletes all. Refuses more than fifty keys."""
    if change is None:
        return {}
    merged = {key: text for key, text in {**current, **change}.items() if text != ""}
    if len(merged) > _MOST_METADATA:
        raise Refusal(f"Metadata can have up to {_MOST_METADATA} keys.", param="metadata")
    return merged
