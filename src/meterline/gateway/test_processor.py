"""The processor of test environments: no money, Stripe's test cards and what is known of their behaviour."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from meterline.gateway.processor import CardDetails, Collection, Registered
from meterline.payment.dispute import DisputeStatus
from meterline.payment.method import Card
from meterline.payment.payment import ActionNeeded, Outcome, Refused, Succeeded, Unknown

Behaviour = Literal[
    "pays",
    "declines",
    "declines_later",
    "always_authenticates",
    "authenticates_on_session",
    "stays_silent",
    "disputes",
    "refunds_late",
    "refunds_fail",
]

WINNING, LOSING = "winning_evidence", "losing_evidence"

_EXP_MONTH, _EXP_YEAR = 11, 2034


@dataclass(frozen=True, slots=True, kw_only=True)
class TestCard:
    """One of Stripe's test numbers."""

    __test__ = False

    number: str
    brand: str = "visa"
    country: str = "US"
    funding: Literal["credit", "debit", "prepaid"] = "credit"
    behaviour: Behaviour = "pays"
    refusal: Refused | None = None


def _declined(decline_code: str, message: str = "Your card was declined.") -> Refused:
    return Refused(code="card_declined", decline_code=decline_code, message=message)


_GENERIC = _declined("generic_decline")
_INSUFFICIENT = _declined("insufficient_funds", "Your card has insufficient funds.")
_LOST = _declined("lost_card")
_STOLEN = _declined("stolen_card")
_VELOCITY = _declined(
    "card_velocity_exceeded",
    "Your card was declined for making repeated attempts too frequently or exceeding its amount limit.",
)
_EXPIRED = Refused(code="expired_card", decline_code="expired_card", message="Your card has expired.")
_WRONG_CVC = Refused(
    code="incorrect_cvc", decline_code="incorrect_cvc", message="Your card's security code is incorrect."
)
_PROCESSING = Refused(
    code="processing_error",
    decline_code="processing_error",
    message="An error occurred while processing your card. Try again in a little bit.",
)
_WRONG_NUMBER = Refused(code="incorrect_number", message="Your card number is incorrect.")
_NO_EXPIRY = Refused(code="invalid_expiry_year", message="Your card's expiration year is invalid.")


def _refuses(number: str, refusal: Refused, behaviour: Behaviour = "declines") -> TestCard:
    return TestCard(number=number, behaviour=behaviour, refusal=refusal)


_CARDS: dict[str, TestCard] = {
    "visa": TestCard(number="4242424242424242"),
    "us": TestCard(number="4242424242424242"),
    "visa_debit": TestCard(number="4000056655665556", funding="debit"),
    "mastercard": TestCard(number="5555555555554444", brand="mastercard"),
    "mastercard_debit": TestCard(number="5200828282828210", brand="mastercard", funding="debit"),
    "mastercard_prepaid": TestCard(number="5105105105105100", brand="mastercard", funding="prepaid"),
    "amex": TestCard(number="378282246310005", brand="amex"),
    "discover": TestCard(number="6011111111111117", brand="discover"),
    "diners": TestCard(number="3056930009020004", brand="diners"),
    "jcb": TestCard(number="3566002020360505", brand="jcb"),
    "unionpay": TestCard(number="6200000000000005", brand="unionpay"),
    "gb": TestCard(number="4000008260000000", country="GB"),
    "de": TestCard(number="4000002760000016", country="DE"),
    "fr": TestCard(number="4000002500000003", country="FR"),
    "chargeDeclined": _refuses("4000000000000002", _GENERIC),
    "chargeDeclinedInsufficientFunds": _refuses("4000000000009995", _INSUFFICIENT),
    "chargeDeclinedLostCard": _refuses("4000000000009987", _LOST),
    "chargeDeclinedStolenCard": _refuses("4000000000009979", _STOLEN),
    "chargeDeclinedVelocityLimitExceeded": _refuses("4000000000006975", _VELOCITY),
    "chargeDeclinedExpiredCard": _refuses("4000000000000069", _EXPIRED),
    "chargeDeclinedIncorrectCvc": _refuses("4000000000000127", _WRONG_CVC),
    "chargeDeclinedProcessingError": _refuses("4000000000000119", _PROCESSING),
    "chargeCustomerFail": _refuses("4000000000000341", _GENERIC, "declines_later"),
    "authenticationRequiredOnSetup": TestCard(number="4000002500003155", behaviour="authenticates_on_session"),
    "authenticationRequired": TestCard(number="4000002760003184", behaviour="always_authenticates"),
    "authenticationRequiredSetupForOffSession": TestCard(number="4000003800000446"),
    "authenticationRequiredChargeDeclinedInsufficientFunds": _refuses(
        "4000008260003178", _INSUFFICIENT, "declines_later"
    ),
    "createDispute": TestCard(number="4000000000000259", behaviour="disputes"),
    "createDisputeProductNotReceived": TestCard(number="4000000000002685", behaviour="disputes"),
    "pendingRefund": TestCard(number="4000000000007726", behaviour="refunds_late"),
    "refundFail": TestCard(number="4000000000005126", behaviour="refunds_fail"),
    # Not one of Stripe's: the first answer is lost on its way, as it is when a processor times out.
    "answerLost": TestCard(number="4000000000009235", behaviour="stays_silent"),
}

