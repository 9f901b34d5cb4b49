"""How far corrections reach, back and ahead, and over how many days at once."""

from datetime import UTC, date, datetime, timedelta

import pytest

from meterline.meter import reach
from meterline.period import Period
from meterline.refusal import Refusal

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("at", "code"),
    [
        (NOW, None),
        (NOW - 731 * DAY, None),
        (NOW - 731 * DAY - SECOND, "timestamp_too_far_in_past"),
        (NOW + timedelta(minutes=5), None),
        (NOW + timedelta(minutes=5) + SECOND, "timestamp_in_future"),
    ],
)
def test_usage_can_be_put_two_years_back_and_five_minutes_ahead(at: datetime, code: str | None) -> None:
    assert refusal_of(lambda: reach.check_corrected(at, now=NOW, param="timestamp")) == (code, code and "timestamp")


@pytest.mark.parametrize(
    ("start", "end", "param"),
    [
        (NOW - DAY, NOW, None),
        (NOW - DAY, NOW + DAY, None),
        (NOW - DAY, NOW + DAY + SECOND, "end"),
        (NOW - 92 * DAY, NOW, None),
        (NOW - 92 * DAY - SECOND, NOW, "end"),
        (NOW - 732 * DAY, NOW - 700 * DAY, "start"),
    ],
)
def test_a_backfill_lies_in_reach_and_is_a_quarter_at_most(start: datetime, end: datetime, param: str | None) -> None:
    assert refusal_of(lambda: reach.check_backfill(Period(start=start, end=end), now=NOW))[1] == param


def test_days_past_retention_are_not_made_anew() -> None:
    kept, dropped, horizon = date(2026, 8, 1), date(2026, 8, 2), NOW - 60 * DAY
    reach.check_kept([kept, horizon.date(), NOW.date()], present={kept}, horizon=horizon, param="start")

    with pytest.raises(Refusal, match="2026-08-02") as refused:
        reach.check_kept([dropped, kept], present={kept}, horizon=horizon, param="start")

    assert (refused.value.code, refused.value.param) == ("events_not_kept", "start")


def test_a_period_touches_the_days_it_has_an_instant_of() -> None:
    midnight = datetime(2026, 11, 28, tzinfo=UTC)
    assert reach.days_of(Period(start=midnight, end=midnight + DAY)) == [date(2026, 11, 28)]
    assert reach.days_of(Period(start=midnight - SECOND, end=midnight + SECOND)) == [
        date(2026, 11, 27),
        date(2026, 11, 28),
    ]


def refusal_of(check: object) -> tuple[str | None, str | None]:
    """Code and parameter of the refusal, or nothing twice."""
    assert callable(check)
    try:
        check()
    except Refusal as refused:
        return refused.code, refused.param
    return None, None
