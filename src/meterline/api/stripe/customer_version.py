"""Customers as older API versions know them."""

from meterline.api.stripe.json import Json
from meterline.api.stripe.version import before


@before("2025-09-30", "customer")
def without_two_names(customer: Json) -> None:
    """Businesses and individuals got names of their own with clover."""
    customer.pop("business_name", None)
    customer.pop("individual_name", None)


@before("2025-10-29", "customer")
def without_tax_provider(customer: Json) -> None:
    """Who calculates tax was told from October 2025 on."""
    tax = customer.get("tax")
    if isinstance(tax, dict):
        tax.pop("provider", None)
