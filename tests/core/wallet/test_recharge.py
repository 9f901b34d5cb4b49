"""Automatic recharging is tame: one at a time, capped, cooled off, backed off, never idle, sized in one go."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterline.wallet.recharge import BACK_OFF, NoRecharge, Recharge, RechargeHistory, RechargeRule, decide

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
APRIL = datetime(2026, 4, 1, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)

RULE = RechargeRule(
    enabled=True,
    threshold=Decimal(5),
    target=Decimal(25),
    monthly_cap=Decimal(100),
    most_per_day=3,
    cool_off=5 * MINUTE,
    payment_method="pm_1",
)


@pytest.mark.parametrize(
    ("rule", "available", "history", "reason", "again_at"),
    [
        (replace(RULE, enabled=False), "3", RechargeHistory(), "disabled", None),
        (RULE, "5", RechargeHistory(), "above_threshold", None),
        (RULE, "3", RechargeHistory(in_flight=Decimal(2)), "above_threshold", None),
        (RULE, "1", RechargeHistory(in_flight=Decimal(2)), "in_flight", None),
        (RULE, "3", RechargeHistory(debited_since=False), "idle", None),
        (replace(RULE, payment_method=None), "3", RechargeHistory(), "no_payment_method", None),
        (RULE, "3", RechargeHistory(last_attempt=NOON - 4 * MINUTE), "cooling_off", NOON + MINUTE),
        (RULE, "3", RechargeHistory(last_attempt=NOON - HOUR / 2, declines=1), "backing_off", NOON + HOUR / 2),
        (RULE, "3", RechargeHistory(last_attempt=NOON - HOUR, declines=2), "backing_off", NOON + 5 * HOUR),
        (RULE, "3", RechargeHistory(last_attempt=NOON - 100 * HOUR, declines=4), "declined_too_often", None),
        (RULE, "3", RechargeHistory(last_attempt=NOON - HOUR, last_24_hours=3), "daily_limit", NOON + 23 * HOUR),
        (RULE, "3", RechargeHistory(this_month=Decimal("78.01")), "monthly_cap", APRIL),
    ],
)
def test_why_not(
    rule: RechargeRule, available: str, history: RechargeHistory, reason: str, again_at: datetime | None
) -> None:
    decision = decide(rule, available=Decimal(available), history=history, now=NOON)
    assert isinstance(decision, NoRecharge)
    assert (decision.reason, decision.again_at) == (reason, again_at)


def test_it_reaches_the_target_in_one_go_from_below_zero() -> None:
    decision = decide(RULE, available=Decimal("-3.10"), history=RechargeHistory(), now=NOON)
    assert decision == Recharge(amount=Decimal("28.10"), available=Decimal("-3.10"))


@given(st.lists(st.tuples(st.integers(0, 120), st.decimals(0, 12, places=2), st.booleans()), max_size=60))
def test_whatever_is_debited_it_never_runs_away(debits: list[tuple[int, Decimal, bool]]) -> None:
    now, available = NOON, Decimal(20)
    attempts: list[tuple[datetime, Decimal, bool]] = []
    for minutes, amount, card_works in debits:
        now += timedelta(minutes=minutes)
        available -= amount
        month = now.replace(day=1, hour=0, minute=0)
        declines = next((n for n, each in enumerate(reversed(attempts)) if each[2]), len(attempts))
        history = RechargeHistory(
            last_attempt=attempts[-1][0] if attempts else None,
            declines=declines,
            last_24_hours=sum(1 for at, _, _ in attempts if at > now - timedelta(days=1)),
            this_month=sum((paid for at, paid, won in attempts if won and at >= month), Decimal(0)),
        )
        decision = decide(RULE, available=available, history=history, now=now)
        if isinstance(decision, Recharge):
            attempts.append((now, decision.amount, card_works))
            available += decision.amount if card_works else 0
    for first, second in pairwise(attempts):
        assert second[0] - first[0] >= (RULE.cool_off if first[2] else BACK_OFF[0])
    for at, _, _ in attempts:
        assert sum(1 for other, _, _ in attempts if at <= other < at + timedelta(days=1)) <= RULE.most_per_day
    assert sum(paid for at, paid, won in attempts if won and at < APRIL) <= Decimal(100)
