"""What the customer calls accept, and the parts of a customer they describe."""

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from meterline.api.stripe.neutral import NoSource, Off
from meterline.api.stripe.params import (
    Bool,
    Hash,
    InstantFilter,
    Int,
    List,
    ListParams,
    Metadata,
    Natural,
    Params,
    Text,
    Unset,
)
from meterline.customer import Address, CustomField, InvoiceRendering, InvoiceSettings, Shipping

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_MOST_BALANCE = 999_999_999_999


def _email(value: Any) -> str:
    if not isinstance(value, str) or len(value) > 512 or not _EMAIL.fullmatch(value):
        shown = value[:100] if isinstance(value, str) else ""
        raise PydanticCustomError("email_invalid", "Invalid email address: {email}", {"email": shown})
    return value


Email = Annotated[str, BeforeValidator(_email)]
Name = Annotated[Text, Field(max_length=256)]
Phone = Annotated[Text, Field(max_length=20)]
Balance = Annotated[Int, Field(ge=-_MOST_BALANCE, le=_MOST_BALANCE)]
Prefix = Annotated[Text, Field(max_length=12)]
Sequence = Annotated[Natural, Field(ge=1, le=999_999_999)]
TaxExempt = Literal["exempt", "none", "reverse"]
Locales = Annotated[List[Annotated[Text, Field(max_length=35)]], Field(max_length=20)]


class AddressParams(Hash):
    city: Unset[Text] = None
    country: Unset[Text] = None
    line1: Unset[Text] = None
    line2: Unset[Text] = None
    postal_code: Unset[Text] = None
    state: Unset[Text] = None

    def address(self) -> Address:
        return Address(**self.model_dump())


class ShippingParams(Hash):
    address: AddressParams
    name: Name
    phone: Unset[Phone] = None

    def shipping(self) -> Shipping:
        return Shipping(address=self.address.address(), name=self.name, phone=self.phone)


class CustomFieldParams(Hash):
    name: Annotated[Text, Field(max_length=40)]
    value: Annotated[Text, Field(max_length=140)]


class RenderingParams(Hash):
    amount_tax_display: Unset[Literal["exclude_tax", "include_inclusive_tax"]] = None
    template: Unset[Text] = None


class InvoiceSettingsParams(Hash):
    custom_fields: Unset[Annotated[List[CustomFieldParams], Field(max_length=4)]] = None
    default_payment_method: Unset[Text] = None
    footer: Unset[Text] = None
    rendering_options: Unset[RenderingParams] = None

    def applied(self, before: InvoiceSettings) -> InvoiceSettings:
        """The settings with what was sent; what was not sent stays."""
        rendering = before.rendering_options
        if self.sent("rendering_options"):
            asked = self.rendering_options
            rendering = None if asked is None else InvoiceRendering(**asked.model_dump())
        fields = before.custom_fields
        if self.sent("custom_fields"):
            lines = tuple(CustomField(name=line.name, value=line.value) for line in self.custom_fields or ())
            fields = lines or None
        method = before.default_payment_method
        return InvoiceSettings(
            custom_fields=fields,
            default_payment_method=self.default_payment_method if self.sent("default_payment_method") else method,
            footer=self.footer if self.sent("footer") else before.footer,
            rendering_options=rendering,
        )


class TaxParams(Hash):
    ip_address: Unset[Text] = None
    validate_location: Literal["deferred", "immediately"] = "deferred"


class TaxIdDatum(Hash):
    type: Annotated[Text, Field(max_length=30)]
    value: Annotated[Text, Field(max_length=100)]


class CustomerFields(Params):
    """What create and update have in common. An empty text unsets."""

    address: Unset[AddressParams] = None
    balance: Balance | None = None
    business_name: Unset[Annotated[Text, Field(max_length=150)]] = None
    cash_balance: Off = None
    description: Unset[Text] = None
    email: Unset[Email] = None
    individual_name: Unset[Annotated[Text, Field(max_length=150)]] = None
    invoice_prefix: Prefix | None = None
    invoice_settings: InvoiceSettingsParams = InvoiceSettingsParams()
    metadata: Metadata = {}
    name: Unset[Name] = None
    next_invoice_sequence: Sequence | None = None
    phone: Unset[Phone] = None
    preferred_locales: Locales = []
    shipping: Unset[ShippingParams] = None
    source: NoSource = None
    tax: TaxParams | None = None
    tax_exempt: Unset[TaxExempt] = None
    validate_: Annotated[Bool, Field(alias="validate")] = True


class CustomerCreate(CustomerFields):
    payment_method: Text | None = None
    tax_id_data: Annotated[List[TaxIdDatum], Field(max_length=5)] = []
    test_clock: Text | None = None


class CustomerUpdate(CustomerFields):
    default_source: NoSource = None


class CustomerList(ListParams):
    created: InstantFilter | None = None
    email: Annotated[Text, Field(max_length=512)] | None = None
    test_clock: Text | None = None
