"""Products: the thing sold, apart from what it costs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A good or service. Nothing here moves money; `default_price` is the id of one of its prices.

    `extra` holds what is only echoed to API clients (package dimensions, tax details …). `created` and
    `updated` are UTC.
    """

    environment: str
    id: str
    name: str
    active: bool = True
    description: str | None = None
    default_price: str | None = None
    statement_descriptor: str | None = None
    unit_label: str | None = None
    tax_code: str | None = None
    type: Literal["good", "service"] = "service"
    shippable: bool | None = None
    url: str | None = None
    images: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, object] = field(default_factory=dict)
    created: datetime
    updated: datetime
