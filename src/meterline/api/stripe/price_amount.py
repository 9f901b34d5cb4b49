"""What a price costs in Stripe's words, and the price model it means, both ways.

Stripe spreads the model over `billing_scheme`, `unit_amount`, `tiers`, `tiers_mode`, `transform_quantity` and
`custom_unit_amount`; inside it is one value of a closed union. Prices made through another door have models that
Stripe has no words for; they read as the nearest shape, and never as a wrong amount.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal, assert_never

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from meterline.api.stripe.json import Json
from meterline.api.stripe.params import Bool, DecimalText, Hash, Int, List
from meterline.catalog import (
    ByDimension,
    CustomAmount,
    Graduated,
    Package,
    Percentage,
    PerUnit,
    PriceModel,
    StairStep,
    Tier,
    Volume,
)
from meterline.catalog.validate import check_tiers
from meterline.money import decimal_text
from meterline.refusal import Refusal

MOST = 999_999_999_999
"""The largest unit price or flat amount, in minor units."""

Amount = Annotated[Int, Field(ge=0, le=MOST)]
AmountDecimal = Annotated[DecimalText, Field(ge=0, le=MOST)]
TaxBehavior = Literal["exclusive", "inclusive", "unspecified"]


def _up_to(value: Any) -> int | None:
    if value == "inf" or value is None:
        return None
    text = str(value)
    if text.isascii() and text.isdigit() and 1 <= int(text[:20]) <= MOST * 1000:
        return int(text)
    raise PydanticCustomError("tier_end", "Invalid tier: `up_to` must be a positive integer or `inf`.")


class TierParams(Hash):
    up_to: Annotated[int | None, BeforeValidator(_up_to)]
    unit_amount: Amount | None = None
    unit_amount_decimal: AmountDecimal | None = None
    flat_amount: Amount | None = None
    flat_amount_decimal: AmountDecimal | None = None


class CustomUnitAmount(Hash):
    enabled: Bool
    maximum: Amount | None = None
    minimum: Amount | None = None
    preset: Amount | None = None


class TransformQuantity(Hash):
    divide_by: Annotated[Int, Field(ge=1)]
    round: Literal["down", "up"]


Tiers = Annotated[List[TierParams], Field(min_length=1, max_length=100)]


def either(plain: int | None, exact: Decimal | None, name: str, *, param: str) -> Decimal | None:
    """The amount given as `name` or as `name_decimal`, not both; None where neither is."""
    if plain is not None and exact is not None:
        raise Refusal(f"You may only specify one of these parameters: {name}, {name}_decimal.", param=param)
    return Decimal(plain) if plain is not None else exact


def flat_model(unit: Decimal | None, custom: CustomUnitAmount | None, *, at: str) -> PerUnit | CustomAmount:
    """The model of a price without tiers; `at` is where its parameters stand (`price_data`)."""
    if custom is not None and custom.enabled:
        if unit is not None:
            raise Refusal(
                "You may only specify one of these parameters: unit_amount, custom_unit_amount.",
                param=within(at, "custom_unit_amount"),
            )
        return CustomAmount(minimum=custom.minimum, maximum=custom.maximum, preset=custom.preset)
    if unit is None:
        raise Refusal("Prices require an `unit_amount` or `unit_amount_decimal` parameter to be set.")
    return PerUnit(unit=unit)


def tiered_model(
    tiers: Sequence[TierParams], mode: Literal["graduated", "volume"], *, at: str = "tiers"
) -> Graduated | Volume:
    """The model of a tiered price. Refuses tiers that do not cover every quantity exactly once."""
    read = tuple(_tier(tier, at=f"{at}[{position}]") for position, tier in enumerate(tiers))
    check_tiers([tier.up_to for tier in read], param=at)
    return Graduated(tiers=read) if mode == "graduated" else Volume(tiers=read)


def _tier(tier: TierParams, *, at: str) -> Tier:
    unit = either(tier.unit_amount, tier.unit_amount_decimal, "unit_amount", param=f"{at}[unit_amount]")
    flat = either(tier.flat_amount, tier.flat_amount_decimal, "flat_amount", param=f"{at}[flat_amount]")
    if unit is None and flat is None:
        raise Refusal("Invalid tier: at least one of `unit_amount` and `flat_amount` is required.", param=at)
    return Tier(up_to=tier.up_to, unit=unit, flat=flat)


def within(at: str, name: str) -> str:
    """A parameter's name inside a hash: `price_data[currency]`, or plain where there is no hash."""
    return f"{at}[{name}]" if at else name


def amounts(model: PriceModel) -> Json:
    """`unit_amount`, its exact form and `custom_unit_amount`."""
    custom = None
    unit: Decimal | None = None
    match model:
        case PerUnit() | Package():
            unit = model.unit
        case CustomAmount():
            custom = {"maximum": model.maximum, "minimum": model.minimum, "preset": model.preset}
        case Graduated() | Volume() | StairStep() | Percentage() | ByDimension():
            pass
        case _:
            assert_never(model)
    return {"custom_unit_amount": custom} | _both("unit_amount", unit)


def tiers(model: PriceModel) -> list[Json] | None:
    """The tiers, each with all its members; None for a price without any."""
    match model:
        case Graduated() | Volume():
            read = model.tiers
        case StairStep():
            read = tuple(Tier(up_to=step.up_to, flat=step.amount) for step in model.steps)
        case PerUnit() | Package() | CustomAmount() | Percentage() | ByDimension():
            return None
        case _:
            assert_never(model)
    return [_both("flat_amount", t.flat) | _both("unit_amount", t.unit) | {"up_to": t.up_to} for t in read]


def scheme(model: PriceModel) -> Json:
    """`billing_scheme`, `tiers_mode` and `transform_quantity`."""
    tiered = isinstance(model, Graduated | Volume | StairStep)
    mode = ("graduated" if isinstance(model, Graduated) else "volume") if tiered else None
    transform = {"divide_by": model.size, "round": model.round} if isinstance(model, Package) else None
    return {
        "billing_scheme": "tiered" if tiered else "per_unit",
        "tiers_mode": mode,
        "transform_quantity": transform,
    }


def _both(name: str, amount: Decimal | None) -> Json:
    """An amount as the integer it may be, and as exact text."""
    whole = int(amount) if amount is not None and amount == amount.to_integral_value() else None
    return {name: whole, f"{name}_decimal": None if amount is None else decimal_text(amount)}
