"""The calendar of asking again: when a failed collection is retried, and what follows the last failure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from meterline.payment.payment import ActionNeeded, Refused

FINAL_CODES = frozenset(
    {
        "authentication_required",
        "highest_risk_level",
        "incorrect_number",
        "lost_card",
        "pickup_card",
        "revocation_of_all_authorizations",
        "revocation_of_authorization",
        "stolen_card",
        "transaction_not_allowed",
    }
)
"""Refusals after which the same card is never asked again by itself."""

Surrender = Literal["cancel", "past_due", "unpaid"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When to try again, counted from the first attempt, and what becomes of the subscription at the end."""

    after: tuple[timedelta, ...]
    surrender: Surrender


STANDARD = RetryPolicy(
    after=tuple(timedelta(days=days) for days in (1, 3, 5, 7, 9, 11, 13, 14)),
    surrender="cancel",
)
"""Eight tries in two weeks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryDecision:
    """`retry_at` is the next automatic attempt, null for none. `exhausted`: the calendar has run out."""

    retry_at: datetime | None
    exhausted: bool


def decide_retry(
    *, policy: RetryPolicy, attempt_count: int, now: datetime, first_attempt_at: datetime
) -> RetryDecision:
    """What follows the `attempt_count`-th failed attempt (from 1). Attempts are planned from the first one."""
    assert attempt_count >= 1
    if attempt_count > len(policy.after):
        return RetryDecision(retry_at=None, exhausted=True)
    planned = first_attempt_at + policy.after[attempt_count - 1]
    return RetryDecision(retry_at=max(planned, now + timedelta(hours=1)), exhausted=False)


def holds(refusal: Refused | ActionNeeded, *, same_method: bool) -> bool:
    """Whether a planned retry is skipped, because the same card would give the same final answer."""
    if not same_method or isinstance(refusal, ActionNeeded):
        return False
    return bool({refusal.code, refusal.decline_code} & FINAL_CODES)
