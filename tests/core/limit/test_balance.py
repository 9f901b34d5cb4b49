"""Marks that a balance passes."""

from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterline.limit.balance import passed, stands

LEVELS = (Decimal(5), Decimal(10))


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("12", "11", []),
        ("12", "10", ["low 10"]),
        ("12", "4", ["low 10", "low 5"]),
        ("12", "-3", ["low 10", "low 5", "depleted 0"]),
        ("10", "9", []),
        ("0", "-1", []),
        ("0.01", "0", ["depleted 0"]),
        ("-3", "20", ["recovered 0", "recovered 5", "recovered 10"]),
        ("9", "10", []),
        ("10", "10.01", ["recovered 10"]),
    ],
)
def test_marks_are_passed_on_the_way(before: str, after: str, told: list[str]) -> None:
    marks = passed(before=Decimal(before), after=Decimal(after), levels=LEVELS)
    assert [f"{passing} {level}" for passing, level in marks] == told


@given(st.lists(st.integers(min_value=-20, max_value=20), min_size=2, max_size=30))
def test_a_mark_is_told_in_turns_and_the_last_word_is_true(balances: list[int]) -> None:
    last: dict[Decimal, bool] = {}
    for before, after in pairwise(balances):
        for passing, level in passed(before=Decimal(before), after=Decimal(after), levels=LEVELS):
            below = passing != "recovered"
            assert last.get(level) is not below, "told twice the same way"
            last[level] = below
    for level, below in last.items():
        assert (balances[-1] <= level) is below


@given(before=st.decimals(-20, 20, places=2), after=st.decimals(-20, 20, places=2), levels=st.sets(st.integers(1, 15)))
def test_what_was_told_on_the_way_is_how_it_stands(before: Decimal, after: Decimal, levels: set[int]) -> None:
    marks = {Decimal(level) for level in levels}
    below, coming = stands(available=before, levels=marks)
    low = set(below)
    for passing, mark in passed(before=before, after=after, levels=marks):
        if mark:
            low = low - {mark} if passing == "recovered" else low | {mark}
    assert stands(available=after, levels=marks)[0] == tuple(sorted(low))
    if coming is not None:
        assert passed(before=before, after=coming, levels=marks)[0] == ("low", coming)
