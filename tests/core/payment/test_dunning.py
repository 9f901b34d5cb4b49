"""When a failed collection is tried again."""

from datetime import UTC, datetime, timedelta

import pytest

from meterline.payment.dunning import STANDARD, decide_retry, holds
from meterline.payment.payment import ActionNeeded, Refused

FIRST = datetime(2026, 2, 1, 1, tzinfo=UTC)


def test_eight_tries_in_two_weeks() -> None:
    tries = [
        decide_retry(policy=STANDARD, attempt_count=count, now=FIRST, first_attempt_at=FIRST).retry_at
        for count in range(1, 10)
    ]

    assert [at and (at - FIRST).days for at in tries] == [1, 3, 5, 7, 9, 11, 13, 14, None]


def test_the_calendar_runs_out() -> None:
    last = decide_retry(policy=STANDARD, attempt_count=9, now=FIRST, first_attempt_at=FIRST)
    assert (last.retry_at, last.exhausted) == (None, True)


def test_a_late_attempt_does_not_plan_the_past() -> None:
    late = FIRST + timedelta(days=30)

    decided = decide_retry(policy=STANDARD, attempt_count=1, now=late, first_attempt_at=FIRST)

    assert decided.retry_at == late + timedelta(hours=1)


@pytest.mark.parametrize(
    ("code", "decline_code", "same", "held"),
    [
        ("card_declined", "generic_decline", True, False),
        ("card_declined", "insufficient_funds", True, False),
        ("card_declined", "lost_card", True, True),
        ("card_declined", "stolen_card", True, True),
        ("incorrect_number", None, True, True),
        ("authentication_required", "authentication_required", True, True),
        ("card_declined", "lost_card", False, False),
    ],
)
def test_a_final_refusal_is_not_asked_for_twice(code: str, decline_code: str | None, same: bool, held: bool) -> None:  # noqa: FBT001
    refusal = Refused(code=code, decline_code=decline_code, message="no")
    assert holds(refusal, same_method=same) is held


def test_a_confirmation_may_come_at_any_time() -> None:
    assert holds(ActionNeeded(), same_method=True) is False
