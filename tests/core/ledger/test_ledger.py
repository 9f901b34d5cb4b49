"""The books balance whatever is posted, and what is undone is undone in reverse."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterline.ledger import posting
from meterline.ledger.account import Account, named
from meterline.ledger.posting import Slice
from meterline.ledger.transaction import (
    Cause,
    LedgerTransaction,
    Transfer,
    book,
    fold,
    left,
    new_books,
    reversal,
    unwind,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
JANE = UUID(int=7)

amounts = st.decimals(min_value="0.000000000001", max_value="1000000", places=12)
accounts = st.sampled_from(["paid", "promotional", "held", "debt", "revenue", "clearing:stripe", "breakage"])


@st.composite
def transfers(draw: st.DrawFn) -> Transfer:
    debit, credit = draw(st.lists(accounts, min_size=2, max_size=2, unique=True))
    asset = draw(st.sampled_from(["USD", "TOKENS"]))
    return Transfer(named(debit, asset), named(credit, asset), draw(amounts))


@given(st.lists(transfers()))
def test_every_asset_sums_to_zero(moved: list[Transfer]) -> None:
    sums = fold(moved)
    for asset in ("USD", "TOKENS"):
        assert sum(amount for account, amount in sums.items() if account.asset == asset) == 0


@given(st.lists(transfers()))
def test_a_reversal_restores_every_balance(moved: list[Transfer]) -> None:
    assert all(amount == 0 for amount in fold([*moved, *reversal(moved)]).values())


@given(st.lists(transfers(), min_size=1), st.integers(min_value=1, max_value=100))
def test_partial_reversals_take_the_last_leg_first_and_add_up(moved: list[Transfer], percent: int) -> None:
    whole = sum((each.amount for each in moved), Decimal(0))
    part = max((whole * percent / 100).quantize(Decimal("1e-12")), Decimal("1e-12"))
    undone = unwind(moved, part)
    assert sum(each.amount for each in undone) == part
    assert undone[0].credit == moved[-1].debit
    rest = left(moved, part)
    assert all(amount == 0 for amount in fold([*moved, *undone, *reversal(rest)]).values())


def test_a_reversal_never_exceeds_the_original() -> None:
    moved = posting.promotion_granted(asset="USD", amount=Decimal(5), grant="g")
    with pytest.raises(AssertionError, match="never exceeds"):
        unwind(moved, Decimal("5.01"))


@pytest.mark.parametrize("amount", ["0", "-1", "0.0000000000001", "NaN", "Infinity", "1e18"])
def test_a_transfer_moves_a_positive_bookable_amount(amount: str) -> None:
    with pytest.raises((AssertionError, ArithmeticError)):
        Transfer(Account("paid", "USD"), Account("revenue", "USD"), Decimal(amount))


def test_a_transfer_stays_within_one_asset() -> None:
    with pytest.raises(AssertionError, match="one asset"):
        Transfer(Account("paid", "USD"), Account("revenue", "EUR"), Decimal(1))


def usd(transfers: tuple[Transfer, ...]) -> dict[str, Decimal]:
    return {account.name: amount for account, amount in fold(transfers).items() if amount}


def D(text: str) -> Decimal:
    return Decimal(text)


def test_an_invoice_is_owed_earned_taxed_and_helped_by_credits() -> None:
    transfers = posting.invoice_finalized(
        asset="USD",
        net=D("100"),
        tax=D("19"),
        deferred=D("40"),
        credits=[Slice("cg_1", "promotional", D("10"))],
        balance_applied=D("9"),
    )
    assert usd(transfers) == {
        "receivable": D("-100"),
        "revenue": D("60"),
        "deferred": D("40"),
        "tax": D("19"),
        "credit_promotional": D("-10"),
        "customer_balance": D("-9"),
    }


def test_a_negative_invoice_goes_to_the_customer_balance() -> None:
    transfers = posting.invoice_finalized(asset="USD", net=D("-12"), balance_applied=D("-12"))
    assert usd(transfers) == {"revenue": D("-12"), "customer_balance": D("12")}


def test_a_credit_note_says_where_net_and_tax_go() -> None:
    transfers = posting.credit_note(
        asset="USD", net=D("10"), tax=D("2"), to_receivable=D("5"), to_balance=D("4"), refunded=D("3")
    )
    assert usd(transfers) == {
        "revenue": D("-10"),
        "tax": D("-2"),
        "receivable": D("5"),
        "customer_balance": D("4"),
        "refunds": D("3"),
    }


def test_a_top_up_repays_debt_first() -> None:
    transfers = posting.topped_up(asset="USD", amount=D("25"), processor="stripe", grant="g", debt=D("4"))
    assert usd(transfers) == {"clearing:stripe": D("-25"), "debt": D("4"), "paid": D("21")}


def test_custom_units_are_bought_through_the_exchange() -> None:
    transfers = posting.units_bought(
        currency="USD", price=D("5"), processor="test", asset="TOKENS", amount=D("50"), grant="g", debt=D("0")
    )
    sums = {(account.name, account.asset): amount for account, amount in fold(transfers).items()}
    assert sums == {
        ("clearing:test", "USD"): D("-5"),
        ("exchange:TOKENS", "USD"): D("5"),
        ("exchange:USD", "TOKENS"): D("-50"),
        ("paid", "TOKENS"): D("50"),
    }


def test_a_hold_returns_what_it_did_not_use_to_where_it_came_from() -> None:
    slices = [Slice("a", "promotional", D("3")), Slice("b", "paid", D("5"))]
    hold = posting.held(asset="USD", slices=slices, shortage=D("2"))
    capture = posting.captured(asset="USD", amount=D("4"))
    release = posting.released(asset="USD", slices=[Slice("b", "paid", D("4"))], shortage=D("2"))
    assert usd((*hold, *capture, *release)) == {
        "promotional": D("-3"),
        "paid": D("-1"),
        "revenue": D("4"),
    }


def test_lapsed_value_is_breakage_when_bought_and_no_expense_when_given() -> None:
    slices = [Slice("a", "promotional", D("3")), Slice("b", "paid", D("5"))]
    assert usd(posting.expired(asset="USD", slices=slices)) == {
        "promotional": D("-3"),
        "promo_expense": D("3"),
        "paid": D("-5"),
        "breakage": D("5"),
    }


def grant_of(amount: str, id: str = "g") -> LedgerTransaction:
    return LedgerTransaction(
        cause=Cause("grant", id),
        business_at=NOON,
        transfers=posting.promotion_granted(asset="USD", amount=D(amount), grant=id),
    )


def test_booking_numbers_without_gaps_and_in_strict_time_order() -> None:
    booked, head = book(new_books(JANE), [grant_of("1"), grant_of("2"), grant_of("3")], now=NOON)
    assert [each.number for each in booked] == [1, 2, 3]
    assert [each.booked_at - NOON for each in booked] == [timedelta(microseconds=n) for n in range(3)]
    assert head.number == 3 and head.hash == booked[-1].hashes[-1]


def test_the_chain_depends_on_every_transfer_before() -> None:
    _, honest = book(new_books(JANE), [grant_of("1"), grant_of("2")], now=NOON)
    _, altered = book(new_books(JANE), [grant_of("1.000000000001"), grant_of("2")], now=NOON)
    _, swapped = book(new_books(JANE), [grant_of("2"), grant_of("1")], now=NOON)
    assert len({honest.hash, altered.hash, swapped.hash}) == 3


def test_booking_at_once_or_one_by_one_gives_the_same_chain() -> None:
    _, at_once = book(new_books(JANE), [grant_of("1"), grant_of("2")], now=NOON)
    _, first = book(new_books(JANE), [grant_of("1")], now=NOON)
    _, second = book(first, [grant_of("2")], now=NOON)
    assert second == at_once


def test_the_largest_amounts_are_booked_and_added_exactly() -> None:
    """They have more digits than decimals have by default."""
    most = Decimal("999999999999999999.000000000001")
    twice = [Transfer(Account("revenue", "TOK"), Account("paid", "TOK"), most)] * 2
    assert fold(twice)[Account("paid", "TOK")] == Decimal("1999999999999999998.000000000002")
    assert fold([*twice, *reversal(twice)])[Account("paid", "TOK")] == 0
