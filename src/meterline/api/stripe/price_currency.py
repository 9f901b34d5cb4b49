"""The same price in other currencies: `currency_options`."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from meterline.api.stripe.params import Currency, Hash
from meterline.api.stripe.price_amount import (
    Amount,
    AmountDecimal,
    CustomUnitAmount,
    TaxBehavior,
    Tiers,
    either,
    flat_model,
    tiered_model,
    within,
)
from meterline.catalog import CurrencyOption, Package, PerUnit, PriceModel
from meterline.refusal import Refusal


class CurrencyOptionParams(Hash):
    custom_unit_amount: CustomUnitAmount | None = None
    tax_behavior: TaxBehavior = "unspecified"
    tiers: Tiers | None = None
    unit_amount: Amount | None = None
    unit_amount_decimal: AmountDecimal | None = None


CurrencyOptions = dict[Currency, CurrencyOptionParams]


def options_of(
    asked: Mapping[str, CurrencyOptionParams], model: PriceModel, *, at: str = ""
) -> dict[str, CurrencyOption]:
    """The currency options of a price with that model: each has the same kind of model as the price.

    `at` is the hash that `currency_options` stands in.
    """
    place = within(at, "currency_options")
    return {currency: _option(option, model, at=f"{place}[{currency}]") for currency, option in asked.items()}


def _option(asked: CurrencyOptionParams, model: PriceModel, *, at: str) -> CurrencyOption:
    tiered = model.kind if model.kind in ("graduated", "volume") else None
    if asked.tiers is not None and tiered is not None:
        mode: Literal["graduated", "volume"] = "graduated" if tiered == "graduated" else "volume"
        option: PriceModel = tiered_model(asked.tiers, mode, at=f"{at}[tiers]")
    elif asked.tiers is not None or tiered is not None:
        raise Refusal("Currency options must have the same billing scheme as their price.", param=at)
    else:
        unit = either(asked.unit_amount, asked.unit_amount_decimal, "unit_amount", param=f"{at}[unit_amount]")
        option = flat_model(unit, asked.custom_unit_amount, at=at)
        if isinstance(model, Package) and isinstance(option, PerUnit):
            option = replace(model, unit=option.unit)
    if option.kind != model.kind:
        raise Refusal("Currency options must have the same kind of amount as their price.", param=at)
    return CurrencyOption(model=option, tax_behavior=asked.tax_behavior)
