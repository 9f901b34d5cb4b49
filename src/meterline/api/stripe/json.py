"""JSON out: Decimals that are numbers on the wire stay exact, datetimes are made unix seconds by hand."""

from datetime import datetime
from typing import Any, TypeAlias

import msgspec

Json: TypeAlias = dict[str, Any]

_encoder = msgspec.json.Encoder(decimal_format="number")


def encode(body: Json) -> bytes:
    """The bytes of a response body."""
    return _encoder.encode(body)


def unix(instant: datetime) -> int:
    """Whole seconds since 1970, the wire's form of an instant."""
    return int(instant.timestamp())


def unix_or_none(instant: datetime | None) -> int | None:
    """As `unix`, null where there is no instant."""
    return None if instant is None else unix(instant)
