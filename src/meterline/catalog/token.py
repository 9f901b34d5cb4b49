"""What a call to a language model costs: a price per kind of token, the kinds exclusive of each other.

Providers report cached tokens inside input tokens, and reasoning and audio inside output: they are taken out before
anything is priced, so that no token is billed twice. Once a request's input is longer than `long_from`, the long
prices are those of the whole request, not of the part above.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, TypeAlias, get_args

from meterline.money import add, multiply, round_debit
from meterline.refusal import Refusal

Kind: TypeAlias = Literal[
    "input",
    "cached_read",
    "cache_write",
    "audio_input",
    "image_input",
    "output",
    "reasoning",
    "audio_output",
    "request",
]
"""`request` is counted once per call."""

KINDS: tuple[Kind, ...] = get_args(Kind)

_FALLBACK: Mapping[Kind, Kind] = {
    "cached_read": "input",
    "cache_write": "input",
    "audio_input": "input",
    "image_input": "input",
    "reasoning": "output",
    "audio_output": "output",
}
"""What a kind costs where the table has no price of its own for it."""

_INSIDE_INPUT: tuple[Kind, ...] = ("cached_read", "cache_write", "audio_input", "image_input")
_INSIDE_OUTPUT: tuple[Kind, ...] = ("reasoning", "audio_output")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPrice:
    """The prices of one model, in major units of `currency` per token. `long` holds from `long_from` input tokens on,
    exclusive; kinds that it leaves out keep their price."""

    provider: str
    model: str
    currency: str = "usd"
    prices: Mapping[Kind, Decimal]
    long_from: int | None = None
    long: Mapping[Kind, Decimal] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert all(price >= 0 for price in (*self.prices.values(), *self.long.values()))
        assert (self.long_from is not None) == bool(self.long), "long prices begin somewhere"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLine:
    """One kind of token of a call: how many, at which price, exact."""

    kind: Kind
    quantity: int
    unit: Decimal
    exact: Decimal


def exclusive(reported: Mapping[Kind, int]) -> dict[Kind, int]:
    """Token counts as providers report them, made exclusive. Refuses parts that are larger than their whole.

    `input` and `output` are totals; all other kinds are parts of them.
    """
    if any(count < 0 for count in reported.values()):
        raise Refusal("Token counts are not negative.", code="tokens_invalid", param="usage")
    counts = {kind: reported.get(kind, 0) for kind in KINDS}
    for whole, parts in (("input", _INSIDE_INPUT), ("output", _INSIDE_OUTPUT)):
        inside = sum(counts[part] for part in parts)
        total = counts["input"] if whole == "input" else counts["output"]
        if inside > total:
            raise Refusal(
                f"The parts of the {whole} tokens come to {inside}, the {whole} tokens to {total}.",
                code="tokens_invalid",
                param="usage",
            )
        if whole == "input":
            counts["input"] = total - inside
        else:
            counts["output"] = total - inside
    return {kind: count for kind, count in counts.items() if count}


def price_call(of: TokenPrice, reported: Mapping[Kind, int]) -> tuple[TokenLine, ...]:
    """What a call costs, kind by kind. Refuses a kind that has no price, nor one to fall back on."""
    long = of.long_from is not None and reported.get("input", 0) > of.long_from
    prices = {**of.prices, **of.long} if long else of.prices
    counts = exclusive(reported)
    if "request" in prices:
        counts["request"] = 1
    lines: list[TokenLine] = []
    for kind, count in counts.items():
        unit = prices.get(kind, prices.get(_FALLBACK.get(kind, kind)))
        if unit is None:
            raise Refusal(f"{of.model} has no price for {kind} tokens.", code="no_price", param="usage")
        lines.append(TokenLine(kind=kind, quantity=count, unit=unit, exact=multiply(unit, count)))
    return tuple(lines)


def charged(lines: tuple[TokenLine, ...], *, markup_percent: Decimal) -> Decimal:
    """What the customer pays for a call: its cost and a markup (20 is a fifth more), at the books' scale."""
    cost = add(*(line.exact for line in lines))
    return round_debit(multiply(cost, add(Decimal(1), markup_percent.scaleb(-2))))


_COST_MAP: Mapping[str, Kind] = {
    "input_cost_per_token": "input",
    "cache_read_input_token_cost": "cached_read",
    "cache_creation_input_token_cost": "cache_write",
    "input_cost_per_audio_token": "audio_input",
    "input_cost_per_image_token": "image_input",
    "output_cost_per_token": "output",
    "output_cost_per_reasoning_token": "reasoning",
    "output_cost_per_audio_token": "audio_output",
    "input_cost_per_request": "request",
}
"""The members of a cost map in LiteLLM's format that price a token kind."""


def from_cost_map(document: Mapping[str, object]) -> tuple[list[TokenPrice], list[str]]:
    """The prices in a cost map in LiteLLM's JSON format, and the names of entries that price no tokens."""
    found: list[TokenPrice] = []
    without: list[str] = []
    for model, entry in document.items():
        prices = _members(entry, "")
        if not isinstance(entry, Mapping) or not ({"input", "output"} & prices.keys()) or model == "sample_spec":
            without.append(model)
            continue
        long_from, long = _long(entry)
        found.append(
            TokenPrice(
                provider=str(entry.get("litellm_provider", "")),
                model=model,
                prices=prices,
                long_from=long_from,
                long=long,
            )
        )
    return found, without


def _members(entry: object, suffix: str) -> dict[Kind, Decimal]:
    if not isinstance(entry, Mapping):
        return {}
    prices: dict[Kind, Decimal] = {}
    for name, kind in _COST_MAP.items():
        value = entry.get(name + suffix)
        if isinstance(value, int | Decimal) and not isinstance(value, bool) and value >= 0:
            prices[kind] = Decimal(value)
    return prices


def _long(entry: Mapping[object, object]) -> tuple[int | None, dict[Kind, Decimal]]:
    """The long-context prices: members that end in `_above_200k_tokens`, whatever the number."""
    bounds = {
        int(words[0])
        for name in entry
        if isinstance(name, str) and name.endswith("k_tokens") and "_above_" in name
        for words in [name.rpartition("_above_")[2].split("k_tokens")]
        if words[0].isdigit()
    }
    for bound in sorted(bounds):
        prices = _members(entry, f"_above_{bound}k_tokens")
        if prices:
            return bound * 1000, prices
    return None, {}
