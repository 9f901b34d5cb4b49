"""How an intent says why its card was refused the last time."""

from meterline.api.stripe.error import DOCS
from meterline.api.stripe.json import Json
from meterline.api.stripe.payment_method import render
from meterline.payment.method import PaymentMethod
from meterline.payment.payment import Refused


def told_refusal(refused: Refused, method: PaymentMethod | None) -> Json:
    """The error, with the method as it was when it was refused."""
    by_holder = refused.code.endswith("_authentication_failure")
    error: Json = {
        "code": refused.code,
        "doc_url": DOCS + refused.code.replace("_", "-"),
        "message": refused.message,
        "type": "invalid_request_error" if by_holder else "card_error",
    }
    if refused.decline_code is not None:
        error["decline_code"] = refused.decline_code
    if method is not None:
        error["payment_method"] = render(method)
    return error