_METHODS = {f"pm_card_{name}": name for name in _CARDS} | {
    f"pm_card_visa_{name}": name for name in _CARDS if name.startswith("chargeDeclined")
}
_TOKENS = {f"tok_{name}": name for name in _CARDS}
_NUMBERS = {card.number: name for name, card in reversed(_CARDS.items())}


class TestProcessor:
    """Cards are remembered in their reference alone, so every process and every replay answers alike."""

    __test__ = False

    name = "test"
    networked = False

    def register(self, details: CardDetails) -> Registered | Refused:
        """A test token or test number; any other number is refused."""
        if details.token is not None:
            named = _TOKENS.get(details.token)
            if named is None:
                return Refused(code="resource_missing", message=f"No such token: '{details.token}'")
            return _registered(named, _EXP_MONTH, _EXP_YEAR)
        name = _NUMBERS.get((details.number or "").replace(" ", "").replace("-", ""))
        if name is None:
            return _WRONG_NUMBER
        if details.exp_month is None or details.exp_year is None:
            return _NO_EXPIRY
        year = details.exp_year + 2000 if details.exp_year < 100 else details.exp_year
        return _registered(name, details.exp_month, year, cvc=details.cvc)

    def named(self, payment_method: str) -> Registered | None:
        """`pm_card_visa` and its kin."""
        name = _METHODS.get(payment_method)
        return None if name is None else _registered(name, _EXP_MONTH, _EXP_YEAR)

    def verify(self, reference: str) -> Refused | None:
        """Cards that decline refuse to be saved, except the one made to fail later."""
        card = _CARDS[reference]
        return card.refusal if card.behaviour == "declines" else None

    def collect(self, collection: Collection) -> Outcome:
        """The outcome that the card is known for; the same key gives the same reference."""
        card = _CARDS[collection.reference]
        if card.refusal is not None:
            return card.refusal
        on_session = card.behaviour == "authenticates_on_session" and not collection.off_session
        if not collection.authenticated and (on_session or card.behaviour == "always_authenticates"):
            return ActionNeeded()
        if card.behaviour == "stays_silent" and not collection.again:
            return Unknown()
        reference = _named_after(collection.key)
        return Succeeded(reference=_MARKS.get(card.behaviour, "") + reference)

    def capture(self, reference: str, *, amount: int, key: str) -> Refused | None:  # noqa: ARG002
        """Authorized money can always be taken."""
        return None

    def release(self, reference: str, *, key: str) -> Outcome:  # noqa: ARG002
        """Nothing is held anywhere."""
        return Refused(code="payment_intent_canceled", message="The payment was canceled.")

    def refund(
        self,
        reference: str,
        *,
        amount: int,  # noqa: ARG002
        currency: str,  # noqa: ARG002
        key: str,
        again: bool = False,
    ) -> Outcome:
        """Taken money can be given back, late for one card; for another the bank sends it back afterwards."""
        if reference.startswith(_MARKS["refunds_late"]) and not again:
            return Unknown()
        fails = reference.startswith(_MARKS["refunds_fail"])
        if fails and again:
            return Refused(code="unknown", message="The refund failed.")
        return Succeeded(reference=_named_after(key), final=not fails)

    def disputed(self, reference: str) -> str | None:
        """Cards that dispute do so at once."""
        if _CARDS[reference].behaviour != "disputes":
            return None
        return "product_not_received" if reference.endswith("NotReceived") else "fraudulent"

    def argue(self, reference: str, *, evidence: Mapping[str, str], submit: bool, key: str) -> DisputeStatus:  # noqa: ARG002
        """The text of the evidence decides how a dispute ends."""
        if not submit or not evidence:
            return "needs_response"
        said = set(evidence.values())
        return "won" if WINNING in said else "lost" if LOSING in said else "under_review"

    def accept(self, reference: str, *, key: str) -> DisputeStatus:  # noqa: ARG002
        """The money is gone."""
        return "lost"


_MARKS = {"refunds_late": "late_", "refunds_fail": "fail_"}
"""What references begin with whose money does not go back as usual: nothing else is remembered of the card."""


def _named_after(key: str) -> str:
    return "ch_" + hashlib.sha256(key.encode()).hexdigest()[:24]


def _registered(name: str, exp_month: int, exp_year: int, *, cvc: str | None = None) -> Registered:
    card = _CARDS[name]
    shown = Card(
        brand=card.brand,
        last4=card.number[-4:],
        exp_month=exp_month,
        exp_year=exp_year,
        funding=card.funding,
        country=card.country,
        fingerprint=hashlib.sha256(card.number.encode()).hexdigest()[:16],
        networks=(card.brand,),
        cvc_check="pass" if cvc is not None else "unchecked",
    )
    return Registered(reference=name, card=shown)
