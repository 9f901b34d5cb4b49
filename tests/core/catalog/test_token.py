"""Tokens are priced once each, and a long request wholly at the long price."""

from decimal import Decimal

import pytest

from meterline.catalog.token import TokenPrice, charged, exclusive, from_cost_map, price_call
from meterline.refusal import Refusal

LARGE = TokenPrice(
    provider="models",
    model="large-1",
    prices={
        "input": Decimal("0.000003"),
        "cached_read": Decimal("0.0000003"),
        "cache_write": Decimal("0.00000375"),
        "output": Decimal("0.000015"),
    },
    long_from=200_000,
    long={"input": Decimal("0.000006"), "output": Decimal("0.0000225")},
)


def test_cached_tokens_are_not_billed_as_input_again() -> None:
    counts = exclusive({"input": 1000, "cached_read": 800, "cache_write": 50, "output": 300, "reasoning": 200})
    assert counts == {"input": 150, "cached_read": 800, "cache_write": 50, "output": 100, "reasoning": 200}
    assert sum(counts.values()) == 1300


@pytest.mark.parametrize("reported", [{"input": 10, "cached_read": 11}, {"output": 1, "reasoning": 2}, {"input": -1}])
def test_parts_larger_than_their_whole_are_refused(reported: dict[str, int]) -> None:
    with pytest.raises(Refusal):
        exclusive(reported)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reported", "amount"),
    [
        ({"input": 1000, "output": 100}, "0.0045"),
        ({"input": 1000, "cached_read": 1000}, "0.0003"),
        ({"output": 100, "reasoning": 100}, "0.0015"),
        ({"input": 200_000}, "0.6"),
        ({"input": 200_001}, "1.200006"),
        ({"input": 200_001, "cached_read": 200_001, "output": 10}, "0.0602253"),
    ],
)
def test_what_a_call_costs(reported: dict[str, int], amount: str) -> None:
    lines = price_call(LARGE, reported)  # type: ignore[arg-type]
    assert charged(lines, markup_percent=Decimal(0)) == Decimal(amount)
    assert charged(lines, markup_percent=Decimal(20)) == Decimal(amount) * Decimal("1.2")


def test_a_kind_without_a_price_is_refused_rather_than_free() -> None:
    only_output = TokenPrice(provider="models", model="out", prices={"output": Decimal(1)})
    with pytest.raises(Refusal, match="no price for input"):
        price_call(only_output, {"input": 1})


def test_a_cost_map_is_read_with_its_long_prices() -> None:
    cost_map = {
        "sample_spec": {"input_cost_per_token": 0, "output_cost_per_token": 0},
        "large-1": {
            "litellm_provider": "models",
            "mode": "chat",
            "input_cost_per_token": Decimal("3e-06"),
            "cache_read_input_token_cost": Decimal("3e-07"),
            "cache_creation_input_token_cost": Decimal("3.75e-06"),
            "output_cost_per_token": Decimal("1.5e-05"),
            "input_cost_per_token_above_200k_tokens": Decimal("6e-06"),
            "output_cost_per_token_above_200k_tokens": Decimal("2.25e-05"),
        },
        "painter": {"litellm_provider": "models", "mode": "image_generation", "output_cost_per_image": Decimal(1)},
    }
    prices, without = from_cost_map(cost_map)
    assert prices == [LARGE]
    assert without == ["sample_spec", "painter"]
