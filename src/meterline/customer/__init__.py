"""Who pays: identity, addresses, currency, time zone and billing terms. See README.md."""

from meterline.customer.model import Address, Customer, CustomField, InvoiceRendering, InvoiceSettings, Shipping
from meterline.customer.prefix import PREFIX_LENGTH, check_prefix, prefix_from

__all__ = [
    "PREFIX_LENGTH",
    "Address",
    "CustomField",
    "Customer",
    "InvoiceRendering",
    "InvoiceSettings",
    "Shipping",
    "check_prefix",
    "prefix_from",
]
