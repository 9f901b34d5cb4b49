"""Spans of tiers tile time: each ends where the next one begins."""

from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterline.catalog.collection import Windows
from meterline.catalog.offer import Cadence, span_end, span_start
from meterline.period import Cycle, Interval

MOMENT = timedelta(microseconds=1)
START = datetime(1999, 1, 1, tzinfo=UTC)
instants = st.integers(0, 36500 * 24 * 3600 * 10).map(lambda tenths: START + timedelta(seconds=tenths / 10))


@pytest.mark.parametrize("cadence", [each for each in get_args(Cadence) if each != "lifetime"])
@given(at=instants)
def test_a_span_ends_where_the_next_one_begins(cadence: Cadence, at: datetime) -> None:
    start, end = span_start(cadence, at), span_end(cadence, at)
    assert end is not None and start <= at < end
    assert span_start(cadence, end - MOMENT) == start
    assert span_start(cadence, end) == end


def test_a_life_has_one_span() -> None:
    assert span_end("lifetime", datetime(2026, 3, 1, tzinfo=UTC)) is None


@given(at=instants, since=instants)
def test_a_window_ends_where_the_next_one_begins(at: datetime, since: datetime) -> None:
    cycle = Cycle(anchor=datetime(2024, 1, 31, 12, tzinfo=UTC), interval=Interval(unit="month"))
    windows = Windows(since=since, cycle=cycle)
    end = windows.end(at)
    assert at < end
    assert windows.start(end) == end
    assert windows.start(end - MOMENT) == windows.start(at) or at < since
