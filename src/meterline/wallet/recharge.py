"""When a wallet buys value by itself, and how it is kept from running away.

A recharge happens only after a debit brought what is available below the threshold, counts what is on its way,
is big enough to reach the target in one go, stays within a number per day and an amount per month, waits between
two of them, and backs off after a decline. Every decision has a reason that is kept.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal, TypeAlias

from meterline.money import add, subtract

BACK_OFF = (timedelta(hours=1), timedelta(hours=6), timedelta(hours=24))
"""How long to wait after the first, second and third decline in a row; after one more it is switched off."""

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class RechargeRule:
    """What the customer agreed to, in major units of one asset. `monthly_cap` None is no cap; months are UTC's."""

    enabled: bool
    threshold: Decimal
    target: Decimal
    monthly_cap: Decimal | None = None
    most_per_day: int = 3
    cool_off: timedelta = timedelta(minutes=5)
    payment_method: str | None = None

    def __post_init__(self) -> None:
        assert self.threshold >= 0 and self.target > self.threshold, "a recharge ends above where it began"


@dataclass(frozen=True, slots=True, kw_only=True)
class RechargeHistory:
    """What happened before: recharges on their way, the latest attempt, declines in a row, what was bought since
    when, and whether anything was debited since the last recharge. `last_24_hours` counts attempts."""

    in_flight: Decimal = Decimal(0)
    last_attempt: datetime | None = None
    declines: int = 0
    last_24_hours: int = 0
    this_month: Decimal = Decimal(0)
    debited_since: bool = True


Reason: TypeAlias = Literal[
    "disabled",
    "above_threshold",
    "in_flight",
    "idle",
    "no_payment_method",
    "declined_too_often",
    "backing_off",
    "cooling_off",
    "daily_limit",
    "monthly_cap",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recharge:
    """Buy this much now, because `available` fell below the threshold."""

    amount: Decimal
    available: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class NoRecharge:
    """Not now; worth another look at `again_at`, if ever."""

    reason: Reason
    again_at: datetime | None = None


def decide(rule: RechargeRule, *, available: Decimal, history: RechargeHistory, now: datetime) -> Recharge | NoRecharge:
    """Whether to recharge now, and how much. The first reason that applies, in the order below, is the answer."""
    if not rule.enabled:
        return NoRecharge(reason="disabled")
    if add(available, history.in_flight) >= rule.threshold:
        return NoRecharge(reason="above_threshold")
    if history.in_flight:
        return NoRecharge(reason="in_flight")
    if not history.debited_since:
        return NoRecharge(reason="idle")
    if rule.payment_method is None:
        return NoRecharge(reason="no_payment_method")
    waiting = _waiting(rule, history, now)
    if waiting is not None:
        return waiting
    amount = subtract(rule.target, available)
    if rule.monthly_cap is not None and add(history.this_month, amount) > rule.monthly_cap:
        return NoRecharge(reason="monthly_cap", again_at=_next_month(now))
    return Recharge(amount=amount, available=available)


def _waiting(rule: RechargeRule, history: RechargeHistory, now: datetime) -> NoRecharge | None:
    last = history.last_attempt
    if last is None:
        return None
    if history.declines > len(BACK_OFF):
        return NoRecharge(reason="declined_too_often")
    if history.declines and now < last + BACK_OFF[history.declines - 1]:
        return NoRecharge(reason="backing_off", again_at=last + BACK_OFF[history.declines - 1])
    if now < last + rule.cool_off:
        return NoRecharge(reason="cooling_off", again_at=last + rule.cool_off)
    if history.last_24_hours >= rule.most_per_day:
        return NoRecharge(reason="daily_limit", again_at=last + DAY)
    return None


def _next_month(now: datetime) -> datetime:
    first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first + timedelta(days=32)).replace(day=1)
