"""Prices as flat fields: what is accepted, what is refused and in which words, and that both ways agree."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterline.catalog import (
    CustomAmount,
    Graduated,
    Package,
    PerUnit,
    PriceModel,
    Shape,
    StairStep,
    Step,
    Tier,
    TierShape,
    Transform,
    Volume,
    model_of,
    shape_of,
)
from meterline.refusal import Refusal

FIVE = TierShape(up_to=5, unit_amount=700)
REST = TierShape(up_to="inf", unit_amount_decimal=Decimal("650.5"), flat_amount=100)
TIERED = Shape(billing_scheme="tiered", tiers_mode="graduated", tiers=(FIVE, REST))
MODEL_TIERS = (
    Tier(up_to=5, unit=Decimal(700)),
    Tier(up_to=None, unit=Decimal("650.5"), flat=Decimal(100)),
)


@pytest.mark.parametrize(
    ("shape", "model"),
    [
        (Shape(unit_amount=1000), PerUnit(unit=Decimal(1000))),
        (Shape(unit_amount=0), PerUnit(unit=Decimal(0))),
        (Shape(unit_amount_decimal=Decimal("0.000000000001")), PerUnit(unit=Decimal("0.000000000001"))),
        (
            Shape(unit_amount=4, transform_quantity=Transform(divide_by=100, round="up")),
            Package(size=100, unit=Decimal(4), round="up"),
        ),
        (TIERED, Graduated(tiers=MODEL_TIERS)),
        (Shape(billing_scheme="tiered", tiers_mode="volume", tiers=(FIVE, REST)), Volume(tiers=MODEL_TIERS)),
    ],
)
def test_fields_become_a_model(shape: Shape, model: PriceModel) -> None:
    assert model_of(shape) == model


REFUSED = [
    pytest.param(
        Shape(), "Prices require an `unit_amount` or `unit_amount_decimal` parameter to be set.", None, id="no amount"
    ),
    pytest.param(
        Shape(unit_amount=1, unit_amount_decimal=Decimal(1)),
        "You may only specify one of these parameters: unit_amount, unit_amount_decimal.",
        "unit_amount",
        id="two amounts",
    ),
    pytest.param(Shape(unit_amount=-1), "Invalid non-negative integer", "unit_amount", id="negative"),
    pytest.param(
        Shape(unit_amount_decimal=Decimal("-0.5")),
        "Invalid non-negative integer",
        "unit_amount_decimal",
        id="negative decimal",
    ),
    pytest.param(
        Shape(unit_amount_decimal=Decimal("0.0000000000001")),
        "Invalid decimal: 1E-13; must contain at maximum 12 decimal places.",
        "unit_amount_decimal",
        id="13 decimals",
    ),
    pytest.param(Shape(unit_amount=10**12), "Amount must be no more than 999999999999", "unit_amount", id="too much"),
    pytest.param(
        Shape(unit_amount=1, transform_quantity=Transform(divide_by=0, round="up")),
        "Invalid positive integer",
        "transform_quantity[divide_by]",
        id="division by zero",
    ),
    pytest.param(
        Shape(billing_scheme="tiered", tiers_mode="volume"),
        "You must specify `tiers` when `billing_scheme=tiered`.",
        "tiers",
        id="tiered without tiers",
    ),
    pytest.param(
        Shape(billing_scheme="tiered", tiers=(REST,)),
        "You must specify `tiers_mode` when `billing_scheme=tiered`.",
        "tiers_mode",
        id="tiers without a mode",
    ),
    pytest.param(
        Shape(tiers_mode="volume", tiers=(REST,)),
        "You can only specify `tiers` when `billing_scheme=tiered`.",
        "tiers",
        id="tiers per unit",
    ),
    pytest.param(
        Shape(unit_amount=1, tiers_mode="volume"),
        "You can only specify `tiers_mode` when `billing_scheme=tiered`.",
        "tiers_mode",
        id="a mode without tiers",
    ),
    pytest.param(
        Shape(billing_scheme="tiered", tiers_mode="volume", tiers=(REST,), unit_amount=1),
        "You cannot specify `unit_amount` when `billing_scheme=tiered`.",
        "unit_amount",
        id="tiers and an amount",
    ),
    pytest.param(
        Shape(
            billing_scheme="tiered",
            tiers_mode="volume",
            tiers=(REST,),
            transform_quantity=Transform(divide_by=2, round="up"),
        ),
        "You cannot specify `transform_quantity` when `billing_scheme=tiered`.",
        "transform_quantity",
        id="tiers and a transform",
    ),
    pytest.param(
        Shape(billing_scheme="tiered", tiers_mode="volume", tiers=(FIVE,)),
        "The last tier must have `up_to` set to `inf`.",
        "tiers",
        id="no last tier",
    ),
    pytest.param(
        Shape(billing_scheme="tiered", tiers_mode="volume", tiers=(REST, REST)),
        "Only the last tier can have `up_to` set to `inf`.",
        "tiers",
        id="two last tiers",
    ),
    pytest.param(
        Shape(billing_scheme="tiered", tiers_mode="volume", tiers=(FIVE, FIVE, REST)),
        "Tiers must have `up_to` of at least 1, each greater than the one before.",
        "tiers",
        id="tiers that do not grow",
    ),
    pytest.param(
        Shape(billing_scheme="tiered", tiers_mode="volume", tiers=(TierShape(up_to=0, unit_amount=1), REST)),
        "Tiers must have `up_to` of at least 1, each greater than the one before.",
        "tiers",
        id="a tier for nothing",
    ),
    pytest.param(
        Shape(billing_scheme="tiered", tiers_mode="volume", tiers=(FIVE, TierShape(up_to="inf"))),
        "Each tier needs a `unit_amount` or a `flat_amount`.",
        "tiers[1]",
        id="a tier without amounts",
    ),
    pytest.param(
        Shape(
            billing_scheme="tiered",
            tiers_mode="volume",
            tiers=(FIVE, TierShape(up_to="inf", flat_amount=1, flat_amount_decimal=Decimal(1))),
        ),
        "You may only specify one of these parameters: flat_amount, flat_amount_decimal.",
        "tiers[1][flat_amount]",
        id="two flat amounts",
    ),
    pytest.param(
        Shape(custom_unit_amount=CustomAmount(), unit_amount=1),
        "You may only specify one of these parameters: custom_unit_amount, unit_amount.",
        "custom_unit_amount",
        id="an amount that the buyer names, and one",
    ),
    pytest.param(
        Shape(custom_unit_amount=CustomAmount()),
        "`custom_unit_amount` is only supported for one-time prices without tiers.",
        "custom_unit_amount",
        id="an amount that the buyer names every month",
    ),
]


@pytest.mark.parametrize(("shape", "message", "param"), REFUSED)
def test_what_makes_no_price_is_refused(shape: Shape, message: str, param: str | None) -> None:
    with pytest.raises(Refusal) as refused:
        model_of(shape)
    assert (refused.value.message, refused.value.param) == (message, param)


def test_tiers_do_not_go_with_one_time_prices() -> None:
    with pytest.raises(Refusal) as refused:
        model_of(TIERED, one_time=True)
    assert refused.value.message == "Prices with `type=one_time` are not supported with tiered billing."
    assert refused.value.param == "interval"


def test_a_refusal_says_where_the_fields_are() -> None:
    with pytest.raises(Refusal) as refused:
        model_of(Shape(unit_amount=-1), prefix="currency_options[eur]")
    assert refused.value.param == "currency_options[eur][unit_amount]"


@pytest.mark.parametrize("custom", [CustomAmount(minimum=100, preset=500, maximum=1000), CustomAmount()])
def test_a_buyer_may_name_an_amount_between_bounds(custom: CustomAmount) -> None:
    assert model_of(Shape(custom_unit_amount=custom), one_time=True) == custom


@pytest.mark.parametrize("custom", [CustomAmount(minimum=500, preset=100), CustomAmount(minimum=-1)])
def test_bounds_that_leave_no_amount_are_refused(custom: CustomAmount) -> None:
    with pytest.raises(Refusal, match="minimum ≤ preset ≤ maximum"):
        model_of(Shape(custom_unit_amount=custom), one_time=True)


def test_an_amount_with_decimals_has_no_integer_form() -> None:
    shape = shape_of(PerUnit(unit=Decimal("123.45")))
    assert (shape.unit_amount, shape.unit_amount_decimal) == (None, Decimal("123.45"))


def test_a_stair_is_told_as_volume_tiers_with_flat_amounts() -> None:
    stairs = StairStep(steps=(Step(up_to=10, amount=Decimal(900)), Step(up_to=None, amount=Decimal(2500))))
    shape = shape_of(stairs)
    assert (shape.billing_scheme, shape.tiers_mode) == ("tiered", "volume")
    assert [(tier.up_to, tier.unit_amount, tier.flat_amount) for tier in shape.tiers or ()] == [
        (10, None, 900),
        ("inf", None, 2500),
    ]


amounts = st.decimals(min_value=0, max_value=999_999_999_999, places=12)
tier_rows = st.lists(st.integers(1, 10**9), unique=True, max_size=5).map(lambda ends: (*sorted(ends), None))


@st.composite
def tiers(draw: st.DrawFn) -> tuple[Tier, ...]:
    return tuple(Tier(up_to=end, unit=draw(amounts), flat=draw(st.none() | amounts)) for end in draw(tier_rows))


@given(
    st.one_of(
        st.builds(PerUnit, unit=amounts),
        st.builds(Package, unit=amounts, size=st.integers(1, 10**6), round=st.sampled_from(["up", "down"])),
        st.builds(Graduated, tiers=tiers()),
        st.builds(Volume, tiers=tiers()),
    )
)
def test_a_model_written_as_fields_and_read_again_is_the_same(model: PriceModel) -> None:
    shape = shape_of(model)
    told = Shape(
        billing_scheme=shape.billing_scheme,
        unit_amount_decimal=shape.unit_amount_decimal,
        tiers_mode=shape.tiers_mode,
        tiers=None if shape.tiers is None else [decimals_only(tier) for tier in shape.tiers],
        transform_quantity=shape.transform_quantity,
    )
    assert model_of(told) == model


def decimals_only(tier: TierShape) -> TierShape:
    return TierShape(
        up_to=tier.up_to,
        unit_amount_decimal=tier.unit_amount_decimal,
        flat_amount_decimal=tier.flat_amount_decimal,
    )
