"""What an invoice takes from its customer."""

from meterline.customer import Customer
from meterline.invoice.model import BillTo


def bill_to(customer: Customer) -> BillTo:
    """The customer as an invoice shows them."""
    return BillTo(
        name=customer.name,
        email=customer.email,
        phone=customer.phone,
        address=customer.address,
        shipping=customer.shipping,
        tax_exempt=customer.tax_exempt,
    )


def balance_for(customer: Customer, currency: str) -> int:
    """The balance that an invoice in that currency can use, in minor units: none of another currency."""
    return customer.balance if customer.currency in (None, currency) else 0
