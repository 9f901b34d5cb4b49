"""How a charge, or a refund of it, says which card it was about."""

from meterline.api.stripe.json import Json
from meterline.payment.method import checked
from meterline.payment.payment import Attempt

_TRIED = {"incorrect_cvc": "fail"}


def payment_method_details(charge: Attempt) -> Json | None:
    """`payment_method_details`: the card as it was when the charge was made; null of charges that never kept it."""
    if charge.presented is None:
        return None
    card = charge.presented.card
    checks = checked(charge.presented)
    if charge.code in _TRIED:
        checks["cvc_check"] = _TRIED[charge.code]
    return {
        "card": {
            "amount_authorized": charge.amount if charge.outcome == "succeeded" else None,
            "authorization_code": None,
            "brand": card.brand,
            "checks": checks,
            "country": card.country,
            "exp_month": card.exp_month,
            "exp_year": card.exp_year,
            "extended_authorization": {"status": "disabled"},
            "fingerprint": card.fingerprint,
            "funding": card.funding,
            "incremental_authorization": {"status": "unavailable"},
            "installments": None,
            "last4": card.last4,
            "mandate": None,
            "multicapture": {"status": "unavailable"},
            "network": card.preferred_network or (card.networks[0] if card.networks else card.brand),
            "network_token": {"used": False},
            "network_transaction_id": None,
            "overcapture": {"maximum_amount_capturable": charge.amount, "status": "unavailable"},
            "regulated_status": "unregulated",
            "three_d_secure": _three_d_secure(charge),
            "wallet": None,
        },
        "type": charge.presented.type,
    }


def _three_d_secure(charge: Attempt) -> Json | None:
    """What the card's holder did; null where nobody asked them."""
    if not charge.authenticated:
        return None
    return {
        "authentication_flow": "challenge",
        "electronic_commerce_indicator": "05",
        "exemption_indicator": None,
        "result": "authenticated",
        "result_reason": None,
        "transaction_id": None,
        "version": "2.2.0",
    }
