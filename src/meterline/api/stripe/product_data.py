"""A product made along with a price: `product_data`."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from meterline.api.stripe.params import Bool, Hash, Metadata, Text, Unset, merge_metadata
from meterline.catalog import Product
from meterline.store.identifier import public


def _tax_code(value: Any) -> str:
    text = str(value)
    digits = text.removeprefix("txcd_")
    if len(text) == 13 and len(digits) == 8 and digits.isascii() and digits.isdigit():
        return text
    raise PydanticCustomError("resource_missing", "No such tax code: '{id}'", {"id": text[:100]})


TaxCode = Annotated[str, BeforeValidator(_tax_code)]
"""An id from Stripe's published list of tax codes; what a code means is not looked up."""
ProductId = Annotated[Text, Field(max_length=255)]
StatementDescriptor = Annotated[Text, Field(max_length=22)]
UnitLabel = Annotated[Text, Field(max_length=12)]


class TaxDetails(Hash):
    performance_location: Text | None = None
    tax_code: Unset[TaxCode] = None


class ProductData(Hash):
    name: Text
    active: Bool = True
    id: ProductId | None = None
    metadata: Metadata = {}
    statement_descriptor: StatementDescriptor | None = None
    tax_code: TaxCode | None = None
    tax_details: TaxDetails | None = None
    unit_label: UnitLabel | None = None


def product_of(asked: ProductData, *, environment: str, now: datetime) -> Product:
    """The product that `product_data` describes."""
    details = asked.tax_details
    return Product(
        environment=environment,
        id=asked.id or public("prod"),
        name=asked.name,
        active=asked.active,
        statement_descriptor=asked.statement_descriptor,
        unit_label=asked.unit_label,
        tax_code=asked.tax_code or (details.tax_code if details is not None else None),
        metadata=merge_metadata({}, asked.metadata),
        extra={} if details is None else {"tax_details": details.model_dump()},
        created=now,
        updated=now,
    )
