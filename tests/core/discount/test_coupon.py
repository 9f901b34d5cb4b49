"""Who may redeem what, and how long it then lasts."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from meterline.discount import PromotionCode, Restrictions, coupon, discount, promotion_code
from meterline.refusal import Refusal
from tests.core.discount import build
from tests.core.discount.build import START

CODE = PromotionCode(environment="test", id="promo_1", code="HELLO", coupon="WELCOME", created=START)


@pytest.mark.parametrize(
    ("said", "param"),
    [
        ({"percent_off": None}, None),
        ({"amount_off": 5, "currency": "usd"}, "amount_off"),
        ({"percent_off": Decimal(0)}, "percent_off"),
        ({"percent_off": Decimal("100.01")}, "percent_off"),
        ({"percent_off": None, "amount_off": 5}, "currency"),
        ({"currency_options": {"eur": 5}}, "currency_options"),
        (
            {"percent_off": None, "amount_off": 5, "currency": "eur", "currency_options": {"eur": 5}},
            "currency_options[eur]",
        ),
        ({"duration": "repeating"}, "duration_in_months"),
        ({"duration_in_months": 3}, "duration_in_months"),
        ({"redeem_by": START}, "redeem_by"),
        ({"redeem_by": START + timedelta(days=2000)}, "redeem_by"),
    ],
)
def test_a_coupon_that_cannot_be_is_refused(said: dict[str, object], param: str | None) -> None:
    with pytest.raises(Refusal) as refused:
        coupon.check_terms(build.coupon(**said), now=START)
    assert refused.value.param == param


def test_a_coupon_runs_out_by_time_by_count_and_by_deletion() -> None:
    last_day = START + timedelta(days=1)
    offered = build.coupon(redeem_by=last_day, max_redemptions=2, times_redeemed=1)

    assert offered.valid(last_day)
    assert not offered.valid(last_day + timedelta(seconds=1))
    assert not replace(offered, times_redeemed=2).valid(START)
    assert not replace(offered, deleted=True).valid(START)
    with pytest.raises(Refusal) as refused:
        coupon.require_redeemable(replace(offered, times_redeemed=2), currency="usd", now=START, param="discounts[0]")
    assert (refused.value.code, refused.value.param) == ("coupon_expired", "discounts[0]")


def test_an_amount_is_worth_nothing_in_a_currency_it_was_not_given_in() -> None:
    dollars = build.coupon(percent_off=None, amount_off=500, currency="usd", currency_options={"jpy": 700})

    assert dollars.terms.amounts_off == {"usd": 500, "jpy": 700}
    coupon.require_redeemable(dollars, currency="jpy", now=START, param="")
    with pytest.raises(Refusal, match="eur"):
        coupon.require_redeemable(dollars, currency="eur", now=START, param="")


@pytest.mark.parametrize(
    ("months", "end"),
    [(1, datetime(2026, 2, 28, 12, tzinfo=UTC)), (3, datetime(2026, 4, 30, 12, tzinfo=UTC)), (None, None)],
)
def test_months_are_counted_by_the_calendar_from_the_start(months: int | None, end: datetime | None) -> None:
    assert discount.end_of(build.coupon(duration_in_months=months), start=START) == end


def test_a_discount_is_not_in_force_at_its_end() -> None:
    three = replace(build.discount("di_1", build.percent("10")), end=START + timedelta(days=90))

    assert three.in_force(START + timedelta(days=90) - timedelta(seconds=1))
    assert not three.in_force(START + timedelta(days=90))


@pytest.mark.parametrize("word", ["", "ten percent", "50%", "é", "a" * 501])
def test_a_code_is_letters_digits_and_dashes(word: str) -> None:
    with pytest.raises(Refusal):
        promotion_code.check_code(word)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"active": False}, "not active"),
        ({"expires_at": START}, "expired"),
        ({"max_redemptions": 3, "times_redeemed": 3}, "maximum number of times"),
        ({"customer": "cus_2"}, "another customer"),
        ({"restrictions": Restrictions(first_time_transaction=True)}, "prior transactions"),
        ({"restrictions": Restrictions(minimum_amounts={"usd": 1001})}, "below the minimum"),
        ({"restrictions": Restrictions(minimum_amounts={"eur": 1})}, "usd"),
    ],
)
def test_a_code_that_is_not_for_this_purchase_is_refused(said: dict[str, object], why: str) -> None:
    with pytest.raises(Refusal, match=why):
        promotion_code.require_redeemable(
            replace(CODE, **said),  # type: ignore[arg-type]
            customer="cus_1",
            first_time=False,
            amount=1000,
            currency="usd",
            now=START,
            param="",
        )


def test_a_minimum_is_not_judged_where_the_amount_may_change() -> None:
    found = replace(CODE, restrictions=Restrictions(minimum_amounts={"usd": 1}))
    with pytest.raises(Refusal, match="minimum_amount"):
        promotion_code.require_redeemable(
            found, customer="cus_1", first_time=True, amount=None, currency="usd", now=START, param=""
        )


def test_a_code_promises_no_more_than_its_coupon() -> None:
    offered = build.coupon(redeem_by=START + timedelta(days=1), max_redemptions=5)
    for too_much in ({"expires_at": START + timedelta(days=2)}, {"max_redemptions": 6}, {"expires_at": START}):
        with pytest.raises(Refusal):
            promotion_code.check_terms(replace(CODE, **too_much), offered, now=START)
    promotion_code.check_terms(replace(CODE, max_redemptions=5), offered, now=START)


def test_a_code_works_as_long_as_its_coupon_does() -> None:
    offered = build.coupon(max_redemptions=1)

    assert CODE.usable(offered, now=START)
    assert not CODE.usable(replace(offered, times_redeemed=1), now=START)
    assert not replace(CODE, active=False).usable(offered, now=START)
