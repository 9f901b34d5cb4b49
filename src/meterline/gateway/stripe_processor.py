"""Real Stripe as the processor, through the official SDK: cards saved there are charged off-session.

A card is known here by the id of its payment method at Stripe; numbers never pass through. Every request that
moves money carries our attempt's id as its idempotency key and in its metadata, so that whatever Stripe tells
later, by webhook or when polled, is told of that attempt. The SDK's calls block: they are made in threads,
never inside a transaction.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import stripe

from meterline.gateway.processor import CardDetails, Collection, Registered
from meterline.payment.method import Card
from meterline.payment.payment import ActionNeeded, Outcome, Refused, Succeeded, Unknown

ATTEMPT = "meterline_attempt"
"""The metadata key at Stripe that names our attempt."""

_SILENCE = (stripe.APIConnectionError, stripe.RateLimitError, stripe.APIError)
"""Whether the request had an effect cannot be known from these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What Stripe tells of one of our attempts, by webhook or when asked."""

    attempt: str
    outcome: Outcome


class ForgedNotification(Exception):
    """A webhook whose signature is wrong or too old; it is not believed."""


class StripeProcessor:
    """An account at Stripe."""

    name = "stripe"
    networked = True

    def __init__(self, client: stripe.StripeClient, *, webhook_secret: str | None = None) -> None:
        self._client = client
        self._webhook_secret = webhook_secret

    def register(self, details: CardDetails) -> Registered | Refused:
        """A card by a token that Stripe's own form made of it; numbers are refused."""
        if details.token is None:
            return Refused(
                code="card_number_not_accepted",
                message="Card numbers are not taken here. Collect the card with Stripe's form and pass its token.",
            )
        try:
            method = self._client.v1.payment_methods.create({"type": "card", "card": {"token": details.token}})
        except stripe.CardError as error:
            return _refused(error)
        return _registered(method)

    def named(self, payment_method: str) -> Registered | None:
        """A payment method that is saved at Stripe."""
        try:
            return _registered(self._client.v1.payment_methods.retrieve(payment_method))
        except stripe.InvalidRequestError as error:
            if error.code == "resource_missing":
                return None
            raise

    def verify(self, reference: str) -> Refused | None:
        """Stripe has verified what it saved."""
        found = self.named(reference)
        return None if found else Refused(code="resource_missing", message=f"No such PaymentMethod: '{reference}'")

    def collect(self, collection: Collection) -> Outcome:
        """Create and confirm a PaymentIntent; asked again, the same key finds the first answer."""
        try:
            method = self._client.v1.payment_methods.retrieve(collection.reference)
            asked: dict[str, Any] = {
                "amount": collection.amount,
                "currency": collection.currency,
                "payment_method": collection.reference,
                "payment_method_types": ["card"],
                "confirm": True,
                "off_session": collection.off_session,
                "capture_method": "automatic" if collection.capture else "manual",
                "metadata": {ATTEMPT: collection.key},
            }
            if method.customer is not None:
                asked["customer"] = str(method.customer)
            intent = self._client.v1.payment_intents.create(
                asked,  # type: ignore[arg-type]
                {"idempotency_key": collection.key},
            )
        except stripe.CardError as error:
            return _refused(error)
        except _SILENCE:
            return Unknown()
        return _outcome(intent)

    def capture(self, reference: str, *, amount: int, key: str) -> Refused | None:
        """Capture an authorized PaymentIntent. Silence is raised, for the caller to try again under the same key."""
        try:
            self._client.v1.payment_intents.capture(reference, {"amount_to_capture": amount}, {"idempotency_key": key})
        except stripe.InvalidRequestError as error:
            return _refused(error)
        return None

    def release(self, reference: str, *, key: str) -> None:
        """Cancel an authorized PaymentIntent."""
        self._client.v1.payment_intents.cancel(reference, options={"idempotency_key": key})

    def refund(
        self,
        reference: str,
        *,
        amount: int,
        currency: str,  # noqa: ARG002
        key: str,
        again: bool = False,  # noqa: ARG002
    ) -> Outcome:
        """Refund a PaymentIntent, in its own currency."""
        try:
            refund = self._client.v1.refunds.create(
                {"payment_intent": reference, "amount": amount}, {"idempotency_key": key}
            )
        except stripe.InvalidRequestError as error:
            return _refused(error)
        except _SILENCE:
            return Unknown()
        if refund.status in ("failed", "canceled"):
            return Refused(code=refund.failure_reason or "refund_failed", message="The refund failed.")
        return Succeeded(reference=refund.id) if refund.status == "succeeded" else Unknown()

    def disputed(self, reference: str) -> str | None:  # noqa: ARG002
        """Real banks dispute later, which arrives as a webhook."""
        return None

    def heard(self, body: bytes, signature: str) -> Answer | None:
        """The answer in a webhook; None where it tells of nothing that we asked. Raises ForgedNotification."""
        if self._webhook_secret is None:
            raise ForgedNotification("no webhook secret is configured")
        try:
            event = stripe.Webhook.construct_event(body, signature, self._webhook_secret)
        except (stripe.SignatureVerificationError, ValueError) as error:
            raise ForgedNotification(str(error)) from error
        return _answer(event.data.object)

    def answers_since(self, instant: datetime) -> Iterator[Answer]:
        """What became of everything that was asked since then: money whose news were lost is found here."""
        since = self._client.v1.payment_intents.list({"created": {"gte": int(instant.timestamp())}, "limit": 100})
        for intent in since.auto_paging_iter():
            answer = _answer(intent)
            if answer is not None:
                yield answer


def _answer(intent: object) -> Answer | None:
    if not isinstance(intent, stripe.PaymentIntent):
        return None
    attempt = intent.metadata.to_dict().get(ATTEMPT)
    return None if attempt is None else Answer(attempt=str(attempt), outcome=_outcome(intent))


def _outcome(intent: stripe.PaymentIntent) -> Outcome:
    match intent.status:
        case "succeeded" | "requires_capture":
            return Succeeded(reference=intent.id)
        case "requires_action":
            return ActionNeeded()
        case "requires_payment_method" if intent.last_payment_error is not None:
            error = intent.last_payment_error
            return Refused(
                code=error.code or "card_declined",
                message=error.message or "The payment failed.",
                decline_code=error.to_dict().get("decline_code"),
            )
        case "canceled":
            return Refused(code="payment_intent_canceled", message="The payment was canceled at Stripe.")
        case _:
            return Unknown()


def _refused(error: stripe.StripeError) -> Refused:
    told = error.error
    return Refused(
        code=error.code or "card_declined",
        message=error.user_message or "The payment failed.",
        decline_code=None if told is None else told.decline_code,
    )


_FUNDING: dict[str, Literal["credit", "debit", "prepaid", "unknown"]] = {
    "credit": "credit",
    "debit": "debit",
    "prepaid": "prepaid",
}


def _registered(method: stripe.PaymentMethod) -> Registered:
    card = method.card
    assert card is not None, "cards are what is kept at Stripe"
    shown = Card(
        brand=card.brand,
        last4=card.last4 or "",
        exp_month=card.exp_month,
        exp_year=card.exp_year,
        funding=_FUNDING.get(card.funding, "unknown"),
        country=card.country,
        fingerprint=card.fingerprint,
        networks=tuple(card.networks.available) if card.networks else (),
    )
    return Registered(reference=method.id, card=shown)
