"""Every processor behaves alike: the built-in one, and Stripe, which two servers stand in for: a second Meterline, and
localstripe, which others wrote.

The Stripe processor is the real one: the official SDK over HTTP. Its cards are saved at the server it talks to.

What localstripe lacks is run against the second Meterline alone: it keeps no idempotency keys, takes every card for a
Visa, tells no decline codes, has no disputes, lets more be refunded than was paid, and its lists take no `created`,
which polls and statements need.
"""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest
import stripe

from meterline.gateway.processor import CardDetails, Collection, Processor, Registered
from meterline.gateway.stripe_news import Answer
from meterline.gateway.stripe_processor import ForgedNotification, StripeProcessor
from meterline.gateway.test_processor import TestProcessor
from meterline.notice.signature import signed
from meterline.payment.payment import ActionNeeded, Refused, Succeeded, Unknown
from meterline.store.identifier import public
from tests.wire import stand_in as localstripe
from tests.wire.conftest import SECRET, stripe_client

WEBHOOK_SECRET = "whsec_theSecretOfTheProcessorsTests"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bank:
    """A processor, and how a test card gets to be kept there."""

    processor: Processor
    card: Callable[[str], Registered]

    def collection(self, card: str, **more: Any) -> Collection:
        asked: dict[str, Any] = {
            "key": public("ch"), "amount": 1000, "currency": "usd", "off_session": True, **more
        }  # fmt: skip
        return Collection(reference=self.card(card).reference, **asked)


@pytest.fixture
def upstream(client: stripe.StripeClient) -> StripeProcessor:
    return StripeProcessor(client, webhook_secret=WEBHOOK_SECRET)


@pytest.fixture(scope="module")
def stand_in() -> Iterator[stripe.StripeClient]:
    """The official SDK on localstripe."""
    with localstripe.running() as url:
        yield stripe_client(url, localstripe.KEY)


NUMBERS = {
    "pm_card_visa": "4242424242424242",
    "pm_card_mastercard": "5555555555554444",
    "pm_card_chargeCustomerFail": "4000000000000341",
    "pm_card_authenticationRequired": "4000002760003184",
}


def _at_localstripe(client: stripe.StripeClient) -> Bank:
    processor = StripeProcessor(client)

    def saved(name: str) -> Registered:
        card = {"number": NUMBERS[name], "exp_month": 12, "exp_year": 2034, "cvc": "123"}
        made = client.v1.payment_methods.create({"type": "card", "card": card})  # type: ignore[arg-type]
        customer = client.v1.customers.create({})
        return _known(processor.named(client.v1.payment_methods.attach(made.id, {"customer": customer.id}).id))

    return Bank(processor=processor, card=saved)


@pytest.fixture(params=["test", "stripe", "localstripe"])
def bank(request: pytest.FixtureRequest) -> Bank:
    return _bank(request)


@pytest.fixture(params=["test", "stripe"])
def whole(request: pytest.FixtureRequest) -> Bank:
    """Those that do all that a processor has to."""
    return _bank(request)


def _bank(request: pytest.FixtureRequest) -> Bank:
    client, upstream = request.getfixturevalue("client"), request.getfixturevalue("upstream")
    if request.param == "test":
        built_in = TestProcessor()
        return Bank(processor=built_in, card=lambda name: _known(built_in.named(name)))
    if request.param == "localstripe":
        return _at_localstripe(request.getfixturevalue("stand_in"))

    def saved(name: str) -> Registered:
        customer = client.v1.customers.create({})
        return _known(upstream.named(client.v1.payment_methods.attach(name, {"customer": customer.id}).id))

    return Bank(processor=upstream, card=saved)


def _known(found: Registered | None) -> Registered:
    assert found is not None
    return found


def test_a_card_pays(bank: Bank) -> None:
    asked = bank.collection("pm_card_visa")
    first, other = bank.processor.collect(asked), bank.processor.collect(replace(asked, key=public("ch")))
    assert isinstance(first, Succeeded) and isinstance(other, Succeeded)
    assert first != other


def test_the_same_key_pays_once(whole: Bank) -> None:
    asked = whole.collection("pm_card_visa")
    assert whole.processor.collect(asked) == whole.processor.collect(replace(asked, again=True))


def test_a_decline_says_why(bank: Bank) -> None:
    refused = bank.processor.collect(bank.collection("pm_card_chargeCustomerFail"))
    assert isinstance(refused, Refused)
    assert refused.code == "card_declined"
    assert refused.decline_code in ("generic_decline", None)


def test_a_card_that_asks_its_holder(bank: Bank) -> None:
    asked = bank.processor.collect(bank.collection("pm_card_authenticationRequired", off_session=False))
    assert isinstance(asked, ActionNeeded)


def test_money_is_authorized_then_captured_or_released(bank: Bank) -> None:
    for finish in ("capture", "release"):
        held = bank.processor.collect(bank.collection("pm_card_visa", capture=False))
        assert isinstance(held, Succeeded)
        if finish == "capture":
            assert bank.processor.capture(held.reference, amount=600, key=public("ch")) is None
        else:
            bank.processor.release(held.reference, key=public("ch"))


