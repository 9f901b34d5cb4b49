"""What a capture comes to on budgets, whose windows may have changed since money was set aside for it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from meterline.limit.budget import Ask, Budget, Reservation, reserve, settle, window_start

EVENING = datetime(2026, 3, 31, 23, 30, tzinfo=UTC)
BUDGETS = (
    Budget(id="hour", asset="USD", amount=Decimal(50), window="hour", hard=False),
    Budget(id="month", asset="USD", amount=Decimal(50), window="month", hard=False),
    Budget(id="team", spender="team", asset="USD", amount=Decimal(50), window="day", hard=False),
    Budget(id="total", asset="USD", amount=Decimal(50), window="total", hard=False),
)


@dataclass
class Kept:
    """What is set aside and spent, by budget and window."""

    reserved: dict[tuple[str, datetime], Decimal]
    spent: dict[tuple[str, datetime], Decimal]

    @property
    def held(self) -> list[Reservation]:
        return [Reservation(budget=id, window_start=start, amount=each) for (id, start), each in self.reserved.items()]


amounts = st.decimals(0, 20, places=2)
minutes = st.integers(0, 90)


@given(
    asked=st.lists(st.tuples(amounts, minutes), min_size=1, max_size=4),
    captured=st.lists(st.tuples(amounts, minutes), min_size=1, max_size=4),
)
def test_a_capture_counts_once_on_every_level_in_the_window_of_its_instant(
    asked: list[tuple[Decimal, int]], captured: list[tuple[Decimal, int]]
) -> None:
    kept, at = Kept({}, {}), EVENING
    for amount, later in asked:
        at += timedelta(minutes=later)
        for part in reserve(BUDGETS, {}, Ask(asset="USD", amount=amount), path=("key", "team"), at=at):
            key = (part.budget, part.window_start)
            kept.reserved[key] = kept.reserved.get(key, Decimal(0)) + part.amount
    wanted: dict[tuple[str, datetime], Decimal] = {}
    left = sum((amount for amount, _ in asked), Decimal(0))
    for n, (amount, later) in enumerate(captured, start=1):
        at, ended = at + timedelta(minutes=later), n == len(captured)
        for budget in BUDGETS:
            start = (budget.id, window_start(budget.window, at))
            wanted[start] = wanted.get(start, Decimal(0)) + amount
        capture = Ask(asset="USD", amount=amount)
        settled = settle(BUDGETS, kept.held, capture, path=("key", "team"), at=at, ended=ended)
        for part in (*settled.asked, *settled.unasked):
            key = (part.budget, part.window_start)
            kept.spent[key] = kept.spent.get(key, Decimal(0)) + part.amount
        assert all((part.budget, part.window_start) in kept.reserved for part in settled.asked)
        assert not any((part.budget, part.window_start) in kept.reserved for part in settled.unasked)
        for part in settled.freed:
            kept.reserved[part.budget, part.window_start] -= part.amount
        left = Decimal(0) if ended else max(left - amount, Decimal(0))
        assert min(kept.reserved.values()) >= 0
        for budget in BUDGETS:
            assert sum(part.amount for part in kept.held if part.budget == budget.id) == left
    assert kept.spent == {key: amount for key, amount in wanted.items() if amount}


def test_what_was_set_aside_in_an_earlier_window_becomes_free_first() -> None:
    (budget,) = [each for each in BUDGETS if each.id == "hour"]
    parts = [
        Reservation(budget="hour", window_start=EVENING.replace(hour=22, minute=0), amount=Decimal(3)),
        Reservation(budget="hour", window_start=EVENING.replace(minute=0), amount=Decimal(3)),
    ]
    settled = settle([budget], parts, Ask(asset="USD", amount=Decimal(4)), path=(), at=EVENING, ended=False)
    assert [part.amount for part in settled.freed] == [3, 1]


def test_a_capture_of_an_amount_counts_once_on_a_budget_of_usage() -> None:
    budget = Budget(id="tokens", usage="chat", amount=Decimal(50), window="hour")
    parts = [
        Reservation(budget="tokens", window_start=EVENING.replace(hour=22, minute=0), amount=Decimal(30)),
        Reservation(budget="tokens", window_start=EVENING.replace(minute=0), amount=Decimal(10)),
    ]
    capture = Ask(asset="USD", amount=Decimal(4))
    settled = settle([budget], parts, capture, path=(), at=EVENING, ended=True)
    assert [part.amount for part in settled.asked] == [40]
    assert settled.unasked == () and settled.freed == tuple(parts)
    assert settle([budget], parts, capture, path=(), at=EVENING, ended=False).freed == ()


def test_a_budget_that_was_lifted_meanwhile_counts_nothing_and_lets_go() -> None:
    parts = [Reservation(budget="lifted", window_start=EVENING, amount=Decimal(3))]
    settled = settle([], parts, Ask(asset="USD", amount=Decimal(3)), path=(), at=EVENING, ended=True)
    assert (settled.asked, settled.unasked, settled.freed) == ((), (), tuple(parts))
