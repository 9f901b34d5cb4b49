"""Where something is sent, as payments and charges say it."""

from meterline.api.stripe.json import Json
from meterline.customer import Shipping

_ADDRESS = ("city", "country", "line1", "line2", "postal_code", "state")


def shown_shipping(shipping: Shipping | None) -> Json | None:
    """`shipping`; null where nothing is sent."""
    if shipping is None:
        return None
    return {
        "address": {name: getattr(shipping.address, name) for name in _ADDRESS},
        "carrier": None,
        "name": shipping.name,
        "phone": shipping.phone,
        "tracking_number": None,
    }
