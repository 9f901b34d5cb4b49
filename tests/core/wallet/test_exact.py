"""Wallets add and subtract exactly, whatever precision plain decimals have at the moment."""

from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal, Inexact, localcontext
from fractions import Fraction
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from meterline.ledger.account import Account
from meterline.ledger.transaction import fold
from meterline.limit.budget import Ask, Budget, Tally, reserve, standing
from meterline.wallet import hold as holds
from meterline.wallet.grant import Grant
from meterline.wallet.pocket import Pocket, Running, fund, in_order, last_part, posted, record, spend, undo
from meterline.wallet.recharge import Recharge, RechargeHistory, RechargeRule, decide

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
USD = "USD"
CRUDE = Context(prec=3, traps=[Inexact])
"""Plain arithmetic under it fails with almost every sum."""

huge = st.decimals(min_value="0.000000000001", max_value="99999999999999999", places=12)


def grant(id: str, amount: Decimal) -> Grant:
    return Grant(
        id=id,
        asset=USD,
        funding="paid",
        purpose="top_up",
        granted=amount,
        remaining=amount,
        effective_at=NOON,
        created=NOON,
        sequence=UUID(int=0),
    )


@given(huge, huge, huge, huge)
def test_debits_holds_and_reversals_lose_nothing(
    first: Decimal, second: Decimal, amount: Decimal, more: Decimal
) -> None:
    with localcontext(CRUDE):
        pocket = Pocket(asset=USD, grants=in_order([grant("a", first)]))
        pocket, _ = fund(pocket, grant("b", second), source=Account("clearing", USD, "test"))
        whole = posted(pocket)
        spent, debit = record(pocket, amount, at=NOON)
        running = Running(pocket, NOON)
        running.record(amount, ())
        assert running.pocket() == spent
        undone = undo(spent, *last_part(debit.slices, debit.shortage, amount), at=NOON)
        assert undone.pocket == pocket
        half = min(amount, whole)
        change = holds.authorize(
            pocket, id="h", amount=half, at=NOON, ttl=timedelta(minutes=1), policy="take_available"
        )
        change = holds.capture(change.pocket, change.hold, more, at=NOON, final=True)
        left = posted(change.pocket)
        moved = fold(change.transfers)
    assert Fraction(whole) == Fraction(first) + Fraction(second)
    assert Fraction(posted(spent)) == Fraction(whole) - Fraction(amount)
    assert sum(map(Fraction, moved.values())) == 0
    assert Fraction(left) == Fraction(whole) - Fraction(change.captured)
    assert Fraction(change.captured) + Fraction(change.uncovered) == Fraction(more)


@given(huge, huge, huge)
def test_budgets_and_recharges_lose_nothing(amount: Decimal, spent: Decimal, asked: Decimal) -> None:
    budget = Budget(id="b", asset=USD, amount=amount, window="day", hard=False)
    rule = RechargeRule(enabled=True, threshold=Decimal(0), target=amount, payment_method="pm_1")
    history = RechargeHistory(this_month=spent)
    with localcontext(CRUDE):
        stands = standing(budget, Tally(spent=spent, reserved=asked), NOON)
        [part] = reserve([budget], {}, Ask(asset=USD, amount=asked), path=(), at=NOON)
        decided = decide(rule, available=spent.copy_negate(), history=history, now=NOON)
    assert Fraction(stands.left) == Fraction(amount) - Fraction(spent) - Fraction(asked)
    assert part.amount == asked
    assert isinstance(decided, Recharge) and Fraction(decided.amount) == Fraction(amount) + Fraction(spent)


def test_the_last_of_thirty_digits_can_be_spent() -> None:
    most = Decimal("99999999999999999.999999999999")
    pocket = Pocket(asset=USD, grants=(grant("a", most),))
    rest, _ = spend(pocket, most.next_minus(Context(prec=29)), at=NOON)
    assert posted(rest) == Decimal("0.000000000001")
