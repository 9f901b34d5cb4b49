"""Invoice prefixes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterline.customer import PREFIX_LENGTH, check_prefix, prefix_from
from meterline.refusal import Refusal


@given(st.integers(min_value=0, max_value=2**64 - 1))
def test_a_prefix_made_of_any_number_is_accepted(number: int) -> None:
    prefix = prefix_from(number)

    check_prefix(prefix)
    assert len(prefix) == PREFIX_LENGTH


def test_different_numbers_make_different_prefixes() -> None:
    assert len({prefix_from(number) for number in range(10_000)}) == 10_000


@pytest.mark.parametrize("prefix", ["A", "9", "ABCDEFGHIJKL"])
def test_one_to_twelve_capitals_and_digits(prefix: str) -> None:
    check_prefix(prefix)


@pytest.mark.parametrize("prefix", ["", "a", "A-B", "ABCDEFGHIJKLM", "A B", "É", "A\n"])
def test_nothing_else(prefix: str) -> None:
    with pytest.raises(Refusal) as refused:
        check_prefix(prefix)
    assert refused.value.param == "invoice_prefix"
