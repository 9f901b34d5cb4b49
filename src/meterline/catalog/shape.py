"""A price model as flat fields: billing scheme, tiers and transform. One of the two doors to the union.

`model_of` refuses what does not make sense, in the words that clients of Stripe's API know; `shape_of` writes
any model in this shape, as far as it has one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, assert_never

from meterline.catalog.model import (
    ByDimension,
    CustomAmount,
    Graduated,
    Package,
    Percentage,
    PerUnit,
    PriceModel,
    Rounding,
    StairStep,
    Tier,
    Volume,
)
from meterline.catalog.validate import check_amount, check_tier_bounds, only_one
from meterline.refusal import Refusal

Scheme = Literal["per_unit", "tiered"]
TiersMode = Literal["graduated", "volume"]
UpTo = int | Literal["inf"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TierShape:
    """One tier as given: each amount either as an integer or as a decimal, in minor units."""

    up_to: UpTo
    unit_amount: int | None = None
    unit_amount_decimal: Decimal | None = None
    flat_amount: int | None = None
    flat_amount_decimal: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transform:
    """Divide the quantity, and round the result to a whole number."""

    divide_by: int
    round: Rounding


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The amounts of a price as given. Null and absent are the same here."""

    unit_amount: int | None = None
    unit_amount_decimal: Decimal | None = None
    billing_scheme: Scheme | None = None
    tiers: Sequence[TierShape] | None = None
    tiers_mode: TiersMode | None = None
    transform_quantity: Transform | None = None
    custom_unit_amount: CustomAmount | None = None


def model_of(shape: Shape, *, one_time: bool = False, prefix: str = "") -> PriceModel:
    """The price model that the fields describe, or a Refusal naming the field.

    `prefix` is where the fields are (`price_data`, `currency_options[eur]`); `one_time` says that the price
    does not recur, and so cannot have tiers.
    """
    if shape.custom_unit_amount is not None:
        return _custom(shape, shape.custom_unit_amount, one_time=one_time, prefix=prefix)
    if shape.billing_scheme == "tiered" or shape.tiers is not None or shape.tiers_mode is not None:
        return _tiered(shape, one_time=one_time, prefix=prefix)
    unit = _one_amount(shape.unit_amount, shape.unit_amount_decimal, "unit_amount", prefix)
    if unit is None:
        raise Refusal("Prices require an `unit_amount` or `unit_amount_decimal` parameter to be set.")
    if shape.transform_quantity is None:
        return PerUnit(unit=unit)
    transform = shape.transform_quantity
    if transform.divide_by < 1:
        raise Refusal(
            "Invalid positive integer",
            code="parameter_invalid_integer",
            param=_path(prefix, "transform_quantity", "divide_by"),
        )
    return Package(size=transform.divide_by, unit=unit, round=transform.round)


def shape_of(model: PriceModel) -> Shape:
    """The fields that describe a model. A percentage and a rate table have no amount in this shape."""
    match model:
        case PerUnit():
            return Shape(billing_scheme="per_unit", unit_amount=whole(model.unit), unit_amount_decimal=model.unit)
        case Package():
            return Shape(
                billing_scheme="per_unit",
                unit_amount=whole(model.unit),
                unit_amount_decimal=model.unit,
                transform_quantity=Transform(divide_by=model.size, round=model.round),
            )
        case Graduated() | Volume():
            return Shape(
                billing_scheme="tiered",
                tiers_mode=model.kind,
                tiers=tuple(_tier_shape(tier.up_to, tier.unit, tier.flat) for tier in model.tiers),
            )
        case StairStep():
            steps = tuple(_tier_shape(step.up_to, None, step.amount) for step in model.steps)
            return Shape(billing_scheme="tiered", tiers_mode="volume", tiers=steps)
        case CustomAmount():
            return Shape(billing_scheme="per_unit", custom_unit_amount=model)
        case Percentage() | ByDimension():
            return Shape(billing_scheme="per_unit")
        case _:
            assert_never(model)


