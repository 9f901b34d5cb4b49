"""Budgets: who may spend how much, in which window of time."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal, TypeAlias, assert_never

from meterline.money import add, decimal_text, subtract
from meterline.refusal import Refusal

Window: TypeAlias = Literal["hour", "day", "week", "month", "total"]
"""Calendar windows, UTC; `total` never begins again."""

Owner: TypeAlias = Literal["seller", "customer"]
"""Who set a budget."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DECEMBER = 12
DEEPEST = 10
"""Levels that a tree of spenders may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """At most `amount` per window, by `spender` and everybody below it; without one, by the customer.

    It is money (or units of the seller's own) of `asset`, or a quantity of `usage` (a meter's event name): one of them
    is set. `marks` restrict it to spending that carries one of them (a model, an event type). A soft budget refuses
    nothing and is only reported. `owner` says who set it: the seller or the customer.
    """

    id: str
    spender: str | None = None
    asset: str | None = None
    usage: str | None = None
    amount: Decimal
    window: Window
    hard: bool = True
    marks: tuple[str, ...] = ()
    owner: Owner = "seller"

    def __post_init__(self) -> None:
        assert (self.asset is None) != (self.usage is None), "a budget is of value or of usage"

    @property
    def of(self) -> str:
        """What it is an amount of."""
        return self.asset or self.usage or ""

    def share(self, ask: "Ask", path: Sequence[str]) -> Decimal | None:
        """How much of what is asked counts against it; None where the spenders on this path, or the marks, do not."""
        mine = self.spender is None or self.spender in path
        marked = not self.marks or any(mark in self.marks for mark in ask.marks)
        if not (mine and marked):
            return None
        if self.usage is not None:
            return ask.quantities.get(self.usage)
        return ask.amount if self.asset == ask.asset else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What is spent: `amount` of `asset`, by `subject`, on something with these marks.

    `quantities` are those of the usage that costs it, by event name, as far as they are known.
    """

    asset: str
    amount: Decimal
    quantities: Mapping[str, Decimal] = field(default_factory=dict)
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
class Settlement:
    """What a capture comes to: parts of windows that it spent, and parts set aside for its hold that are free again.

    It was `asked` for where the hold had set something aside in that very window, and `unasked` elsewhere.
    """

    asked: tuple[Reservation, ...] = ()
    unasked: tuple[Reservation, ...] = ()
    freed: tuple[Reservation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A budget as it stands now; `left` is negative when a soft one was passed."""

    budget: Budget
    spent: Decimal
    reserved: Decimal
    left: Decimal
    resets_at: datetime | None


class BudgetExceeded(Refusal):
    """A hard budget leaves less than what was asked for."""

    def __init__(self, standing: Standing, asked: Decimal) -> None:
        budget = standing.budget
        whose = "the customer" if budget.spender is None else f"'{budget.spender}'"
        super().__init__(
            f"The {budget.window} budget '{budget.id}' of {whose} leaves"
            f" {decimal_text(max(standing.left, Decimal(0)))} {budget.of}; {decimal_text(asked)} {budget.of} were"
            " asked for.",
            code="budget_exceeded",
        )
        resets = standing.resets_at
        self.members: dict[str, str | None] = {
            "budget": budget.id,
            "level": budget.spender or "customer",
            "asset": budget.of,
            "asked": decimal_text(asked),
            "left": decimal_text(standing.left),
            "resets_at": None if resets is None else resets.isoformat(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetPassed:
    """What is told of a budget whose window was used up by what was spent: once per window.

    `spent` and `amount` are of `asset` (or units of a kind of usage); instants are the customer's, UTC.
    """

    id: str
    environment: str
    customer: str
    budget: str
    level: str
    asset: str
    spent: Decimal
    amount: Decimal
    hard: bool
    resets_at: datetime | None
    created: datetime


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
    return Standing(
        budget=budget,
        spent=tally.spent,
        reserved=tally.reserved,
        left=left,
        resets_at=window_end(budget.window, at),
    )


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
    refusing: list[tuple[Standing, Decimal]] = []
    for budget in sorted(budgets, key=lambda each: each.id):
        share = budget.share(ask, path)
        if share is None:
            continue
        start = window_start(budget.window, at)
        stands = standing(budget, tallies.get((budget.id, start), Tally()), at)
        if budget.hard and share > stands.left:
            refusing.append((stands, share))
        reservations.append(Reservation(budget=budget.id, window_start=start, amount=share))
    if refusing:
        raise BudgetExceeded(*min(refusing, key=lambda each: each[0].left))
    return tuple(reservations)


def count(budgets: Iterable[Budget], ask: Ask, *, path: Sequence[str], at: datetime) -> tuple[Reservation, ...]:
    """What was spent at an instant, on every level that it counts against: nothing is refused any more."""
    shares = [(each, each.share(ask, path)) for each in sorted(budgets, key=lambda each: each.id)]
    return tuple(
        Reservation(budget=each.id, window_start=window_start(each.window, at), amount=share)
        for each, share in shares
        if share
    )


def settle(
    budgets: Iterable[Budget],
    held: Iterable[Reservation],
    capture: Ask,
    *,
    path: Sequence[str],
    at: datetime,
    ended: bool,
) -> Settlement:
    """What a capture comes to on every level, of a hold that has set these parts of windows aside.

    It counts once, in the window of the instant at which it is captured. What was set aside becomes free as it is
    captured, of earlier windows first, and all of it where the hold `ended`.
    """
    asked: list[Reservation] = []
    unasked: list[Reservation] = []
    freed: list[Reservation] = []
    parts: dict[str, list[Reservation]] = {}
    for part in sorted(held, key=lambda each: (each.budget, each.window_start)):
        parts.setdefault(part.budget, []).append(part)
    for budget in sorted(budgets, key=lambda each: each.id):
        mine = parts.pop(budget.id, [])
        spent = _spent(budget, mine, capture, ended=ended) if mine else budget.share(capture, path)
        if spent:
            start = window_start(budget.window, at)
            reserved = any(part.window_start == start for part in mine)
            (asked if reserved else unasked).append(Reservation(budget=budget.id, window_start=start, amount=spent))
        freed += mine if ended else _first(mine, spent or Decimal(0))
    if ended:
        freed += [part for lifted in parts.values() for part in lifted]
    return Settlement(asked=tuple(asked), unasked=tuple(unasked), freed=tuple(freed))


def _spent(budget: Budget, mine: Iterable[Reservation], capture: Ask, *, ended: bool) -> Decimal:
    """Where it is not known what was used, a budget of usage counts what was set aside, when the hold ends."""
    if budget.usage is None:
        return capture.amount
    known = capture.quantities.get(budget.usage)
    if known is not None:
        return known
    return add(*(part.amount for part in mine)) if ended and capture.amount else Decimal(0)


def _first(parts: Iterable[Reservation], amount: Decimal) -> list[Reservation]:
    """So much of these parts, the first ones first; all of them where there is less."""
    taken: list[Reservation] = []
    for part in parts:
        share = min(part.amount, amount)
        if share:
            taken.append(replace(part, amount=share))
            amount = subtract(amount, share)
    return taken


def room(standings: Iterable[Standing], ask: Ask, *, path: Sequence[str]) -> tuple[Decimal | None, Decimal | None]:
    """The most that hard budgets leave for such spending: of its asset, and of the one kind of usage it names.

    None where nothing bounds it.
    """
    value: list[Decimal] = []
    usage: list[Decimal] = []
    for each in standings:
        if each.budget.hard and each.budget.share(ask, path) is not None:
            (value if each.budget.usage is None else usage).append(max(each.left, Decimal(0)))
    return min(value, default=None), min(usage, default=None)
