"""From what pydantic found wrong to the one error that Stripe would answer."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from meterline.api.stripe.error import StripeError
from meterline.api.stripe.params import Params

P = TypeVar("P", bound=Params)

_CODES = {
    "email_invalid",
    "resource_missing",
    "parameter_invalid_integer",
    "parameter_invalid_empty",
}


def validate(model: type[P], raw: Mapping[str, Any]) -> P:
    """The typed parameters, or the StripeError for the first thing wrong with them.

    Unknown names come first, then what is missing, then bad values: a caller with an old SDK learns at once
    that a parameter does not exist.
    """
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        details = sorted(error.errors(include_url=False), key=_precedence)
        raise _stripe_error(details) from None


def _precedence(detail: ErrorDetails) -> int:
    return {"extra_forbidden": 0, "missing": 1}.get(detail["type"], 2)


def _stripe_error(details: list[ErrorDetails]) -> StripeError:
    first = details[0]
    param = bracketed(first["loc"])
    match first["type"]:
        case "extra_forbidden":
            return _unknown([bracketed(d["loc"]) for d in details if d["type"] == "extra_forbidden"])
        case "missing":
            return StripeError.invalid(f"Missing required param: {param}.", code="parameter_missing", param=param)
        case "parameter_invalid_empty":
            message = (
                f"You passed an empty string for '{param}'. We assume empty values are an attempt to unset a"
                f" field; however '{param}' cannot be unset. You should remove '{param}' from your request or"
                " supply a non-empty value."
            )
            return StripeError.invalid(message, code="parameter_invalid_empty", param=param)
        case "literal_error":
            allowed = first.get("ctx", {})["expected"].replace("'", "")
            return StripeError.invalid(f"Invalid {param}: must be one of {_listed(allowed)}", param=param)
        case "greater_than_equal" | "greater_than" | "less_than_equal" | "less_than":
            message = f"This value must be {_bound(first)}."
            return StripeError.invalid(message, code="parameter_invalid_integer", param=param)
        case "string_too_long":
            return _long_text(first, param)
        case "too_long" if isinstance(first["input"], str):
            return _long_text(first, param)
        case "too_long" | "too_short":
            return StripeError.invalid(f"Invalid array: {_length(first)}", param=param)
        case "model_type" | "model_attributes_type" | "dict_type" | "parameter_invalid_hash":
            return StripeError.invalid("Invalid object", param=param)
    code = first["type"] if first["type"] in _CODES else None
    return StripeError.invalid(first["msg"], code=code, param=param)


def _long_text(detail: ErrorDetails, param: str) -> StripeError:
    start, limit = str(detail["input"])[:20], detail.get("ctx", {})["max_length"]
    return StripeError.invalid(f"Invalid string: {start}...; must be at most {limit} characters", param=param)


def _unknown(names: list[str]) -> StripeError:
    if len(names) == 1:
        message = f"Received unknown parameter: {names[0]}"
    else:
        message = f"Received unknown parameters: {', '.join(names)}"
    return StripeError.invalid(message, code="parameter_unknown", param=names[0])


def _bound(detail: ErrorDetails) -> str:
    context = detail.get("ctx", {})
    words = {
        "greater_than_equal": ("ge", "greater than or equal to"),
        "greater_than": ("gt", "greater than"),
        "less_than_equal": ("le", "less than or equal to"),
        "less_than": ("lt", "less than"),
    }
    key, phrase = words[detail["type"]]
    return f"{phrase} {context[key]}"


def _length(detail: ErrorDetails) -> str:
    context = detail.get("ctx", {})
    if detail["type"] == "too_long":
        return f"must contain at most {context['max_length']} elements"
    return f"must contain at least {context['min_length']} elements"


def _listed(expected: str) -> str:
    """pydantic's "a, b or c" with Stripe's comma before the last word."""
    head, joined, last = expected.rpartition(" or ")
    if not joined:
        return expected
    return f"{head}, or {last}" if ", " in head else f"{head} or {last}"


def bracketed(location: tuple[int | str, ...]) -> str:
    """`("items", 0, "price")` → `items[0][price]`; names of union branches are left out."""
    if not location:
        return ""
    parts = [str(part) for part in location if not _is_branch(part)]
    return parts[0] + "".join(f"[{part}]" for part in parts[1:])


def _is_branch(part: int | str) -> bool:
    return isinstance(part, str) and (
        part.startswith(("function-", "literal[", "list[", "dict[", "constrained-", "nullable["))
        or part in {"str", "int", "decimal", "datetime"}
        or part[:1].isupper()
    )
