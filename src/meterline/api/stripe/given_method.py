"""The method that a call on an intent names, or whose card it brings along."""

from typing import Any

from meterline.api.stripe.call import Call
from meterline.api.stripe.payment_intent_params import MethodData
from meterline.api.stripe.payment_method import make
from meterline.refusal import Refusal


async def given_method(call: Call[Any], id: str | None, data: MethodData | None) -> str | None:
    """The id of the method; None where the call gives none. Refuses two of them."""
    if data is None:
        return id
    if id is not None:
        raise Refusal(
            "You may only specify one of these parameters: payment_method, payment_method_data.",
            param="payment_method_data",
        )
    return (await make(call, data, within="payment_method_data")).id
