"""A wallet's balance passing marks: low, depleted, recovered. Told on the way, once, by comparing before and after."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal, TypeAlias

from meterline.limit.alert import Alert

Passing: TypeAlias = Literal["low", "depleted", "recovered"]

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletPassed:
    """A mark passed by what is available of an asset: `level`, 0 for depletion and recovery from it.

    `alert` is the alert whose level it is, null for zero. `created` is the customer's time, UTC.
    """

    id: str
    environment: str
    customer: str
    asset: str
    passing: Passing
    level: Decimal
    available: Decimal
    before: Decimal
    alert: Alert | None
    created: datetime


def passed(*, before: Decimal, after: Decimal, levels: Iterable[Decimal]) -> list[tuple[Passing, Decimal]]:
    """The marks between two balances, in the order of the way: falling to a level or below it, or rising above it.

    Zero is always a mark; other `levels` are greater.
    """
    marks = sorted({ZERO, *levels})
    if after < before:
        falling = [mark for mark in reversed(marks) if after <= mark < before]
        return [("depleted" if mark == ZERO else "low", mark) for mark in falling]
    return [("recovered", mark) for mark in marks if before <= mark < after]


def stands(*, available: Decimal, levels: Iterable[Decimal]) -> tuple[tuple[Decimal, ...], Decimal | None]:
    """The levels that a balance is at or below, ascending, and the next that it would fall to; null below them all."""
    ordered = sorted(levels)
    below = tuple(level for level in ordered if available <= level)
    return below, max((level for level in ordered if level < available), default=None)
