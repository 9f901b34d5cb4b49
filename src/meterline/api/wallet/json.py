"""How answers of this dialect are written: JSON whose decimals are numbers as people write them."""

from decimal import Decimal
from typing import Any

import msgspec

from meterline.money import decimal_text

_encode = msgspec.json.Encoder(decimal_format="number").encode


def encode(body: Any) -> bytes:
    """The body as JSON. A decimal keeps all its digits and loses what only says how it was stored: 0, not 0E-12."""
    return _encode(_written(body))


def _written(node: Any) -> Any:
    if isinstance(node, Decimal):
        return msgspec.Raw(decimal_text(node).encode())
    if isinstance(node, dict):
        return {name: _written(value) for name, value in node.items()}
    if isinstance(node, list | tuple):
        return [_written(value) for value in node]
    return node
