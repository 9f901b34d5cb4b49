"""Real Stripe as the processor, through the official SDK: cards saved there are charged off-session.

A card is known here by the id of its payment method at Stripe; numbers never pass through. Every request that
moves money carries our attempt's id as its idempotency key and in its metadata, so that whatever Stripe tells
later, by webhook or when polled, is told of that attempt. The SDK's calls block: they are made in threads,
never inside a transaction.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, Literal

import stripe

from meterline.gateway.processor import CardDetails, Collection, Registered
from meterline.gateway.stripe_news import (
    ATTEMPT,
    REFUND,
    About,
    News,
    news_in,
    outcome_of,
    outcome_of_refund,
    status_of,
)
from meterline.gateway.stripe_statement import StripeStatement
from meterline.payment.dispute import DisputeStatus
from meterline.payment.method import Card
from meterline.payment.payment import Outcome, Refused, Unknown

_VERSION = "2026-08-26.dahlia"
"""What payments are asked for in: endive renamed `payment_method_types`, which stand-ins of Stripe do not know yet."""

_SLACK = timedelta(hours=1)
"""How far apart our clock and Stripe's may be."""

_REMEMBERED = timedelta(hours=12)
"""How long keys are relied upon: Stripe forgets them after a day."""

_SILENCE = (stripe.APIConnectionError, stripe.RateLimitError, stripe.APIError)
"""Whether the request had an effect cannot be known from these."""


class ForgedNotification(Exception):
    """A webhook whose signature is wrong or too old; it is not believed."""


class StripeProcessor:
    """An account at Stripe."""

    name = "stripe"
    networked = True

    def __init__(self, client: stripe.StripeClient, *, webhook_secret: str | None = None) -> None:
        self._client = client
        self.statement = StripeStatement(client)
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
            if error.http_status == HTTPStatus.NOT_FOUND or error.code == "resource_missing":
                return None
            raise

    def verify(self, reference: str) -> Refused | None:
        """Stripe has verified what it saved."""
        found = self.named(reference)
        return None if found else Refused(code="resource_missing", message=f"No such PaymentMethod: '{reference}'")

    def collect(self, collection: Collection) -> Outcome:
        """Create and confirm a PaymentIntent. Asked again, the same key finds the first answer."""
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
            if collection.return_url is not None:
                asked["return_url"] = collection.return_url
            if method.customer is not None:
                asked["customer"] = str(method.customer)
            intent = self._earlier(collection, asked.get("customer")) if _forgotten(collection) else None
            if intent is None:
                intent = self._client.v1.payment_intents.create(
                    asked,  # type: ignore[arg-type]
                    {"idempotency_key": collection.key, "stripe_version": _VERSION},
                )
        except stripe.CardError as error:
            return _refused(error)
        except _SILENCE:
            return Unknown()
        return outcome_of(intent)

    def _earlier(self, collection: Collection, customer: str | None) -> stripe.PaymentIntent | None:
        """What was made of the same question long before; looked for as far back as it was first asked."""
        assert collection.asked_at is not None
        of: Any = {"limit": 100, "created": {"gte": int((collection.asked_at - _SLACK).timestamp())}}
        if customer is not None:
            of["customer"] = customer
        found = self._client.v1.payment_intents.list(of).auto_paging_iter()
        return next((each for each in found if each.metadata.to_dict().get(ATTEMPT) == collection.key), None)

    def capture(self, reference: str, *, amount: int, key: str) -> Refused | None:
        """Capture an authorized PaymentIntent. Silence is raised, for the caller to try again under the same key."""
        try:
            self._client.v1.payment_intents.capture(reference, {"amount_to_capture": amount}, {"idempotency_key": key})
        except stripe.InvalidRequestError as error:
            return _refused(error)
        return None

    def release(self, reference: str, *, key: str) -> Outcome:
        """Cancel a PaymentIntent that has not taken money; Succeeded where it was too late for that."""
        try:
            return outcome_of(self._client.v1.payment_intents.cancel(reference, options={"idempotency_key": key}))
        except stripe.InvalidRequestError:
            return outcome_of(self._client.v1.payment_intents.retrieve(reference))

    def refund(
        self,
        reference: str,
        *,
        amount: int,
        currency: str,  # noqa: ARG002
        key: str,
        again: bool = False,
    ) -> Outcome:
        """Refund a PaymentIntent, in its own currency. Asked again, it is looked up as it stands now."""
        try:
            made = self._refund_of(reference, key) if again else None
            if made is None:
                made = self._client.v1.refunds.create(
                    {"payment_intent": reference, "amount": amount, "metadata": {REFUND: key}},
                    {"idempotency_key": key},
                )
        except stripe.InvalidRequestError as error:
            return _refused(error)
        except _SILENCE:
            return Unknown()
        return outcome_of_refund(made)

    def _refund_of(self, reference: str, key: str) -> stripe.Refund | None:
        made = self._client.v1.refunds.list({"payment_intent": reference, "limit": 100})
        return next((each for each in made.auto_paging_iter() if _named(each) == key), None)

    def disputed(self, reference: str) -> str | None:  # noqa: ARG002
        """Real banks dispute later, which arrives as a webhook."""
        return None

    def argue(self, reference: str, *, evidence: Mapping[str, str], submit: bool, key: str) -> DisputeStatus:
        """Give evidence about a dispute. Silence is raised, for the caller to try again under the same key."""
        asked: Any = {"evidence": dict(evidence), "submit": submit}
        return status_of(self._client.v1.disputes.update(reference, asked, {"idempotency_key": key}))

    def accept(self, reference: str, *, key: str) -> DisputeStatus:
        """Accept that a dispute is lost."""
        return status_of(self._client.v1.disputes.close(reference, options={"idempotency_key": key}))

    def heard(self, body: bytes, signature: str) -> list[News]:
        """The news in a webhook; none where it tells of nothing that we asked. Raises ForgedNotification."""
        if self._webhook_secret is None:
            raise ForgedNotification("no webhook secret is configured")
        try:
            event = stripe.Webhook.construct_event(body, signature, self._webhook_secret)
        except (stripe.SignatureVerificationError, ValueError) as error:
            raise ForgedNotification(str(error)) from error
        return list(news_in(event.data.object))

    def news_since(self, about: About, instant: datetime) -> Iterator[News]:
        """What became of all that began since then: money whose news were lost is found here."""
        v1, since = self._client.v1, {"created": {"gte": int(instant.timestamp())}, "limit": 100}
        lists: dict[About, Any] = {"payments": v1.payment_intents, "refunds": v1.refunds, "disputes": v1.disputes}
        for each in lists[about].list(since).auto_paging_iter():
            yield from news_in(each)


def _forgotten(collection: Collection) -> bool:
    """Whether the same was asked so long ago that its key may be forgotten."""
    asked_at = collection.asked_at
    return collection.again and asked_at is not None and datetime.now(UTC) - asked_at > _REMEMBERED


def _named(refund: stripe.Refund) -> str | None:
    return None if refund.metadata is None else refund.metadata.to_dict().get(REFUND)


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
    networks = getattr(card, "networks", None)
    shown = Card(
        brand=card.brand,
        last4=card.last4 or "",
        exp_month=card.exp_month,
        exp_year=card.exp_year,
        funding=_FUNDING.get(card.funding, "unknown"),
        country=card.country,
        fingerprint=card.fingerprint,
        networks=tuple(networks.available) if networks else (),
    )
    return Registered(reference=method.id, card=shown)
