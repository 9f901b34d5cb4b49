"""The card that somebody types into a page."""

import re
from collections.abc import Mapping

from meterline.gateway.processor import CardDetails
from meterline.refusal import Declined

_EXPIRY = re.compile(r"(\d{1,2})\s*/\s*(\d{2}|\d{4})")


def card_of(sent: Mapping[str, str]) -> CardDetails:
    """The card in a submitted form. Raises Declined where a field cannot be read."""
    expiry = _EXPIRY.fullmatch(sent.get("expiry", ""))
    if expiry is None:
        raise Declined("Enter the card's expiry as MM / YY.", code="invalid_expiry_month", param="expiry")
    if "number" not in sent:
        raise Declined("Enter the card's number.", code="incorrect_number", param="number")
    return CardDetails(
        number=sent["number"],
        exp_month=int(expiry[1]),
        exp_year=int(expiry[2]),
        cvc=sent.get("cvc"),
    )
