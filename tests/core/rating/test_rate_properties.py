"""Laws of rating that hold for every price and every way of using."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from meterline.catalog import (
    Adjustment,
    Graduated,
    Package,
    Percentage,
    PerUnit,
    Price,
    QuantityModel,
    StairStep,
    Step,
    Tier,
    Volume,
)
from meterline.rating import billed_total, exact_total, increment, rate
from tests.core.rating.price import priced

amounts = st.decimals(min_value=0, max_value=10_000, places=12)
quantities = st.decimals(min_value=0, max_value=1_000_000, places=6)
pieces = st.lists(st.decimals(min_value=-1000, max_value=1000, places=3), min_size=1, max_size=8)
bounds = st.lists(st.integers(1, 2_000), unique=True, max_size=4).map(lambda ends: (*sorted(ends), None))


@st.composite
def tiers(draw: st.DrawFn) -> tuple[Tier, ...]:
    return tuple(
        Tier(up_to=end, unit=draw(st.none() | amounts), flat=draw(st.none() | amounts)) for end in draw(bounds)
    )


@st.composite
def rising_steps(draw: st.DrawFn) -> StairStep:
    ends = draw(bounds)
    costs = sorted(draw(st.lists(amounts, min_size=len(ends), max_size=len(ends))))
    return StairStep(steps=tuple(Step(up_to=end, amount=cost) for end, cost in zip(ends, costs, strict=True)))


rising: st.SearchStrategy[QuantityModel] = st.one_of(
    st.builds(PerUnit, unit=amounts),
    st.builds(Package, unit=amounts, size=st.integers(1, 1000), round=st.sampled_from(["up", "down"])),
    st.builds(Graduated, tiers=tiers()),
    st.builds(Percentage, percent=st.decimals(min_value=0, max_value=100, places=4)),
    rising_steps(),
)
"""Models that never cost less for more; volume can, where its next tier is cheaper."""

models: st.SearchStrategy[QuantityModel] = st.one_of(rising, st.builds(Volume, tiers=tiers()))


@st.composite
def adjustments(draw: st.DrawFn) -> Adjustment:
    low, high = sorted([draw(amounts), draw(amounts)])
    return Adjustment(
        allowance=draw(st.decimals(min_value=0, max_value=500, places=2)),
        minimum=draw(st.sampled_from([None, low])),
        maximum=draw(st.sampled_from([None, high])),
    )


prices: st.SearchStrategy[Price] = st.builds(
    priced, models, currency=st.sampled_from(["usd", "jpy", "kwd"]), adjustment=adjustments()
)
rising_prices: st.SearchStrategy[Price] = st.builds(priced, rising, adjustment=adjustments())


@given(rising_prices, quantities, quantities)
def test_more_never_costs_less(price: Price, one: Decimal, other: Decimal) -> None:
    less, more = sorted([one, other])
    small, great = rate(price=price, quantity=less), rate(price=price, quantity=more)
    assert exact_total(small) <= exact_total(great)
    assert billed_total(small) <= billed_total(great)


@given(prices, pieces)
def test_cutting_usage_into_pieces_costs_the_same(price: Price, uses: list[Decimal]) -> None:
    before: Decimal | None = None
    debited = Decimal(0)
    for use in uses:
        after = (before or Decimal(0)) + use
        debited += increment(price=price, before=before, after=after)
        before = after
    assert before is not None
    assert debited == exact_total(rate(price=price, quantity=before))


@given(prices, quantities)
def test_every_line_is_units_times_unit_plus_flat(price: Price, quantity: Decimal) -> None:
    for line in rate(price=price, quantity=quantity):
        assert line.exact == line.units * (line.unit or 0) + (line.flat or 0)


@given(prices, quantities)
def test_the_lines_account_for_the_whole_quantity(price: Price, quantity: Decimal) -> None:
    lines = rate(price=price, quantity=quantity)
    assert sum(line.quantity for line in lines) == quantity


@given(prices, quantities)
def test_the_bounds_hold_exactly_and_as_billed(price: Price, quantity: Decimal) -> None:
    lines = rate(price=price, quantity=quantity)
    low, high = price.adjustment.minimum, price.adjustment.maximum
    half = Decimal("0.5")
    if low is not None:
        assert exact_total(lines) >= low and billed_total(lines) >= low - half
    if high is not None:
        assert exact_total(lines) <= high and billed_total(lines) <= high + half


@given(st.builds(priced, models), quantities)
def test_rounding_moves_each_line_by_half_a_unit_at_most(price: Price, quantity: Decimal) -> None:
    lines = rate(price=price, quantity=quantity)
    assert abs(billed_total(lines) - exact_total(lines)) <= Decimal("0.5") * len(lines)


@given(prices, st.decimals(max_value=0, min_value=-1_000_000, places=3))
def test_negative_usage_costs_what_none_costs(price: Price, quantity: Decimal) -> None:
    assert rate(price=price, quantity=quantity) == rate(price=price, quantity=Decimal(0))
