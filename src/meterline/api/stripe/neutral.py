"""Parameters of features that are not offered: their neutral form passes, anything else is refused by name."""

from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from meterline.api.stripe.params import Hash

_NEUTRAL = ("", "false")


def _is_neutral(value: Any) -> bool:
    return value is None or value is False or value in _NEUTRAL or value == [] or value == {}


def _off(value: Any) -> None:
    if not _is_neutral(value):
        raise PydanticCustomError(
            "not_offered", "This parameter belongs to a feature that this server does not offer; leave it out."
        )


def _unknown(kind: str) -> BeforeValidator:
    def check(value: Any) -> None:
        found = value
        while isinstance(found, dict | list) and found:
            found = next(iter(found.values())) if isinstance(found, dict) else found[0]
        if not _is_neutral(value):
            raise PydanticCustomError(
                "resource_missing", "No such {kind}: '{id}'", {"kind": kind, "id": str(found)[:100]}
            )

    return BeforeValidator(check)


Off = Annotated[None, BeforeValidator(_off)]
"""Belongs to a feature that is not offered."""
NoAccount = Annotated[None, _unknown("account")]
"""Names a connected account, of which there are none."""
NoSource = Annotated[None, _unknown("source")]
NoTaxId = Annotated[None, _unknown("tax id")]
"""Names an object of a kind that there is none of."""


class AutomaticTaxParams(Hash):
    """Automatic tax, switched off."""

    enabled: Off = None
    liability: Off = None
