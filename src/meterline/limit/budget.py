"""Budgets: who may spend how much, in which window of time."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal, TypeAlias, assert_never

from meterline.money import add, subtract
from meterline.refusal import Refusal

Window: TypeAlias = Literal["hour", "day", "week", "month", "total"]
"""Calendar windows, UTC; `total` never begins again."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DECEMBER = 12
DEEPEST = 10
"""Levels that a tree of spenders may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """At most `amount` of `asset` per window, by `spender` and everybody below it; without one, by the customer.

    `marks` restrict it to spending that carries one of them (a model, an event type). A soft budget refuses
    nothing and is only reported. `owner` says who set it: the seller or the customer.
    """

    id: str
    spender: str | None = None
    asset: str
    amount: Decimal
    window: Window
    hard: bool = True
    marks: tuple[str, ...] = ()
    owner: Literal["seller", "customer"] = "seller"

    def applies(self, ask: "Ask", path: Sequence[str]) -> bool:
        """Whether spending by the spenders on this path counts against it."""
        mine = self.spender is None or self.spender in path
        marked = not self.marks or any(mark in self.marks for mark in ask.marks)
        return mine and marked and self.asset == ask.asset


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What is about to be spent: `amount` (zero or more) of `asset`, by `subject`, on something with these marks."""

    asset: str
    amount: Decimal
    subject: str | None = None
    marks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What was spent and what is reserved in one window of a budget."""

    spent: Decimal = Decimal(0)
    reserved: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """A part of a budget's window that is set aside."""

    budget: str
    window_start: datetime
    amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A budget as it stands now; `left` is negative when a soft one was passed."""

    budget: Budget
    left: Decimal
    resets_at: datetime | None


class BudgetExceeded(Refusal):
    """A hard budget leaves less than what was asked for."""

    def __init__(self, standing: Standing, asked: Decimal) -> None:
        budget = standing.budget
        whose = "the customer" if budget.spender is None else f"'{budget.spender}'"
        super().__init__(
            f"The {budget.window} budget '{budget.id}' of {whose} leaves {max(standing.left, Decimal(0)):f}"
            f" {budget.asset}; {asked:f} {budget.asset} were asked for.",
            code="budget_exceeded",
        )
        resets = standing.resets_at
        self.members: dict[str, str | None] = {
            "budget": budget.id,
            "level": budget.spender or "customer",
            "asset": budget.asset,
            "asked": f"{asked:f}",
            "left": f"{standing.left:f}",
            "resets_at": None if resets is None else resets.isoformat(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetRefused:
    """What is told of a refusal under the caller's `id`: the budget, its level in the tree of spenders and the figures.

    Amounts are of `asset`; `resets_at` and `created` are the customer's time, UTC.
    """

    id: str
    environment: str
    customer: str
    budget: str
    level: str
    asset: str
    asked: Decimal
    left: Decimal
    resets_at: datetime | None
    message: str
    created: datetime


def path_of(subject: str | None, parents: Mapping[str, str | None]) -> tuple[str, ...]:
    """The subject and those above it, itself first. A subject that the tree does not know stands alone.

    Refuses a tree that leads in a circle or is deeper than DEEPEST.
    """
    path: list[str] = []
    at = subject
    while at is not None:
        if at in path or len(path) == DEEPEST:
            raise Refusal(f"The spender '{at}' has no proper place in the tree.", code="spender_tree")
        path.append(at)
        at = parents.get(at)
    return tuple(path)


def window_start(window: Window, at: datetime) -> datetime:
    """When the window that the instant lies in began."""
    hour = at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    match window:
        case "hour":
            return hour
        case "day":
            return hour.replace(hour=0)
        case "week":
            return hour.replace(hour=0) - timedelta(days=hour.weekday())
        case "month":
            return hour.replace(hour=0, day=1)
        case "total":
            return _EPOCH
        case _:
            assert_never(window)


def window_end(window: Window, at: datetime) -> datetime | None:
    """When the window that the instant lies in is over; None for a budget that never begins again."""
    start = window_start(window, at)
    match window:
        case "hour":
            return start + timedelta(hours=1)
        case "day":
            return start + timedelta(days=1)
        case "week":
            return start + timedelta(weeks=1)
        case "month":
            if start.month == _DECEMBER:
                return start.replace(year=start.year + 1, month=1)
            return start.replace(month=start.month + 1)
        case "total":
            return None
        case _:
            assert_never(window)


def standing(budget: Budget, tally: Tally, at: datetime) -> Standing:
    """What a budget leaves."""
    left = subtract(budget.amount, add(tally.spent, tally.reserved))
    return Standing(budget=budget, left=left, resets_at=window_end(budget.window, at))


def reserve(
    budgets: Iterable[Budget],
    tallies: Mapping[tuple[str, datetime], Tally],
    ask: Ask,
    *,
    path: Sequence[str],
    at: datetime,
) -> tuple[Reservation, ...]:
    """Set the amount aside on every level that applies, or raise BudgetExceeded and set nothing aside.

    Where several levels refuse, the one that leaves least is named; among equals, the first by id.
    """
    reservations: list[Reservation] = []
    refusing: list[Standing] = []
    for budget in sorted(budgets, key=lambda each: each.id):
        if not budget.applies(ask, path):
            continue
        start = window_start(budget.window, at)
        stands = standing(budget, tallies.get((budget.id, start), Tally()), at)
        if budget.hard and ask.amount > stands.left:
            refusing.append(stands)
        reservations.append(Reservation(budget=budget.id, window_start=start, amount=ask.amount))
    if refusing:
        raise BudgetExceeded(min(refusing, key=lambda each: each.left), ask.amount)
    return tuple(reservations)