def test_money_is_given_back_once_under_one_key(bank: Bank) -> None:
    taken = bank.processor.collect(bank.collection("pm_card_visa"))
    assert isinstance(taken, Succeeded)
    key = public("re")
    first = bank.processor.refund(taken.reference, amount=400, currency="usd", key=key)
    assert isinstance(first, Succeeded)
    assert bank.processor.refund(taken.reference, amount=400, currency="usd", key=key, again=True) == first


def test_what_may_be_shown_of_a_card(whole: Bank) -> None:
    card = whole.card("pm_card_mastercard").card
    assert (card.brand, card.last4, card.funding) == ("mastercard", "4444", "credit")


def test_a_card_that_nobody_saved_is_none(bank: Bank) -> None:
    assert bank.processor.named("pm_nothing") is None


# What only a processor over a network can do


def test_no_answer_is_unknown_and_asking_again_finds_what_was_taken(
    base_url: str, client: stripe.StripeClient, upstream: StripeProcessor
) -> None:
    bank = Bank(processor=upstream, card=lambda saved: _known(upstream.named(saved)))
    method = client.v1.payment_methods.attach("pm_card_visa", {"customer": client.v1.customers.create({}).id})
    asked = bank.collection(method.id)
    unreachable = StripeProcessor(stripe_client("http://127.0.0.1:9", SECRET))
    assert isinstance(unreachable.collect(asked), Unknown)
    taken = upstream.collect(asked)
    assert upstream.collect(replace(asked, again=True)) == taken
    [intent] = client.v1.payment_intents.list({"customer": str(method.customer)}).data
    assert intent.metadata["meterline_attempt"] == asked.key
    assert base_url.startswith("http")


def test_a_key_that_is_forgotten_pays_once_all_the_same(
    client: stripe.StripeClient, upstream: StripeProcessor, dsn: str
) -> None:
    method = client.v1.payment_methods.attach("pm_card_visa", {"customer": client.v1.customers.create({}).id})
    asked = Collection(key=public("ch"), reference=method.id, amount=700, currency="usd", off_session=True)
    first = upstream.collect(asked)
    asyncio.run(forget_keys(dsn))
    long_ago = datetime.now(UTC) - timedelta(days=2)
    assert upstream.collect(replace(asked, again=True, asked_at=long_ago)) == first
    assert len(client.v1.payment_intents.list({"customer": str(method.customer)}).data) == 1


async def forget_keys(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute("DELETE FROM idempotency_key")
    await connection.close()


def test_a_poll_finds_money_that_was_never_heard_of(client: stripe.StripeClient, upstream: StripeProcessor) -> None:
    method = client.v1.payment_methods.attach("pm_card_visa", {"customer": client.v1.customers.create({}).id})
    asked = Collection(key=public("ch"), reference=method.id, amount=700, currency="usd", off_session=True)
    taken = upstream.collect(asked)
    assert isinstance(taken, Succeeded)
    client.v1.payment_intents.create({"amount": 700, "currency": "usd"})
    answers = list(upstream.news_since("payments", datetime.now(UTC) - timedelta(minutes=5)))
    assert Answer(attempt=asked.key, outcome=taken, captured=700) in answers
    assert all(isinstance(answer, Answer) and answer.attempt.startswith("ch_") for answer in answers)


@pytest.fixture
def told(client: stripe.StripeClient, upstream: StripeProcessor, raw: httpx.Client) -> tuple[str, bytes]:
    """The attempt that a webhook of the upstream tells of, and its body."""
    method = client.v1.payment_methods.attach("pm_card_visa", {"customer": client.v1.customers.create({}).id})
    key = public("ch")
    upstream.collect(Collection(key=key, reference=method.id, amount=700, currency="usd", off_session=True))
    events = raw.get("/v1/events", params={"type": "payment_intent.succeeded", "limit": 1}).json()
    return key, json.dumps(events["data"][0]).encode()


def signature(body: bytes, *, secret: str = WEBHOOK_SECRET, at: datetime | None = None) -> str:
    return signed(body, secrets=[secret], now=at or datetime.now(UTC))


def test_a_webhook_tells_what_became_of_an_attempt(told: tuple[str, bytes], upstream: StripeProcessor) -> None:
    key, body = told
    [answer] = upstream.heard(body, signature(body))
    assert isinstance(answer, Answer)
    assert (answer.attempt, answer.outcome.kind) == (key, "succeeded")


def test_a_forged_or_stale_webhook_is_not_believed(told: tuple[str, bytes], upstream: StripeProcessor) -> None:
    _, body = told
    stale = datetime.now(UTC) - timedelta(hours=1)
    for forged in (signature(body, secret="whsec_another"), signature(body, at=stale), signature(body + b" "), "t=1"):
        with pytest.raises(ForgedNotification):
            upstream.heard(body, forged)


def test_card_numbers_never_pass_through(upstream: StripeProcessor) -> None:
    refused = upstream.register(CardDetails(number="4242424242424242", exp_month=1, exp_year=2031))
    assert isinstance(refused, Refused)
    assert refused.code == "card_number_not_accepted"
    assert isinstance(upstream.register(CardDetails(token="tok_visa")), Registered)