def whole(amount: Decimal | None) -> int | None:
    """The amount as an integer; null where it has decimals or is not there."""
    return int(amount) if amount is not None and amount == amount.to_integral_value() else None


def _tier_shape(up_to: int | None, unit: Decimal | None, flat: Decimal | None) -> TierShape:
    return TierShape(
        up_to="inf" if up_to is None else up_to,
        unit_amount=whole(unit),
        unit_amount_decimal=unit,
        flat_amount=whole(flat),
        flat_amount_decimal=flat,
    )


def _custom(shape: Shape, custom: CustomAmount, *, one_time: bool, prefix: str) -> CustomAmount:
    if shape.unit_amount is not None or shape.unit_amount_decimal is not None:
        raise only_one("custom_unit_amount", "unit_amount", prefix=prefix)
    if not one_time or shape.tiers or shape.transform_quantity:
        raise Refusal(
            "`custom_unit_amount` is only supported for one-time prices without tiers.",
            param=_path(prefix, "custom_unit_amount"),
        )
    bounds = [bound for bound in (custom.minimum, custom.preset, custom.maximum) if bound is not None]
    if bounds != sorted(bounds) or any(bound < 0 for bound in bounds):
        raise Refusal(
            "`custom_unit_amount` needs minimum ≤ preset ≤ maximum, none of them negative.",
            param=_path(prefix, "custom_unit_amount"),
        )
    return custom


def _tiered(shape: Shape, *, one_time: bool, prefix: str) -> Graduated | Volume:
    if one_time:
        raise Refusal("Prices with `type=one_time` are not supported with tiered billing.", param="interval")
    if shape.billing_scheme != "tiered":
        name = "tiers" if shape.tiers is not None else "tiers_mode"
        raise Refusal(f"You can only specify `{name}` when `billing_scheme=tiered`.", param=_path(prefix, name))
    if not shape.tiers:
        raise Refusal("You must specify `tiers` when `billing_scheme=tiered`.", param=_path(prefix, "tiers"))
    if shape.tiers_mode is None:
        raise Refusal("You must specify `tiers_mode` when `billing_scheme=tiered`.", param=_path(prefix, "tiers_mode"))
    for name, given in (
        ("unit_amount", shape.unit_amount),
        ("unit_amount_decimal", shape.unit_amount_decimal),
        ("transform_quantity", shape.transform_quantity),
    ):
        if given is not None:
            raise Refusal(f"You cannot specify `{name}` when `billing_scheme=tiered`.", param=_path(prefix, name))
    check_tier_bounds([None if tier.up_to == "inf" else tier.up_to for tier in shape.tiers], prefix=prefix)
    tiers = tuple(_tier(tier, _path(prefix, "tiers", str(n))) for n, tier in enumerate(shape.tiers))
    return Graduated(tiers=tiers) if shape.tiers_mode == "graduated" else Volume(tiers=tiers)


def _tier(tier: TierShape, prefix: str) -> Tier:
    unit = _one_amount(tier.unit_amount, tier.unit_amount_decimal, "unit_amount", prefix)
    flat = _one_amount(tier.flat_amount, tier.flat_amount_decimal, "flat_amount", prefix)
    if unit is None and flat is None:
        raise Refusal("Each tier needs a `unit_amount` or a `flat_amount`.", param=prefix)
    return Tier(up_to=None if tier.up_to == "inf" else tier.up_to, unit=unit, flat=flat)


def _one_amount(amount: int | None, decimal: Decimal | None, name: str, prefix: str) -> Decimal | None:
    if amount is not None and decimal is not None:
        raise only_one(name, f"{name}_decimal", prefix=prefix)
    if amount is not None:
        return check_amount(Decimal(amount), param=_path(prefix, name))
    return None if decimal is None else check_amount(decimal, param=_path(prefix, f"{name}_decimal"))


def _path(prefix: str, *names: str) -> str:
    if not prefix:
        prefix, *rest = names
    else:
        rest = list(names)
    return prefix + "".join(f"[{name}]" for name in rest)
