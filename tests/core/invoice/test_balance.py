"""The customer balance: used, given, and carried where an amount is too small to collect."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterline.invoice.balance import settle
from meterline.money import minimum_payment


@pytest.mark.parametrize(
    ("total", "balance", "currency", "due", "ending", "applied"),
    [
        (400, -1000, "usd", 0, -600, 400),
        (1000, 500, "usd", 1500, 0, -500),
        (-334, 0, "usd", 0, -334, -334),
        (4400, -1000, "usd", 3400, 0, 1000),
        (49, 0, "usd", 0, 49, 49),
        (50, 0, "usd", 50, 0, 0),
        (1, -1, "usd", 0, 0, 1),
        (29, 0, "gbp", 0, 29, 29),
        (30, 0, "gbp", 30, 0, 0),
        (49, 0, "jpy", 0, 49, 49),
        (50, 0, "jpy", 50, 0, 0),
        (17_499, 0, "huf", 0, 17_499, 17_499),
        (1, 0, "kwd", 1, 0, 0),
        (0, 0, "usd", 0, 0, 0),
    ],
)
def test_the_balance_meets_the_total(
    total: int, balance: int, currency: str, due: int, ending: int, applied: int
) -> None:
    settlement = settle(total=total, balance=balance, currency=currency)

    assert (settlement.amount_due, settlement.ending_balance, settlement.applied) == (due, ending, applied)


@given(
    total=st.integers(-(10**9), 10**9),
    balance=st.integers(-(10**9), 10**9),
    currency=st.sampled_from(["usd", "gbp", "jpy", "kwd", "huf"]),
)
def test_nothing_is_lost_between_total_and_balance(total: int, balance: int, currency: str) -> None:
    settlement = settle(total=total, balance=balance, currency=currency)

    assert settlement.amount_due + settlement.ending_balance == total + balance
    assert settlement.amount_due == 0 or settlement.amount_due >= minimum_payment(currency)
    assert settlement.ending_balance < minimum_payment(currency)
    assert settlement.applied == settlement.ending_balance - settlement.starting_balance
