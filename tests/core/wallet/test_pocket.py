"""Properties of prepaid value, whatever happens to it in whatever order."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import permutations
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace

from meterline.ledger.account import WALLET, Account
from meterline.ledger.posting import Slice
from meterline.ledger.transaction import Transfer, fold
from meterline.wallet import hold as holds
from meterline.wallet.grant import Grant, take, total
from meterline.wallet.hold import Hold
from meterline.wallet.pocket import (
    InsufficientFunds,
    Pocket,
    Running,
    fund,
    in_order,
    lapse,
    last_part,
    newest_paid,
    posted,
    record,
    refund,
    spend,
    undo,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
USD = "USD"
SOURCE = Account("clearing", USD, "test")

amounts = st.decimals(min_value="0.000000000001", max_value="1000", places=12)


def grant(id: str, amount: Decimal | int, **more: object) -> Grant:
    values: dict[str, object] = {
        "asset": USD,
        "funding": "paid",
        "purpose": "top_up",
        "effective_at": NOON,
        "created": NOON,
        "sequence": UUID(int=0),
    }
    return Grant(id=id, granted=Decimal(amount), remaining=Decimal(amount), **(values | more))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (grant("later", 1, priority=1), grant("sooner", 1, priority=2, expires_at=NOON + HOUR)),
        (grant("ends", 1, expires_at=NOON + HOUR), grant("never_ends", 1)),
        (grant("ends_first", 1, expires_at=NOON + HOUR), grant("ends_second", 1, expires_at=NOON + 2 * HOUR)),
        (grant("given", 1, funding="promotional"), grant("bought", 1)),
        (grant("old", 1, effective_at=NOON - HOUR), grant("new", 1)),
        (grant("made_first", 1, created=NOON - HOUR), grant("made_second", 1)),
        (grant("first", 1, sequence=UUID(int=1)), grant("second", 1, sequence=UUID(int=2))),
        (grant("a", 1), grant("b", 1)),
    ],
    ids=lambda each: each.id,
)
def test_the_order_of_use(first: Grant, second: Grant) -> None:
    for order in permutations([first, second]):
        slices, _ = take(in_order(order), Decimal(1), at=NOON, marks=())
        assert [each.grant for each in slices] == [first.id]


@st.composite
def grants(draw: st.DrawFn) -> list[Grant]:
    count = draw(st.integers(min_value=0, max_value=6))
    return [
        grant(
            f"g{n}",
            draw(amounts),
            funding=draw(st.sampled_from(["paid", "promotional"])),
            priority=draw(st.integers(0, 2)),
            effective_at=NOON + HOUR * draw(st.integers(-2, 1)),
            expires_at=draw(st.sampled_from([None, NOON - HOUR, NOON, NOON + HOUR])),
            scope=draw(st.sampled_from([(), ("images",), ("tokens", "images"), ("tokens",)])),
        )
        for n in range(count)
    ]


@given(grants(), amounts, st.permutations(range(6)))
def test_slices_are_the_same_in_any_store_and_sum_to_the_debit(
    given_: list[Grant], amount: Decimal, order: list[int]
) -> None:
    shuffled = [given_[n] for n in order if n < len(given_)]
    slices, shortage = take(in_order(given_), amount, at=NOON, marks=("images",))
    assert take(in_order(shuffled), amount, at=NOON, marks=("images",)) == (slices, shortage)
    assert total(slices) + shortage == amount
    used = {each.grant for each in slices}
    for each in (each for each in given_ if each.id in used):
        assert each.effective_at <= NOON and (each.expires_at is None or each.expires_at > NOON)
        assert not each.scope or "images" in each.scope


@given(grants(), st.lists(st.tuples(amounts, st.sampled_from([(), ("images",), ("tokens",)])), max_size=8))
def test_a_batch_of_debits_is_the_debits_one_by_one(
    given_: list[Grant], debits: list[tuple[Decimal, tuple[str, ...]]]
) -> None:
    one_by_one = Pocket(asset=USD, grants=in_order(given_))
    batch = Running(one_by_one, NOON)
    for amount, marks in debits:
        one_by_one, debit = record(one_by_one, amount, at=NOON, marks=marks)
        assert batch.record(amount, marks) == debit.transfers
        assert batch.available == one_by_one.available(NOON)
    assert batch.pocket() == one_by_one


@given(grants(), amounts, amounts)
def test_spending_never_goes_below_the_overdraft_limit(given_: list[Grant], limit: Decimal, amount: Decimal) -> None:
    pocket = Pocket(asset=USD, grants=in_order(given_), overdraft_limit=limit)
    if amount > pocket.spendable(NOON, ("images",)):
        with pytest.raises(InsufficientFunds):
            spend(pocket, amount, at=NOON, marks=("images",))
        return
    after, _ = spend(pocket, amount, at=NOON, marks=("images",))
    assert after.available(NOON) == pocket.available(NOON) - amount >= -limit
    assert after.debt <= limit


@given(grants(), amounts)
def test_undoing_a_debit_gives_every_grant_its_own_back(given_: list[Grant], amount: Decimal) -> None:
    pocket = Pocket(asset=USD, grants=in_order(given_))
    spent, debit = record(pocket, amount, at=NOON)
    undone = undo(spent, debit.slices, debit.shortage, at=NOON)
    assert undone.pocket == pocket and not undone.unplaced
    assert all(amount == 0 for amount in fold((*debit.transfers, *undone.transfers)).values())


def test_what_is_returned_to_a_lapsed_grant_goes_to_breakage() -> None:
    pocket = Pocket(asset=USD, grants=(grant("short", 10, expires_at=NOON + HOUR),))
    spent, debit = record(pocket, Decimal(4), at=NOON)
    over, _ = lapse(spent, "short")
    undone = undo(over, debit.slices, debit.shortage, at=NOON + HOUR)
    assert posted(undone.pocket) == 0
    assert fold(undone.transfers)[Account("breakage", USD)] == 4


def test_debt_that_was_repaid_since_has_no_grant_to_return_to() -> None:
    spent, debit = record(Pocket(asset=USD, grants=(grant("one", 3),)), Decimal(5), at=NOON)
    richer, _ = fund(spent, grant("two", 10), source=Account("clearing", USD, "test"))
    undone = undo(richer, debit.slices, debit.shortage, at=NOON)
    assert undone.unplaced == 2
    assert posted(undone.pocket) == posted(richer) + 3


@given(grants(), amounts, amounts)
def test_a_part_of_a_debit_is_taken_back_from_its_end(given_: list[Grant], amount: Decimal, part: Decimal) -> None:
    _, debit = record(Pocket(asset=USD, grants=in_order(given_)), amount, at=NOON)
    part = min(part, amount)
    slices, owed = last_part(debit.slices, debit.shortage, part)
    assert total(slices) + owed == part
    assert owed == min(debit.shortage, part)
    kept = [each.grant for each in debit.slices][-len(slices) :] if slices else []
    assert [each.grant for each in slices] == kept


def test_expiring_late_or_at_once_comes_to_the_same() -> None:
    pocket = Pocket(asset=USD, grants=in_order([grant("short", 10, expires_at=NOON + HOUR), grant("long", 10)]))
    after = NOON + 2 * HOUR
    eager, first = lapse(pocket, "short")
    eager, spent_eager = record(eager, Decimal(3), at=after)
    lazy, spent_lazy = record(pocket, Decimal(3), at=after)
    lazy, second = lapse(lazy, "short")
    assert (eager, first, spent_eager) == (lazy, second, spent_lazy)
    assert lapse(lazy, "short") == (lazy, ())


def test_a_gift_repays_no_debt_and_bought_value_does_first() -> None:
    owing = Pocket(asset=USD, debt=Decimal(5))
    given_, _ = fund(owing, grant("gift", 10, funding="promotional"), source=Account("promo_expense", USD))
    assert (given_.debt, given_.available(NOON)) == (Decimal(5), Decimal(5))
    bought, _ = fund(owing, grant("top_up", 10), source=SOURCE)
    assert [bought.debt, bought.grants[0].remaining] == [0, 5]


def test_a_refund_takes_the_newest_bought_value_first() -> None:
    pocket = Pocket(
        asset=USD,
        grants=in_order(
            [
                grant("old", 10, created=NOON - HOUR),
                grant("new", 10),
                grant("gift", 10, funding="promotional"),
            ]
        ),
    )
    slices = newest_paid(pocket, Decimal(15))
    assert slices == (Slice("new", "paid", Decimal(10)), Slice("old", "paid", Decimal(5)))
    after, transfers = refund(pocket, slices, processor="test")
    assert posted(after) == 15
    assert fold(transfers)[Account("clearing", USD, "test")] == 15
    with pytest.raises(InsufficientFunds):
        newest_paid(pocket, Decimal("20.000000000001"))


class WalletLife(RuleBasedStateMachine):
    """Anything a wallet can go through, against the books that it writes."""

    def __init__(self) -> None:
        super().__init__()
        self.pocket = Pocket(asset=USD, overdraft_limit=Decimal(50))
        self.journal: list[Transfer] = []
        self.open: list[Hold] = []
        self.at = NOON
        self.made = 0
        self.recorded = False

    @rule(amount=amounts, paid=st.booleans(), hours=st.sampled_from([None, 1, 3]), priority=st.integers(0, 1))
    def give(self, amount: Decimal, *, paid: bool, hours: int | None, priority: int) -> None:
        self.made += 1
        new = grant(
            f"g{self.made}",
            amount,
            funding="paid" if paid else "promotional",
            priority=priority,
            effective_at=self.at,
            created=self.at,
            expires_at=None if hours is None else self.at + hours * HOUR,
        )
        self.pocket, booked = fund(self.pocket, new, source=SOURCE)
        self.journal += booked

    @rule(amount=amounts)
    def use(self, amount: Decimal) -> None:
        self.pocket, debit = record(self.pocket, amount, at=self.at)
        self.recorded = True
        self.journal += debit.transfers

    @rule(amount=amounts, policy=st.sampled_from(["reject", "take_available", "overdraft"]))
    def authorize(self, amount: Decimal, policy: holds.Policy) -> None:
        try:
            change = holds.authorize(
                self.pocket, id=f"h{len(self.journal)}", amount=amount, at=self.at, ttl=HOUR, policy=policy
            )
        except InsufficientFunds:
            return
        self.pocket = change.pocket
        self.open.append(change.hold)
        self.journal += change.transfers

    @precondition(lambda self: self.open)
    @rule(percent=st.integers(1, 150), final=st.booleans())
    def capture(self, percent: int, *, final: bool) -> None:
        hold = self.open.pop()
        amount = (hold.authorized * percent / 100).quantize(Decimal("1e-12"))
        if amount > hold.left and hold.policy == "reject":
            amount = hold.left
        change = holds.capture(self.pocket, hold, amount, at=self.at, final=final)
        self.pocket = change.pocket
        self.journal += change.transfers
        assert change.captured + change.uncovered == amount
        if not final:
            self.open.append(change.hold)

    @precondition(lambda self: self.open)
    @rule()
    def release(self) -> None:
        change = holds.release(self.pocket, self.open.pop(0))
        self.pocket = change.pocket
        self.journal += change.transfers

    @rule()
    def an_hour_passes(self) -> None:
        self.at += HOUR
        for hold in [each for each in self.open if each.expires_at <= self.at]:
            self.open.remove(hold)
            change = holds.expire(self.pocket, hold, at=self.at)
            self.pocket = change.pocket
            self.journal += change.transfers

    @rule()
    def what_is_over_lapses(self) -> None:
        for each in self.pocket.grants:
            if each.over(self.at):
                self.pocket, booked = lapse(self.pocket, each.id)
                self.journal += booked

    @invariant()
    def the_books_say_what_the_pocket_holds(self) -> None:
        sums = fold(self.journal)
        assert posted(self.pocket) == sum((sums.get(Account(kind, USD), Decimal(0)) for kind in WALLET), Decimal(0))
        assert self.pocket.lent == sum((hold.shortage for hold in self.open), Decimal(0))
        assert sums.get(Account("held", USD), Decimal(0)) == sum((hold.left for hold in self.open), Decimal(0))
        assert -sums.get(Account("debt", USD), Decimal(0)) == self.pocket.debt
        assert sum(sums.values()) == 0

    @invariant()
    def nothing_is_held_that_no_hold_holds(self) -> None:
        assert sum(grant.held for grant in self.pocket.grants) == sum(total(hold.slices) for hold in self.open)

    @invariant()
    def the_floor_holds_unless_usage_was_recorded(self) -> None:
        if not self.recorded:
            assert self.pocket.debt + self.pocket.lent <= self.pocket.overdraft_limit


TestWalletLife = WalletLife.TestCase


def test_a_capture_above_the_hold_follows_the_policy() -> None:
    pocket = Pocket(asset=USD, grants=(grant("g", 10),), overdraft_limit=Decimal(3))

    def capture(policy: holds.Policy) -> holds.Change:
        change = holds.authorize(pocket, id="h", amount=Decimal(4), at=NOON, ttl=HOUR, policy=policy)
        return holds.capture(change.pocket, change.hold, Decimal(20), at=NOON, final=True)

    with pytest.raises(Exception, match="above the 4"):
        capture("reject")
    taken = capture("take_available")
    assert [taken.captured, taken.uncovered, taken.pocket.debt] == [10, 10, 0]
    borrowed = capture("overdraft")
    assert [borrowed.captured, borrowed.uncovered, borrowed.pocket.debt] == [13, 7, 3]


def test_a_grant_out_of_scope_does_not_pay_and_does_not_lend() -> None:
    pocket = Pocket(asset=USD, grants=(grant("images_only", 10, scope=("images",)),))
    assert pocket.spendable(NOON, ("tokens",)) == 0
    assert pocket.spendable(NOON, ("images",)) == 10
    frozen = replace(pocket, debt=Decimal(4))
    assert frozen.spendable(NOON, ("images",)) == 6
