"""How a processor behaves. Every processor passes this; the built-in one is known by its test cards."""

import pytest

from meterline.gateway.processor import CardDetails, Collection, Processor, Registered
from meterline.gateway.test_processor import TestProcessor
from meterline.payment.payment import ActionNeeded, Refused, Succeeded


@pytest.fixture
def processor() -> Processor:
    return TestProcessor()


def _registered(processor: Processor, method: str) -> Registered:
    found = processor.named(method)
    assert found is not None
    return found


def _collection(registered: Registered, *, key: str = "ch_1", off_session: bool = True) -> Collection:
    return Collection(key=key, reference=registered.reference, amount=1000, currency="usd", off_session=off_session)


def test_a_good_card_pays_and_the_same_key_pays_once(processor: Processor) -> None:
    card = _registered(processor, "pm_card_visa")

    first, again = processor.collect(_collection(card)), processor.collect(_collection(card))
    other = processor.collect(_collection(card, key="ch_2"))

    assert isinstance(first, Succeeded)
    assert first == again != other


@pytest.mark.parametrize(
    ("method", "saved"),
    [
        ("pm_card_visa_chargeDeclined", False),
        ("pm_card_chargeDeclinedExpiredCard", False),
        ("pm_card_chargeCustomerFail", True),
    ],
)
def test_a_bad_card_refuses_to_pay(processor: Processor, method: str, *, saved: bool) -> None:
    card = _registered(processor, method)

    assert isinstance(processor.collect(_collection(card)), Refused)
    assert (processor.verify(card.reference) is None) is saved


@pytest.mark.parametrize(
    ("method", "off_session", "on_session"),
    [
        ("pm_card_authenticationRequired", ActionNeeded, ActionNeeded),
        ("pm_card_authenticationRequiredOnSetup", Succeeded, ActionNeeded),
        ("pm_card_visa", Succeeded, Succeeded),
    ],
)
def test_a_holder_confirms_where_the_card_asks(
    processor: Processor, method: str, off_session: type, on_session: type
) -> None:
    card = _registered(processor, method)

    assert isinstance(processor.collect(_collection(card)), off_session)
    assert isinstance(processor.collect(_collection(card, off_session=False)), on_session)


def test_a_card_is_known_by_what_may_be_shown_of_it(processor: Processor) -> None:
    by_number = processor.register(CardDetails(number="4242424242424242", exp_month=1, exp_year=31, cvc="123"))

    assert isinstance(by_number, Registered)
    assert (by_number.card.last4, by_number.card.exp_year, by_number.card.cvc_check) == ("4242", 2031, "pass")
    assert "4242424242424242" not in repr(by_number)


def test_only_test_cards_are_taken(processor: Processor) -> None:
    unknown = processor.register(CardDetails(number="4111111111111111", exp_month=1, exp_year=2031))

    assert isinstance(unknown, Refused)
    assert processor.named("pm_123") is None
